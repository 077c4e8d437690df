//! Pods drawn at random.

use crate::{identity, injected, now, plain_pod, refusals};
use perpro_core::api::{ContainerGrant, KubernetesAccess, SecretKeyGrant};
use perpro_core::decide::check::{Governance, Pod, World, check};
use perpro_core::decide::credentials::{What, credentials};
use perpro_core::decide::pod::AgentPod;
use perpro_core::model::Identity;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const CONTAINERS: [&str; 3] = ["agent", "tool", "init"];
const SECRETS: [&str; 3] = ["crm", "llm", "foreign"];
const KEYS: [&str; 2] = ["k1", "k2"];

/// What a container is granted: a token or not, and keys under names of their own.
fn grants() -> impl Strategy<Value = Vec<ContainerGrant>> {
    let keys = prop::collection::btree_map(
        (prop::sample::select(&SECRETS[..2]), prop::sample::select(&KEYS[..])),
        (any::<bool>(), any::<bool>()),
        0..3,
    );
    let grant = (any::<bool>(), keys).prop_map(|(token, keys)| ContainerGrant {
        name: String::new(),
        images: vec![],
        kubernetes_access: if token { KubernetesAccess::Token } else { KubernetesAccess::None },
        secret_keys: keys
            .into_iter()
            .map(|((secret, key), (env, path))| SecretKeyGrant {
                secret: secret.into(),
                key: key.into(),
                env: (env || !path).then(|| format!("{secret}_{key}").to_uppercase()),
                path: path.then(|| format!("{secret}/{key}")),
            })
            .collect(),
    });
    prop::collection::vec(grant, 3).prop_map(|grants| {
        let named = grants.into_iter().zip(CONTAINERS);
        named.map(|(grant, name)| ContainerGrant { name: name.into(), ..grant }).collect()
    })
}

/// One volume: harmless, or one of the ways to bring a credential.
fn volume() -> impl Strategy<Value = Value> {
    let secret = || prop::sample::select(&SECRETS[..]);
    let key = || prop::sample::select(&KEYS[..]);
    prop_oneof![
        Just(json!({"emptyDir": {}})),
        Just(json!({"configMap": {"name": "c"}})),
        secret().prop_map(|s| json!({"secret": {"secretName": s}})),
        (secret(), key()).prop_map(|(s, k)| json!({"secret": {"secretName": s, "items": [{"key": k, "path": k}]}})),
        (secret(), key()).prop_map(|(s, k)| json!({"projected": {"sources": [{"secret": {"name": s, "items": [{"key": k, "path": k}]}}]}})),
        secret().prop_map(|s| json!({"projected": {"sources": [{"configMap": {"name": "c"}}, {"secret": {"name": s}}]}})),
        prop::option::of("[a-z]{1,4}").prop_map(|a| json!({"projected": {"sources": [{"serviceAccountToken": {"audience": a, "path": "t"}}]}})),
        Just(json!({"csi": {"driver": "d", "nodePublishSecretRef": {"name": "foreign"}}})),
        Just(json!({"hostPath": {"path": "/var/lib/kubelet"}})),
        Just(json!({"projected": {"sources": [{"podCertificate": {"signerName": "a/b", "keyType": "ED25519"}}]}})),
    ]
}

fn container(name: &'static str) -> impl Strategy<Value = Value> {
    let secret = || prop::sample::select(&SECRETS[..]);
    let key = || prop::sample::select(&KEYS[..]);
    let env = prop_oneof![
        Just(json!({"value": "plain"})),
        (secret(), key()).prop_map(|(s, k)| json!({"valueFrom": {"secretKeyRef": {"name": s, "key": k}}})),
    ];
    let envs = prop::collection::vec((prop::sample::select(vec!["A", "B", "CRM_K1", "LLM_K2"]), env), 0..2);
    let from = prop::option::weighted(0.1, secret());
    let mounts = prop::collection::btree_set(0..3_usize, 0..3);
    (envs, from, mounts).prop_map(move |(envs, from, mounts)| {
        let env: Vec<_> = envs
            .into_iter()
            .map(|(name, mut source)| {
                source["name"] = json!(name);
                source
            })
            .collect();
        let mounts: Vec<_> =
            mounts.iter().map(|i| json!({"name": format!("v{i}"), "mountPath": format!("/m{i}")})).collect();
        let from: Vec<_> = from.iter().map(|s| json!({"secretRef": {"name": s}})).collect();
        json!({"name": name, "image": "i", "env": env, "envFrom": from, "volumeMounts": mounts})
    })
}

fn pod() -> impl Strategy<Value = Value> {
    let volumes = prop::collection::vec(prop::option::weighted(0.6, volume()), 3);
    (volumes, container("agent"), container("tool"), prop::option::of(container("init"))).prop_map(
        |(volumes, agent, tool, init)| {
            let volumes: Vec<_> = volumes
                .into_iter()
                .enumerate()
                .map(|(i, v)| {
                    let mut v = v.unwrap_or_else(|| json!({"emptyDir": {}}));
                    v["name"] = json!(format!("v{i}"));
                    v
                })
                .collect();
            json!({
                "metadata": {"labels": {"perpro.dev/identity": "bot"}, "x-unknown": 1},
                "spec": {"containers": [agent, tool], "initContainers": init.into_iter().collect::<Vec<_>>(), "volumes": volumes}
            })
        },
    )
}

fn lists(identity: &Identity, container: Option<&str>, what: &What) -> bool {
    let Some(grant) = identity.spec.containers.iter().find(|g| Some(g.name.as_str()) == container) else {
        return false;
    };
    match what {
        What::SecretKey { secret, key, .. } => {
            grant.secret_keys.iter().any(|k| (&k.secret, &k.key) == (secret, key))
        }
        What::Token { audience: None, .. } => grant.kubernetes_access == KubernetesAccess::Token,
        _ => false,
    }
}

fn is_key(what: &What, listed: &SecretKeyGrant) -> bool {
    matches!(what, What::SecretKey { secret, key, .. } if (secret, key) == (&listed.secret, &listed.key))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn injecting_twice_is_injecting_once(raw in pod(), containers in grants()) {
        let identity = identity(containers);
        let once = injected(&raw, &identity);
        prop_assert_eq!(injected(&once, &identity), once);
    }

    #[test]
    fn what_inject_writes_admit_accepts(containers in grants()) {
        let identity = identity(containers);
        prop_assert_eq!(refusals(&injected(&plain_pod(), &identity), &identity), Vec::<String>::new());
    }

    #[test]
    fn an_admitted_pod_holds_what_its_identity_lists_and_nothing_else(raw in pod(), containers in grants()) {
        let identity = identity(containers);
        let stored = injected(&raw, &identity);
        if !refusals(&stored, &identity).is_empty() {
            return Ok(());
        }
        let stored = AgentPod::parse(&stored.to_string()).unwrap();
        let held = credentials(&stored);
        for credential in &held {
            prop_assert!(lists(&identity, credential.container.as_deref(), &credential.what), "{:?}", credential);
        }
        let has_init = stored.spec.init_containers.as_ref().is_some_and(|c| !c.is_empty());
        for grant in identity.spec.containers.iter().filter(|g| g.name != "init" || has_init) {
            for key in &grant.secret_keys {
                prop_assert!(held.iter().any(|c| c.container.as_ref() == Some(&grant.name) && is_key(&c.what, key)), "{:?}", key);
            }
        }
    }

    #[test]
    fn inject_keeps_what_it_does_not_know(raw in pod(), containers in grants()) {
        let stored = injected(&raw, &identity(containers));
        prop_assert_eq!(&stored["metadata"]["x-unknown"], &json!(1));
    }
}

#[test]
fn the_random_pods_are_both_admitted_and_refused() {
    // Or the property above would hold of nothing.
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut admitted, mut refused) = (0, 0);
    for _ in 0..2000 {
        let raw = pod().new_tree(&mut runner).unwrap().current();
        let identity = identity(grants().new_tree(&mut runner).unwrap().current());
        if refusals(&injected(&raw, &identity), &identity).is_empty() { admitted += 1 } else { refused += 1 }
    }
    assert!(admitted > 50 && refused > 50, "{admitted} admitted, {refused} refused");
}

/// The fields for which `check` refuses a pod, under this identity or where none is known.
fn checked(pod: &Value, identity: Option<Identity>) -> BTreeSet<String> {
    let mut world = World::new(Vec::new(), false);
    if let Some(identity) = identity {
        world.add("ns", vec![identity]);
    }
    let pod = Pod { written: pod, namespace: "ns", governance: Governance::All, partial: false };
    let outcome = check(pod, &world, now()).unwrap();
    outcome.verdict.refusals.into_iter().map(|r| r.path).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_refused_where_no_identity_is_known_is_refused_under_every_identity(pod in pod(), grants in grants()) {
        let without = checked(&pod, None);
        let under = checked(&pod, Some(identity(grants)));
        prop_assert!(without.is_subset(&under), "{without:?} {under:?}");
    }

    #[test]
    fn check_says_of_a_pod_what_admission_says_of_it(pod in pod(), grants in grants()) {
        let identity = identity(grants);
        let admission = refusals(&injected(&pod, &identity), &identity);
        let checked = checked(&pod, Some(identity));
        let paths: BTreeSet<_> = admission.iter().map(|r| r[7..].split(": ").next().unwrap().to_owned()).collect();
        prop_assert_eq!(checked, paths);
    }
}
