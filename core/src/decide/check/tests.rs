//! What is said of pods whose world is known, or is not.

use super::*;
use crate::api::{AgentIdentity, AgentPolicy};
use crate::decide::refusal::Refusal;
use rstest::rstest;
use serde_json::json;

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn identity(name: &str, spec: Value) -> AgentIdentity {
    let mut whole = json!({"owner": {"kind": "User", "name": "jane"}, "expiresAt": "2026-09-01T00:00:00Z",
        "justification": "Reads feedback."});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": whole})).unwrap()
}

fn reader() -> AgentIdentity {
    identity(
        "reader",
        json!({"secrets": [{"name": "crm", "rotateBy": "2030-01-01T00:00:00Z"}],
            "containers": [{"name": "agent", "images": ["ghcr.io/acme/"], "secretKeys": [{"secret": "crm", "key": "k", "env": "K"}]}]}),
    )
}

fn world(identities: Vec<AgentIdentity>) -> World {
    let mut world = World::new(Vec::new(), false);
    if !identities.is_empty() {
        let stored = identities.into_iter().enumerate();
        world.add("ns", stored.map(|(i, written)| as_stored(written, "ns", None, i, now())).collect());
    }
    world
}

fn pod(labels: Value, spec: Value) -> Value {
    let mut whole = json!({"containers": [{"name": "agent", "image": "ghcr.io/acme/a:1"}]});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({"metadata": {"labels": labels}, "spec": whole})
}

fn told(refusals: &[Refusal]) -> Vec<String> {
    refusals.iter().map(|r| format!("{} {}", r.code(), r.path)).collect()
}

fn asked(written: &Value, governance: Governance, world: &World) -> Option<Vec<String>> {
    let pod = Pod { written, namespace: "ns", governance, partial: false };
    check(pod, world, now()).map(|outcome| told(&outcome.verdict.refusals))
}

const LABEL: &str = "metadata.labels[perpro.dev/identity]";

#[rstest]
#[case::plain(json!({"app": "a"}), [Some("AID001"), None, None])]
#[case::says_it_is_one(json!({"perpro.dev/agent": "true"}), [Some("AID001"), Some("AID001"), None])]
#[case::says_it_is_none(json!({"perpro.dev/agent": "false"}), [Some("AID001"), None, None])]
#[case::says_so_without_quotes(json!({"perpro.dev/agent": true}), [Some("AID028"), Some("AID028"), None])]
#[case::an_empty_name(json!({"perpro.dev/identity": ""}), [Some("AID001"), Some("AID001"), Some("AID010")])]
#[case::no_value(json!({"perpro.dev/identity": null}), [Some("AID001"), Some("AID001"), Some("AID010")])]
#[case::no_name(json!({"perpro.dev/identity": "A/b"}), [Some("AID002"), Some("AID002"), Some("AID010")])]
#[case::another(json!({"perpro.dev/identity": "writer"}), [Some("AID002"), Some("AID002"), Some("AID010")])]
#[case::an_agent(json!({"perpro.dev/identity": "reader"}), [Some(""), Some(""), Some("AID010")])]
fn who_is_asked_depends_on_the_namespace(#[case] labels: Value, #[case] expected: [Option<&str>; 3]) {
    let world = world(vec![reader()]);
    let pod = pod(labels, json!({}));
    let answers = [Governance::All, Governance::Agents, Governance::Nobody].map(|g| {
        let told = asked(&pod, g, &world)?;
        Some(told.first().map(|t| t[..6].to_owned()).unwrap_or_default())
    });
    assert_eq!(answers.each_ref().map(Option::as_deref), expected);
}

#[test]
fn a_pod_without_a_known_identity_is_told_what_no_identity_allows() {
    let labels = json!({"perpro.dev/identity": "reader"});
    let key = json!({"secretKeyRef": {"name": "s", "key": "k"}});
    let pod = pod(
        labels,
        json!({"hostPID": true, "containers": [{"name": "agent", "image": "i",
            "env": [{"name": "A", "valueFrom": key}], "envFrom": [{"secretRef": {"name": "all"}}],
            "volumeMounts": [{"name": "t", "mountPath": "/t"}, {"name": "k", "mountPath": "/k"}]}],
            "volumes": [{"name": "k", "secret": {"secretName": "s", "items": [{"key": "k", "path": "k"}]}},
                {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 600}},
                    {"serviceAccountToken": {"path": "v", "audience": "vault"}}]}}]}),
    );
    let holes = [
        "AID004 spec.hostPID",
        "AID012 spec.containers[0].envFrom[0]",
        "AID011 spec.volumes[1].projected.sources[1].serviceAccountToken",
    ];
    assert_eq!(asked(&pod, Governance::Agents, &world(vec![])).unwrap(), holes);
    let unseen = check(
        Pod { written: &pod, namespace: "ns", governance: Governance::Agents, partial: false },
        &world(vec![]),
        now(),
    );
    assert!(unseen.unwrap().unseen);
    // Where there are identities, but not this one, it is missing.
    let missing = format!("AID002 {LABEL}");
    let all: Vec<_> = [missing.as_str()].into_iter().chain(holes).collect();
    assert_eq!(asked(&pod, Governance::Agents, &world(vec![identity("other", json!({}))])).unwrap(), all);
    let mut unreadable = World::new(Vec::new(), true);
    unreadable.add_unreadable("ns", "reader");
    assert_eq!(asked(&pod, Governance::Agents, &unreadable).unwrap(), holes);
    assert_eq!(asked(&pod, Governance::Agents, &World::new(Vec::new(), true)).unwrap(), all);
}

#[rstest]
#[case::none(json!({}), "AID001")]
#[case::an_empty_name(json!({"perpro.dev/identity": ""}), "AID001")]
#[case::no_name(json!({"perpro.dev/identity": "A/b"}), "AID002")]
fn a_pod_that_names_no_identity_is_told_at_once_what_is_wrong_under_any(
    #[case] labels: Value,
    #[case] code: &str,
) {
    let pod = pod(
        labels,
        json!({"hostPID": true, "serviceAccountName": "shared", "containers": [{"name": "agent", "image": "i",
            "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
            "envFrom": [{"secretRef": {"name": "all"}}]}],
            "volumes": [{"name": "c", "csi": {"driver": "d"}}]}),
    );
    let expected = [
        &format!("{code} {LABEL}"),
        "AID004 spec.hostPID",
        "AID013 spec.volumes[0].csi",
        "AID012 spec.containers[0].envFrom[0]",
    ];
    for world in [world(vec![]), world(vec![reader()])] {
        assert_eq!(asked(&pod, Governance::All, &world).unwrap(), expected);
        let of = Pod { written: &pod, namespace: "ns", governance: Governance::All, partial: false };
        let outcome = check(of, &world, now()).unwrap();
        assert_eq!((outcome.identity, outcome.unseen), (None, false));
        assert_eq!(told(&outcome.verdict.warnings), ["AID061 spec.serviceAccountName"]);
    }
}

#[rstest]
#[case::by_the_old_field(json!({"serviceAccount": "shared"}), &["AID061 spec.serviceAccount"])]
#[case::by_both(json!({"serviceAccountName": "shared", "serviceAccount": "shared"}), &["AID061 spec.serviceAccountName"])]
#[case::by_the_old_one_as_the_other_is_empty(json!({"serviceAccountName": "", "serviceAccount": "shared"}), &["AID061 spec.serviceAccount"])]
#[case::the_other_counts(json!({"serviceAccountName": "default", "serviceAccount": "shared"}), &[])]
#[case::empty(json!({"serviceAccountName": ""}), &[])]
#[case::default(json!({"serviceAccount": "default"}), &[])]
fn an_account_that_a_pod_will_not_have_is_told_where_it_is_named(
    #[case] spec: Value,
    #[case] expected: &[&str],
) {
    let pod = pod(json!({"perpro.dev/identity": "reader"}), spec);
    let of = Pod { written: &pod, namespace: "ns", governance: Governance::All, partial: false };
    let outcome = check(of, &world(vec![]), now()).unwrap();
    assert_eq!(told(&outcome.verdict.warnings), expected);
    assert_eq!(told(&outcome.verdict.refusals), Vec::<String>::new());
}

#[test]
fn paths_are_those_of_the_pod_as_it_was_written() {
    let labels = json!({"perpro.dev/identity": "reader"});
    let pod = pod(
        labels,
        json!({"containers": [{"name": "agent", "image": "ghcr.io/acme/a", "env": [{"name": "X", "value": "1", "vault": 1}]}],
            "volumes": [{"name": "kube-api-access-x", "emptyDir": {}}, {"name": "h", "hostPath": {"path": "/"}}]}),
    );
    let expected = ["AID004 spec.volumes[1].hostPath", "AID014 spec.containers[0].env[0].vault"];
    assert_eq!(asked(&pod, Governance::Agents, &world(vec![reader()])).unwrap(), expected);
}

#[test]
fn of_two_identities_that_list_a_secret_the_first_owns_it() {
    let younger =
        identity("younger", json!({"secrets": [{"name": "crm", "rotateBy": "2030-01-01T00:00:00Z"}]}));
    let world = world(vec![reader(), younger]);
    let of = |name: &str| {
        asked(&pod(json!({"perpro.dev/identity": name}), json!({})), Governance::All, &world).unwrap()
    };
    assert_eq!((of("reader"), of("younger")), (vec![], vec![format!("AID022 {LABEL}")]));
}

#[test]
fn what_others_add_to_a_template_is_not_missed() {
    let grants = json!({"containers": [{"name": "agent", "images": ["ghcr.io/acme/"]}, {"name": "mcp", "images": ["ghcr.io/acme/"]}]});
    let policy = AgentPolicy::new(
        "p",
        serde_json::from_value(json!({"namespaces": ["ns"], "images": ["ghcr.io/"]})).unwrap(),
    );
    let mut world = World::new(vec![policy], true);
    world.add("ns", vec![as_stored(identity("reader", grants), "ns", None, 0, now())]);
    let written = pod(
        json!({"perpro.dev/identity": "reader"}),
        json!({"containers": [{"name": "mcp", "envFrom": [{"secretRef": {"name": "s"}}]}]}),
    );
    let of = |partial| {
        let verdict = check(
            Pod { written: &written, namespace: "ns", governance: Governance::All, partial },
            &world,
            now(),
        )
        .unwrap()
        .verdict;
        (told(&verdict.refusals), told(&verdict.warnings))
    };
    let whole = "AID012 spec.containers[0].envFrom[0]".to_owned();
    assert_eq!(of(true), (vec![whole.clone()], vec![]));
    let image = "spec.containers[0].image";
    assert_eq!(
        of(false),
        (
            vec![format!("AID057 {image}"), format!("AID020 {image}"), whole],
            vec!["AID060 spec.containers".to_owned()]
        )
    );
}

#[test]
fn an_identity_that_is_stored_as_it_is_written_stays_the_same() {
    let mut live = as_stored(reader(), "ns", None, 7, now());
    (live.uid, live.generation, live.author) = ("u".to_owned(), 4, None);
    assert_eq!(as_stored(reader(), "ns", Some(&live), 0, now()), live);
    let wider = as_stored(identity("reader", json!({})), "ns", Some(&live), 0, now());
    assert_eq!((wider.uid.as_str(), wider.generation, wider.author.is_some()), ("u", 5, true));
}
