//! What a policy lets pass though no identity lists it: tokens of injected sidecars, and exceptions.

use crate::{codes, identity, injected, now, plain_pod, refusals_among, two_containers};
use perpro_core::api::AgentPolicy;
use perpro_core::decide::admit::{Context, Verdict, admit};
use perpro_core::decide::ceiling::Ceiling;
use perpro_core::decide::check::{Governance, Pod, World, check};
use perpro_core::decide::credentials::credentials;
use perpro_core::decide::listed::is_covered;
use perpro_core::decide::pod::AgentPod;
use perpro_core::decide::session::joins;
use perpro_core::model::SecretOwners;
use rstest::rstest;
use serde_json::{Value, json};

fn policy(name: &str, change: Value) -> AgentPolicy {
    let mut spec = json!({"namespaces": ["ns"]});
    spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    AgentPolicy::new(name, serde_json::from_value(spec).unwrap())
}

fn istio(change: Value) -> AgentPolicy {
    let mut injector = json!({"name": "istio-proxy", "images": ["docker.io/istio/proxyv2:"], "volumes": ["istio-token"],
        "audiences": ["istio-ca"]});
    injector.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    policy("mesh", json!({"injectors": [injector]}))
}

/// What Istio makes of a pod: a native sidecar with its volumes, and the token that it shows to istiod.
fn meshed() -> Value {
    let mut pod = injected(&plain_pod(), &two_containers());
    let token = json!({"serviceAccountToken": {"audience": "istio-ca", "expirationSeconds": 43200, "path": "istio-token"}});
    let spec = pod["spec"].as_object_mut().unwrap();
    let volumes = spec.entry("volumes").or_insert_with(|| json!([])).as_array_mut().unwrap();
    volumes.extend([
        json!({"name": "workload-socket"}),
        json!({"name": "istio-envoy", "emptyDir": {"medium": "Memory"}}),
        json!({"name": "istio-token", "projected": {"sources": [token]}}),
        json!({"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}}),
    ]);
    let mounts = json!([{"name": "istio-token", "mountPath": "/var/run/secrets/tokens"},
        {"name": "istiod-ca-cert", "mountPath": "/var/run/secrets/istio"}, {"name": "istio-envoy", "mountPath": "/etc/istio/proxy"}]);
    let sidecar = json!({"name": "istio-proxy", "image": "docker.io/istio/proxyv2:1.27.0", "restartPolicy": "Always",
        "volumeMounts": mounts});
    spec["initContainers"].as_array_mut().unwrap().push(sidecar);
    pod
}

/// The volume of the token, in [`meshed`].
fn token(pod: &mut Value) -> &mut Value {
    let volumes = pod["spec"]["volumes"].as_array_mut().unwrap();
    volumes.iter_mut().find(|v| v["name"] == "istio-token").unwrap()
}

fn source(pod: &mut Value) -> &mut Value {
    &mut token(pod)["projected"]["sources"][0]["serviceAccountToken"]
}

fn told(pod: &Value, policies: &[AgentPolicy]) -> Vec<String> {
    refusals_among(pod, &two_containers(), &[], policies)
}

const SIDECAR: usize = 1;

#[test]
fn an_injected_sidecar_holds_its_token_where_the_policy_says_so_and_nowhere_else() {
    assert_eq!(told(&meshed(), &[istio(json!({}))]), Vec::<String>::new());
    for policies in [vec![], vec![policy("other", json!({}))]] {
        let refused = told(&meshed(), &policies);
        assert_eq!(codes(&refused), ["AID011"]);
        assert!(refused[0].contains("under injectors of each AgentPolicy"), "{refused:?}");
    }
}

#[rstest]
#[case::another_image(|p: &mut Value| p["spec"]["initContainers"][SIDECAR]["image"] = json!("evil.test/istio/proxyv2:1"), &["AID011"], "gets nothing")]
#[case::no_image(|p: &mut Value| p["spec"]["initContainers"][SIDECAR]["image"] = Value::Null, &["AID011"], "gets nothing")]
#[case::another_name(|p: &mut Value| p["spec"]["initContainers"][SIDECAR]["name"] = json!("mesh"), &["AID011"], "have it listed under injectors")]
#[case::another_audience(|p: &mut Value| source(p)["audience"] = json!("vault"), &["AID011"], "list audience \"vault\"")]
#[case::the_api_servers_audience(|p: &mut Value| source(p)["audience"] = json!(""), &["AID011"], "set kubernetesAccess")]
#[case::the_api_servers_audience_by_name(|p: &mut Value| source(p)["audience"] = json!("https://kubernetes.default.svc"), &["AID011"], "list it")]
#[case::another_volume(|p: &mut Value| {
    token(p)["name"] = json!("spare");
    p["spec"]["initContainers"][SIDECAR]["volumeMounts"][0]["name"] = json!("spare");
}, &["AID011"], "list volume \"spare\"")]
#[case::more_than_a_day(|p: &mut Value| source(p)["expirationSeconds"] = json!(86401), &["AID029"], "86400")]
#[case::a_day(|p: &mut Value| source(p)["expirationSeconds"] = json!(86400), &[], "")]
#[case::an_hour_by_default(|p: &mut Value| source(p)["expirationSeconds"] = Value::Null, &[], "")]
#[case::as_a_plain_container(|p: &mut Value| {
    let sidecar = p["spec"]["initContainers"].as_array_mut().unwrap().pop().unwrap();
    p["spec"]["containers"].as_array_mut().unwrap().push(sidecar);
}, &[], "")]
#[case::the_agent_mounts_it_too(|p: &mut Value| {
    let mounts = p["spec"]["containers"][0]["volumeMounts"].as_array_mut().unwrap();
    mounts.push(json!({"name": "istio-token", "mountPath": "/t"}));
}, &["AID011"], "container \"agent\"")]
#[case::nobody_mounts_it(|p: &mut Value| p["spec"]["initContainers"][SIDECAR]["volumeMounts"] = json!([]), &["AID011"], "no container mounts")]
#[case::two_of_that_name(|p: &mut Value| p["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "istio-proxy", "image": "evil"})), &["AID011"], "gets nothing")]
#[case::somebody_adds_one(|p: &mut Value| {
    p["spec"]["initContainers"].as_array_mut().unwrap().pop();
    p["spec"]["ephemeralContainers"] = json!([{"name": "istio-proxy", "image": "docker.io/istio/proxyv2:1.27.0",
        "volumeMounts": [{"name": "istio-token", "mountPath": "/t"}]}]);
}, &["AID004", "AID011"], "")]
#[case::a_secret_in_its_volume(|p: &mut Value| token(p)["projected"]["sources"] = json!([{"secret": {"name": "istio-ca-secret"}}]), &["AID012"], "")]
#[case::a_key_in_its_volume(|p: &mut Value| token(p)["projected"]["sources"] = json!([{"secret": {"name": "s", "items": [{"key": "k", "path": "k"}]}}]), &["AID021"], "")]
#[case::a_certificate_in_its_volume(|p: &mut Value| token(p)["projected"]["sources"] = json!([{"podCertificate": {"signerName": "a/b", "keyType": "ED25519"}}]), &["AID027"], "")]
#[case::capabilities(|p: &mut Value| p["spec"]["initContainers"][SIDECAR]["securityContext"] = json!({"capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}}), &["AID004"], "")]
fn an_injector_has_what_its_policy_lists_by_name_image_volume_and_audience(
    #[case] change: fn(&mut Value),
    #[case] expected: &[&str],
    #[case] words: &str,
) {
    let mut pod = meshed();
    change(&mut pod);
    let refused = told(&pod, &[istio(json!({}))]);
    assert_eq!(codes(&refused), expected);
    assert!(words.is_empty() || refused.iter().any(|r| r.contains(words)), "{refused:?}");
}

#[test]
fn no_policy_makes_a_token_for_the_api_server_an_injectors() {
    // As one that was stored before the rule of the kind, or past it.
    for audience in ["https://kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local", "k3s"]
    {
        let mut pod = meshed();
        source(&mut pod)["audience"] = json!(audience);
        assert_eq!(codes(&told(&pod, &[istio(json!({"audiences": [audience]}))])), ["AID011"], "{audience}");
    }
}

#[test]
fn an_injector_counts_as_far_as_every_policy_of_the_namespace_has_it() {
    let wide = istio(
        json!({"images": ["docker.io/istio/"], "volumes": ["a", "istio-token"], "audiences": ["b", "istio-ca"]}),
    );
    assert_eq!(told(&meshed(), &[istio(json!({})), wide]), Vec::<String>::new());
    for other in [
        policy("other", json!({})),
        istio(json!({"images": ["ghcr.io/"]})),
        istio(json!({"volumes": ["a"]})),
        istio(json!({"audiences": ["b"]})),
    ] {
        assert_eq!(codes(&told(&meshed(), &[istio(json!({})), other])), ["AID011"]);
    }
}

#[test]
fn a_container_that_is_added_to_a_running_pod_has_no_token_of_an_injector() {
    let (identity, owners, policies) = (two_containers(), SecretOwners::default(), [istio(json!({}))]);
    let ceiling = Ceiling::of("ns", &policies);
    let context = Context { identity: &identity, owners: &owners, ceiling: &ceiling, now: now() };
    for name in ["istio-proxy", "debug"] {
        let mut pod = meshed();
        pod["spec"]["ephemeralContainers"] = json!([{"name": name, "image": "docker.io/istio/proxyv2:1.27.0",
            "volumeMounts": [{"name": "istio-token", "mountPath": "/t"}]}]);
        let refused = joins(&AgentPod::parse(&pod.to_string()).unwrap(), context);
        assert!(!refused.is_empty() && refused.iter().all(|r| r.code() == "AID011"), "{name}: {refused:?}");
    }
}

#[test]
fn a_pod_keeps_the_token_of_its_sidecar_when_a_policy_takes_the_injector_away() {
    let held = credentials(&AgentPod::parse(&meshed().to_string()).unwrap());
    assert!(is_covered(&held, &two_containers()));
    assert!(!is_covered(&held, &identity(vec![])), "the rest is listed no more");
}

fn exception(change: Value) -> Value {
    let mut exception = json!({"name": "nfs", "namespace": "ns", "workload": "Deployment/bot", "codes": ["AID013", "AID004"],
        "owner": "storage-team", "reason": "Moves off NFS this quarter.", "expiresAt": "2026-08-01T00:00:00Z"});
    exception.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    exception
}

fn excepting(change: Value) -> AgentPolicy {
    policy("storage", json!({"exceptions": [exception(change)]}))
}

fn owned(pod: &mut Value, api_version: &str, kind: &str, name: &str) {
    pod["metadata"]["ownerReferences"] =
        json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": "u", "controller": true}]);
}

/// A pod of Deployment `bot` that mounts NFS.
fn mounts_nfs() -> Value {
    let mut pod = injected(&plain_pod(), &two_containers());
    let volumes = pod["spec"]["volumes"].as_array_mut().unwrap();
    volumes.push(json!({"name": "data", "nfs": {"server": "s", "path": "/"}}));
    pod["metadata"]["labels"]["pod-template-hash"] = json!("5d4f");
    owned(&mut pod, "apps/v1", "ReplicaSet", "bot-5d4f");
    pod
}

fn verdict(pod: &Value, policies: &[AgentPolicy]) -> Verdict {
    let (identity, owners, ceiling) =
        (two_containers(), SecretOwners::default(), Ceiling::of("ns", policies));
    let context = Context { identity: &identity, owners: &owners, ceiling: &ceiling, now: now() };
    admit(&AgentPod::parse(&pod.to_string()).unwrap(), context)
}

#[test]
fn an_exception_lets_pass_what_it_names_and_each_pod_is_told() {
    assert_eq!(codes(&told(&mounts_nfs(), &[])), ["AID013"]);
    let Verdict { refusals, warnings } = verdict(&mounts_nfs(), &[excepting(json!({}))]);
    assert_eq!(refusals, []);
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(codes(&warnings), ["AID066"]);
    let text = &warnings[0];
    for part in [
        "spec.volumes",
        "\"nfs\" of \"storage-team\"",
        "until 2026-08-01T00:00:00Z",
        "; then AID013: replace",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_warning_has_no_control_characters_whatever_a_policy_says() {
    // An API server drops one that has.
    let warned =
        verdict(&mounts_nfs(), &[excepting(json!({"name": "a\u{1b}b", "owner": "me\nand you"}))]).warnings;
    let text = warned[0].to_string();
    assert!(text.contains(r#""me\nand you""#) && !text.contains(char::is_control), "{text}");
}

#[rstest]
#[case::in_its_last_days("2026-06-14T12:00:00Z", Some("ends in 13 days, at 2026-06-14"))]
#[case::on_its_last_day("2026-06-01T12:00:00Z", Some("ends within a day, at 2026-06-01"))]
#[case::not_near("2026-06-15T00:00:01Z", Some("lets this pass until 2026-06-15"))]
#[case::at_its_end("2026-06-01T00:00:00Z", None)]
#[case::after("2026-05-01T00:00:00Z", None)]
#[case::as_far_as_it_may_be("2026-08-30T00:00:00Z", Some("until 2026-08-30"))]
#[case::further("2026-08-30T00:00:01Z", None)]
fn an_exception_counts_in_the_90_days_before_its_end(#[case] end: &str, #[case] words: Option<&str>) {
    let Verdict { refusals, warnings } = verdict(&mounts_nfs(), &[excepting(json!({"expiresAt": end}))]);
    let warned = warnings.first().map(ToString::to_string);
    assert_eq!(warned.is_some(), words.is_some(), "{warned:?}");
    assert_eq!(refusals.is_empty(), words.is_some(), "{refusals:?}");
    assert!(warned.unwrap_or_default().contains(words.unwrap_or_default()));
}

#[rstest]
#[case::another_namespace(json!({"namespace": "other"}))]
#[case::another_code(json!({"codes": ["AID004"]}))]
#[case::another_workload(json!({"workload": "Deployment/other"}))]
#[case::the_beginning_of_its_name(json!({"workload": "Deployment/bo"}))]
#[case::another_kind(json!({"workload": "StatefulSet/bot"}))]
#[case::a_pod_of_its_own(json!({"workload": "Pod/bot"}))]
fn an_exception_is_for_nothing_but_what_it_names(#[case] change: Value) {
    assert_eq!(codes(&told(&mounts_nfs(), &[excepting(change)])), ["AID013"]);
}

#[rstest]
#[case::replica_set("apps/v1", "ReplicaSet", "bot-5d4f", "ReplicaSet/bot-5d4f", true)]
#[case::stateful_set("apps/v1", "StatefulSet", "bot", "StatefulSet/bot", true)]
#[case::job("batch/v1", "Job", "bot", "Job/bot", true)]
#[case::cron_job("batch/v1", "Job", "bot-29000001", "CronJob/bot", true)]
#[case::job_by_hand("batch/v1", "Job", "bot-by-hand", "CronJob/bot", false)]
#[case::job_without_a_time("batch/v1", "Job", "bot-", "CronJob/bot", false)]
#[case::cron_job_with_a_longer_name("batch/v1", "Job", "bot-two-29000001", "CronJob/bot", false)]
#[case::kind_of_somebody_else("agents.x-k8s.io/v1", "Sandbox", "bot", "Sandbox/bot", true)]
#[case::deployment_of_somebody_else("example.com/v1", "Deployment", "bot", "Deployment/bot", false)]
#[case::replica_set_of_somebody_else("example.com/v1", "ReplicaSet", "bot-5d4f", "Deployment/bot", false)]
#[case::deployment_with_a_longer_name("apps/v1", "ReplicaSet", "bot-two-5d4f", "Deployment/bot", false)]
#[case::replica_set_with_another_hash("apps/v1", "ReplicaSet", "bot-77aa", "Deployment/bot", false)]
fn a_workload_is_known_by_what_the_pod_says_made_it(
    #[case] api_version: &str,
    #[case] kind: &str,
    #[case] name: &str,
    #[case] workload: &str,
    #[case] passes: bool,
) {
    let mut pod = mounts_nfs();
    owned(&mut pod, api_version, kind, name);
    let refused = told(&pod, &[excepting(json!({"workload": workload}))]);
    assert_eq!(refused.is_empty(), passes, "{refused:?}");
    pod["metadata"]["ownerReferences"][0]["controller"] = json!(false);
    assert_eq!(
        codes(&told(&pod, &[excepting(json!({"workload": workload}))])),
        ["AID013"],
        "it only goes with it"
    );
}

#[test]
fn a_pod_that_nothing_made_is_known_by_its_own_name() {
    let mut pod = mounts_nfs();
    pod["metadata"]["ownerReferences"] = json!([]);
    pod["metadata"]["name"] = json!("bot");
    let policies = [excepting(json!({"workload": "Pod/bot"}))];
    assert_eq!(told(&pod, &policies), Vec::<String>::new());
    pod["metadata"]["name"] = Value::Null;
    assert_eq!(codes(&told(&pod, &policies)), ["AID013"], "its name is not known yet");
}

#[test]
fn an_exception_needs_every_policy_of_the_namespace_and_the_first_end_counts() {
    let of = |policy: &str, change: Value| {
        let mut excepting = excepting(change);
        excepting.metadata.name = Some(policy.to_owned());
        excepting
    };
    let late = || json!({"name": "late", "expiresAt": "2026-08-20T00:00:00Z"});
    assert_eq!(codes(&told(&mounts_nfs(), &[of("a", json!({})), policy("b", json!({}))])), ["AID013"]);
    for policies in [[of("a", late()), of("b", json!({}))], [of("a", json!({})), of("b", late())]] {
        let warned = verdict(&mounts_nfs(), &policies).warnings;
        assert!(warned[0].to_string().contains("\"nfs\""), "{warned:?}");
    }
}

#[test]
fn no_exception_counts_for_whose_a_pod_is_and_what_it_holds() {
    // As one that was stored before the rule of the kind, or past it.
    let all: Vec<_> = (1..100).map(|n| format!("AID{n:03}")).collect();
    let policies = [excepting(json!({"codes": all}))];
    let mut pod = mounts_nfs();
    pod["metadata"]["labels"]["perpro.dev/owner"] = json!("me");
    pod["spec"]["nodeName"] = json!("node");
    pod["spec"]["serviceAccountName"] = json!("default");
    pod["spec"]["serviceAccount"] = json!("default");
    pod["spec"]["schedulingGates"] = json!([]);
    pod["spec"]["containers"][1]["envFrom"] = json!([{"secretRef": {"name": "foreign"}}]);
    pod["spec"]["containers"][1]["x"] = json!(1);
    pod["spec"]["ephemeralContainers"] = json!([{"name": "e", "securityContext": {"privileged": true}}]);
    let refused = told(&pod, &policies);
    let mut left = codes(&refused);
    left.sort_unstable();
    left.dedup();
    assert_eq!(left, ["AID003", "AID004", "AID009", "AID012", "AID014", "AID018", "AID019"]);
}

#[test]
fn no_exception_is_for_a_volume_whose_driver_logs_in_with_a_secret() {
    let policies = [excepting(json!({"codes": ["AID013"]}))];
    let driver = json!({"driver": "secrets-store.csi.k8s.io", "nodePublishSecretRef": {"name": "crm"}});
    let azure = json!({"secretName": "crm", "shareName": "x"});
    for (source, with) in [("csi", driver), ("azureFile", azure)] {
        let mut pod = mounts_nfs();
        assert_eq!(codes(&told(&pod, &policies)), Vec::<&str>::new());
        let volumes = pod["spec"]["volumes"].as_array_mut().unwrap();
        volumes.push(json!({"name": "other", source: with}));
        assert_eq!(codes(&told(&pod, &policies)), ["AID013"], "{source}");
    }
}

#[test]
fn check_knows_exceptions_and_injectors() {
    let outcome = |pod: &Value, policy: AgentPolicy| {
        let mut world = World::new(vec![policy], true);
        world.add("ns", vec![two_containers()]);
        let pod = Pod { written: pod, namespace: "ns", governance: Governance::All, partial: false };
        check(pod, &world, now()).unwrap().verdict
    };
    let excepted = outcome(&mounts_nfs(), excepting(json!({})));
    assert_eq!((excepted.refusals.len(), excepted.warnings[0].code()), (0, "AID066"));
    assert_eq!(outcome(&meshed(), istio(json!({}))).refusals, []);
    assert_eq!(outcome(&meshed(), policy("other", json!({}))).refusals[0].code(), "AID011");
}
