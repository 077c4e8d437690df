//! One case for each thing that a workload can use.

use super::*;
use rstest::rstest;

fn pod(container: &Value, spec: &Value) -> Value {
    let mut agent = json!({"name": "agent", "image": "ghcr.io/acme/agent:1"});
    agent.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
    let mut pod = json!({"containers": [agent]});
    pod.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    pod
}

fn key(secret: &str, key: &str) -> Value {
    json!({"secretKeyRef": {"name": secret, "key": key}})
}

/// The keys that the identity lists for the container, as `secret/key env=... path=...`.
fn listed(written: &Written) -> Vec<String> {
    let keys = &written.identity.spec.containers[0].secret_keys;
    let place = |name: &str, place: &Option<String>| {
        place.as_ref().map(|p| format!(" {name}={p}")).unwrap_or_default()
    };
    keys.iter()
        .map(|k| format!("{}/{}{}{}", k.secret, k.key, place("env", &k.env), place("path", &k.path)))
        .collect()
}

fn mounted(volume: Value) -> Value {
    pod(
        &json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}),
        &json!({ "volumes": [with_name(volume)] }),
    )
}

fn with_name(mut volume: Value) -> Value {
    volume["name"] = json!("v");
    volume
}

#[rstest]
#[case::nothing(pod(&json!({}), &json!({})), &[])]
#[case::a_variable(pod(&json!({"env": [{"name": "K", "valueFrom": key("crm", "k1")}]}), &json!({})), &["crm/k1 env=K"])]
#[case::a_variable_of_an_unread_secret(pod(&json!({"env": [{"name": "K", "valueFrom": key("other", "k")}]}), &json!({})), &["other/k env=K"])]
#[case::two_variables_of_one_key(pod(&json!({"env": [{"name": "K", "valueFrom": key("crm", "k1")}, {"name": "L", "valueFrom": key("crm", "k1")}]}), &json!({})), &["crm/k1 env=K"])]
#[case::all_by_env_from(pod(&json!({"envFrom": [{"secretRef": {"name": "crm"}}]}), &json!({})), &["crm/k1 env=k1", "crm/k2 env=k2"])]
#[case::with_a_prefix(pod(&json!({"envFrom": [{"prefix": "P_", "secretRef": {"name": "crm"}}]}), &json!({})), &["crm/k1 env=P_k1", "crm/k2 env=P_k2"])]
#[case::only_what_can_be_a_variable(pod(&json!({"envFrom": [{"secretRef": {"name": "llm"}}]}), &json!({})), &["llm/API_KEY env=API_KEY", "llm/k1 env=k1", "llm/tls.crt env=tls.crt"])]
#[case::a_later_source_wins(pod(&json!({"envFrom": [{"secretRef": {"name": "llm"}}, {"secretRef": {"name": "crm"}}]}), &json!({})),
    &["crm/k1 env=k1", "crm/k2 env=k2", "llm/API_KEY env=API_KEY", "llm/tls.crt env=tls.crt"])]
#[case::a_variable_wins_over_a_source(pod(&json!({"env": [{"name": "k1", "value": "x"}], "envFrom": [{"secretRef": {"name": "crm"}}]}), &json!({})), &["crm/k2 env=k2"])]
#[case::an_optional_secret_that_is_not_there(pod(&json!({"envFrom": [{"secretRef": {"name": "gone", "optional": true}}]}), &json!({})), &[])]
#[case::a_volume_with_items(mounted(json!({"secret": {"secretName": "crm", "items": [{"key": "k1", "path": "a"}]}})), &["crm/k1 path=crm/k1"])]
#[case::a_whole_volume(mounted(json!({"secret": {"secretName": "crm", "defaultMode": 288}})), &["crm/k1 path=crm/k1", "crm/k2 path=crm/k2"])]
#[case::a_hidden_file(mounted(json!({"secret": {"secretName": "llm", "items": [{"key": ".hidden", "path": ".hidden"}]}})), &["llm/.hidden path=llm/_hidden"])]
#[case::a_projected_volume(mounted(json!({"projected": {"sources": [{"configMap": {"name": "c"}}, {"secret": {"name": "crm"}}]}})), &["crm/k1 path=crm/k1", "crm/k2 path=crm/k2"])]
#[case::an_empty_secret(mounted(json!({"secret": {"secretName": "empty"}})), &[])]
#[case::an_optional_volume(mounted(json!({"secret": {"secretName": "gone", "optional": true}})), &[])]
#[case::an_optional_key(mounted(json!({"secret": {"secretName": "crm", "optional": true, "items": [{"key": "no", "path": "n"}, {"key": "k1", "path": "a"}]}})), &["crm/k1 path=crm/k1"])]
#[case::a_token_that_nobody_mounts(
    pod(&json!({}), &json!({"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"audience": "vault", "path": "t"}}]}}]})), &[]
)]
#[case::no_mount(pod(&json!({}), &json!({"volumes": [{"name": "v", "secret": {"secretName": "crm"}}]})), &[])]
#[case::single_files(pod(&json!({"volumeMounts": [{"name": "v", "mountPath": "/a", "subPath": "k2"}]}), &json!({"volumes": [{"name": "v", "secret": {"secretName": "crm"}}]})), &["crm/k2 path=crm/k2"])]
#[case::a_variable_and_a_file(pod(&json!({"env": [{"name": "K", "valueFrom": key("crm", "k1")}], "volumeMounts": [{"name": "v", "mountPath": "/v"}]}),
    &json!({"volumes": [{"name": "v", "secret": {"secretName": "crm", "items": [{"key": "k1", "path": "a"}]}}]})), &["crm/k1 env=K"])]
fn each_key_is_listed_where_it_was_found_and_admission_lets_it_through(
    #[case] spec: Value,
    #[case] expected: &[&str],
) {
    let adopted = adopted(&spec, &known(), &whole_wish());
    assert_eq!(listed(&written(&adopted.text)), expected, "{}", adopted.text);
    assert_eq!(refused(&adopted.text), Vec::<String>::new(), "{}", adopted.text);
}

#[test]
fn files_stay_where_they_were_and_variables_keep_their_names() {
    let container = json!({"envFrom": [{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "crm"}}],
        "env": [{"name": "MINE", "valueFrom": key("crm", "k1")}],
        "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": true}]});
    let volume = json!({"name": "v", "secret": {"secretName": "llm", "defaultMode": 288}});
    let adopted = adopted(&pod(&container, &json!({ "volumes": [volume] })), &known(), &whole_wish());
    let Written { workload, .. } = written(&adopted.text);
    let spec = &workload["spec"]["template"]["spec"];
    let agent = &spec["containers"][0];
    assert_eq!(agent["envFrom"], json!([{"configMapRef": {"name": "c"}}]));
    // Listed as MINE, so the other name is written out; inject adds k2.
    assert_eq!(
        agent["env"],
        json!([{"name": "k1", "valueFrom": key("crm", "k1")}, {"name": "MINE", "valueFrom": key("crm", "k1")}])
    );
    assert_eq!(agent["volumeMounts"], container["volumeMounts"]);
    let item = |k: &str| json!({"key": k, "path": k});
    let items = [".hidden", "9", "API_KEY", "k1", "tls.crt"].map(item);
    assert_eq!(
        spec["volumes"][0],
        json!({"name": "v", "secret": {"secretName": "llm", "defaultMode": 288, "items": items}})
    );
    let expected = "container \"agent\" takes all of Secret \"llm\" by volume \"v\"; it has the keys .hidden, 9, API_KEY, k1, tls.crt: \
        all are listed, and the agent probably needs fewer";
    assert!(adopted.notes.iter().any(|n| n == expected), "{:?}", adopted.notes);
}

#[rstest]
#[case::host_path(json!({"volumes": [{"name": "h", "hostPath": {"path": "/"}}]}), "AID004 spec.volumes[0].hostPath")]
#[case::host_network(json!({"hostNetwork": true}), "AID004 spec.hostNetwork")]
#[case::another_audience(json!({"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"audience": "vault", "path": "t"}}]}}],
    "containers": [{"name": "agent", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}), "AID011 spec.volumes[0].projected.sources[0].serviceAccountToken")]
#[case::a_driver(json!({"volumes": [{"name": "c", "csi": {"driver": "d"}}]}), "AID013 spec.volumes[0].csi")]
fn what_cannot_be_adopted_is_left_as_it_is_and_refused(#[case] change: Value, #[case] expected: &str) {
    let adopted = adopted(&pod(&json!({}), &change), &known(), &whole_wish());
    assert_eq!(refused(&adopted.text), [expected], "{}", adopted.text);
    let Written { workload, .. } = written(&adopted.text);
    for (field, value) in change.as_object().unwrap() {
        assert_eq!(&workload["spec"]["template"]["spec"][field], value);
    }
}

#[rstest]
#[case::env_from(pod(&json!({"envFrom": [{"secretRef": {"name": "unseen"}}]}), &json!({})), "AID012 spec.containers[0].envFrom[0]")]
#[case::a_volume(mounted(json!({"secret": {"secretName": "unseen"}})), "AID012 spec.volumes[0].secret")]
#[case::one_that_is_not_there(pod(&json!({"envFrom": [{"secretRef": {"name": "gone"}}]}), &json!({})), "AID012 spec.containers[0].envFrom[0]")]
fn a_secret_whose_keys_nobody_knows_stays_and_is_told(#[case] spec: Value, #[case] expected: &str) {
    let adopted = adopted(&spec, &known(), &whole_wish());
    assert_eq!(refused(&adopted.text), [expected]);
    assert!(adopted.notes.iter().any(|n| n.contains("its keys can't be listed")), "{:?}", adopted.notes);
}

#[test]
fn what_the_server_wrote_is_gone_and_what_nobody_knows_stays() {
    let adopted = adopted(&pod(&json!({}), &json!({"newField": {"deep": [1]}})), &known(), &whole_wish());
    let Written { workload, .. } = written(&adopted.text);
    assert_eq!(workload["metadata"], json!({"name": "bot", "namespace": "ns"}));
    assert_eq!(workload.get("status"), None);
    let template = &workload["spec"]["template"];
    assert_eq!(template["metadata"], json!({"labels": {"app": "bot", "perpro.dev/identity": "bot"}}));
    assert_eq!(template["spec"]["newField"], json!({"deep": [1]}));
}

/// Roles of account `bot`, and the account.
fn with_roles(rules: Value, account: Value) -> Known {
    let mut whole =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot", "namespace": "ns"}});
    whole.as_object_mut().unwrap().extend(account.as_object().unwrap().clone());
    let role = json!({"kind": "Role", "metadata": {"name": "r", "namespace": "ns"}, "rules": rules});
    let binding = json!({"kind": "RoleBinding", "metadata": {"name": "b", "namespace": "ns"},
        "roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "ServiceAccount", "name": "bot", "namespace": "ns"}]});
    Known { objects: vec![whole, role, binding], ..known() }
}

fn reads() -> Value {
    json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}])
}

#[rstest]
#[case::mounted(json!({"serviceAccountName": "bot"}), json!({}), true)]
#[case::the_pod_says_no(json!({"serviceAccountName": "bot", "automountServiceAccountToken": false}), json!({}), false)]
#[case::the_account_says_no(json!({"serviceAccountName": "bot"}), json!({"automountServiceAccountToken": false}), false)]
#[case::the_pod_knows_better(json!({"serviceAccountName": "bot", "automountServiceAccountToken": true}), json!({"automountServiceAccountToken": false}), true)]
#[case::an_account_without_power(json!({}), json!({}), false)]
fn a_container_has_a_token_that_had_one_for_something(
    #[case] spec: Value,
    #[case] account: Value,
    #[case] token: bool,
) {
    let adopted = adopted(&pod(&json!({}), &spec), &with_roles(reads(), account), &whole_wish());
    let written = written(&adopted.text);
    let access = written.identity.spec.containers[0].kubernetes_access;
    assert_eq!(access == KubernetesAccess::Token, token, "{}", adopted.text);
    assert_eq!(refused(&adopted.text), Vec::<String>::new());
    assert_eq!(adopted.text.contains("kubernetesAccess"), token);
    let account = &written.workload["spec"]["template"]["spec"]["serviceAccountName"];
    assert_eq!(account == "default", spec.get("serviceAccountName").is_some());
}

#[test]
fn a_token_of_the_pods_own_is_made_as_short_as_policies_want_it() {
    let token = json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 7200}}]}});
    let adopted = adopted(&mounted(token), &known(), &whole_wish());
    assert_eq!(refused(&adopted.text), Vec::<String>::new(), "{}", adopted.text);
    assert!(adopted.text.contains("expirationSeconds: 900"), "{}", adopted.text);
}

#[test]
fn permissions_come_with_a_policy_as_wide_and_what_is_left_out_stands_beside_them() {
    let rules = json!([reads()[0], {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    let spec = json!({"serviceAccountName": "bot", "imagePullSecrets": [{"name": "pull"}]});
    let adopted = adopted(&pod(&json!({}), &spec), &with_roles(rules, json!({})), &whole_wish());
    let Written { policies, identity, .. } = written(&adopted.text);
    let policy = serde_json::to_value(&policies[0].spec).unwrap();
    assert_eq!(policy["namespaces"], json!(["ns"]));
    assert_eq!(policy["permissions"], serde_json::to_value(&identity.spec.permissions).unwrap());
    assert_eq!(policy["owners"], json!({"users": ["jane@example.com"]}));
    assert_eq!(
        (&policy["maxLifetimeDays"], &policy["images"]),
        (&json!(90), &json!(["ghcr.io/acme/agent:"]))
    );
    assert_eq!(policy["imagePullSecrets"], json!(["pull"]));
    let told = "left out: * *.* (Role r): an agent's permissions hold no wildcard (AID030)";
    assert!(adopted.notes.iter().any(|n| n == told), "{:?}", adopted.notes);
    assert!(
        adopted.text.contains(
            "  # Left out: * *.* (Role r): an agent's permissions hold no wildcard (AID030)\n  permissions:\n"
        ),
        "{}",
        adopted.text
    );
}

#[test]
fn a_policy_beside_other_identities_bounds_nothing_of_theirs() {
    let spec = pod(&json!({}), &json!({"serviceAccountName": "bot", "imagePullSecrets": [{"name": "pull"}]}));
    let beside = Known { other_identities: true, ..with_roles(reads(), json!({})) };
    let adopted = adopted(&spec, &beside, &whole_wish());
    let policy = serde_json::to_value(&written(&adopted.text).policies[0].spec).unwrap();
    assert_eq!([&policy["owners"], &policy["images"], &policy["imagePullSecrets"]], [&Value::Null; 3]);
    assert_eq!(policy["maxLifetimeDays"], 365);
    assert_eq!(refused(&adopted.text), Vec::<String>::new());
}

#[test]
fn an_identity_without_permissions_needs_no_policy_but_to_live_long() {
    let spec = pod(&json!({}), &json!({}));
    let adopted = adopted(&spec, &known(), &whole_wish());
    assert_eq!(written(&adopted.text).policies, []);
    let long = Wish { expires: Some("2028-11-01T12:00:00Z".parse().unwrap()), ..whole_wish() };
    let adopted = super::adopted(&spec, &known(), &long);
    assert_eq!(written(&adopted.text).policies[0].spec.max_lifetime_days, 731);
    assert_eq!(refused(&adopted.text), Vec::<String>::new());
}

#[test]
fn the_pull_secrets_of_the_account_come_along() {
    let known = with_roles(reads(), json!({"imagePullSecrets": [{"name": "registry"}]}));
    let adopted = adopted(&pod(&json!({}), &json!({"serviceAccountName": "bot"})), &known, &whole_wish());
    let pulls = &written(&adopted.text).workload["spec"]["template"]["spec"]["imagePullSecrets"];
    assert_eq!(pulls, &json!([{"name": "registry"}]));
    assert_eq!(refused(&adopted.text), Vec::<String>::new());
}

fn policy(name: &str, spec: Value) -> AgentPolicy {
    AgentPolicy::new(name, serde_json::from_value(spec).unwrap())
}

#[rstest]
#[case::wide_enough(json!({"namespaces": ["ns"], "permissions": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}), &[])]
#[case::of_all_and_wide_enough(json!({"namespaces": ["*"], "permissions": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}), &[])]
#[case::of_others(json!({"namespaces": ["other"]}), &["ns"])]
#[case::too_few_permissions(json!({"namespaces": ["ns", "x"], "drainSeconds": 5}), &["there"])]
#[case::of_all_and_too_narrow(json!({"namespaces": ["*"], "drainSeconds": 5}), &["ns"])]
#[case::other_owners_and_images(json!({"namespaces": ["ns"], "drainSeconds": 5, "owners": {"groups": ["x"]}, "images": ["docker.io/"], "maxLifetimeDays": 7, "imagePullSecrets": []}), &["there"])]
fn a_policy_is_written_only_where_one_lacks_something(#[case] there: Value, #[case] expected: &[&str]) {
    let policies = vec![policy("there", there.clone())];
    let known = Known { policies: policies.clone(), ..with_roles(reads(), json!({})) };
    let spec = json!({"serviceAccountName": "bot", "imagePullSecrets": [{"name": "pull"}]});
    let adopted = adopted(&pod(&json!({}), &spec), &known, &whole_wish());
    let written = written(&adopted.text);
    let names: Vec<_> = written.policies.iter().map(|p| p.metadata.name.as_deref().unwrap()).collect();
    assert_eq!(names, expected, "{}", adopted.text);
    if !expected.is_empty() && there["drainSeconds"] == 5 {
        assert_eq!(written.policies[0].spec.drain_seconds, 5, "what it said before");
        assert_eq!(refused(&adopted.text), Vec::<String>::new(), "{}", adopted.text);
    }
    assert_eq!(
        adopted.notes.iter().any(|n| n.contains("is wide enough")),
        expected.is_empty(),
        "{:?}",
        adopted.notes
    );
}

#[test]
fn what_only_a_person_knows_is_asked_for_and_admission_refuses_the_rest_in_words() {
    let spec = pod(&json!({"env": [{"name": "K", "valueFrom": key("crm", "k1")}]}), &json!({}));
    let adopted = adopted(&spec, &known(), &Wish::default());
    assert_eq!(adopted.missing, ["--owner", "--expires", "--justification"]);
    let objects = read(adopted.text.as_bytes()).objects;
    let identity = objects.iter().find(|o| o.kind == "AgentIdentity").unwrap();
    let judged = Definitions::default().identity(&identity.node.to_json());
    let mut told: Vec<_> = judged.refusals.iter().map(|r| (r.path.as_str(), r.code())).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            ("spec.expiresAt", "AID028"),
            ("spec.justification", "AID042"),
            ("spec.owner.name", "AID041"),
            ("spec.secrets[0].rotateBy", "AID028")
        ],
        "{}",
        adopted.text
    );
    assert_eq!(adopted.text.matches("FILL IN").count(), told.len(), "each is told once");
}

#[rstest]
#[case("ghcr.io/acme/agent:1.2", "ghcr.io/acme/agent:")]
#[case("localhost:5000/agent", "localhost:5000/agent")]
#[case("localhost:5000/agent:1@sha256:ab", "localhost:5000/agent:")]
#[case("agent@sha256:ab", "agent@")]
#[case("python", "python")]
fn any_version_of_an_image_may_run(#[case] image: &str, #[case] expected: &str) {
    assert_eq!(image_prefix(image).as_deref(), Some(expected));
    assert!(perpro_core::decide::image::matches(image, expected));
}

#[test]
fn what_a_controller_made_is_not_adopted() {
    let mut object = deployment(&pod(&json!({}), &json!({})));
    let owner = json!({"kind": "ReplicaSet", "name": "x", "controller": true});
    object.node.get_mut("metadata").unwrap().set("ownerReferences", Node::of_json(json!([owner])));
    assert_eq!(made_by(&object).as_deref(), Some("replicaset/x"));
}

#[test]
fn comments_are_put_above_their_lines() {
    let text = annotate("a:\n  b: 1\n", &[(2, "AID004: no".to_owned())]);
    assert_eq!(text, "a:\n  # AID004: no\n  b: 1\n");
}
