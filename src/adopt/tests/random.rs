//! Workloads drawn at random, of parts that can be adopted.

use super::*;
use perpro_core::decide::credentials::{Place, What, credentials};
use perpro_core::decide::pod::AgentPod;
use proptest::prelude::*;
use std::collections::BTreeMap;

const KEYS: [(&str, &str); 4] = [("crm", "k1"), ("crm", "k2"), ("llm", "k1"), ("llm", "API_KEY")];

fn key() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(&KEYS[..])
}

fn secret() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["crm", "llm"][..])
}

fn volume() -> impl Strategy<Value = Value> {
    let item = |k: &str| json!([{"key": k, "path": format!("f/{k}")}]);
    prop_oneof![
        Just(json!({"emptyDir": {}})),
        secret().prop_map(|s| json!({"secret": {"secretName": s}})),
        Just(json!({"secret": {"secretName": "gone", "optional": true}})),
        key().prop_map(move |(s, k)| json!({"secret": {"secretName": s, "items": item(k)}})),
        (secret(), key()).prop_map(move |(s, (t, k))| json!({"projected": {"sources": [
            {"secret": {"name": s}}, {"configMap": {"name": "c"}}, {"secret": {"name": t, "items": item(k)}}]}})),
        prop::option::of(600..9000_u32).prop_map(|s| json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": s}}]}})),
    ]
}

fn container(name: &'static str) -> impl Strategy<Value = Value> {
    let env = prop_oneof![
        Just(json!({"value": "yes"})),
        key().prop_map(|(s, k)| json!({"valueFrom": {"secretKeyRef": {"name": s, "key": k}}})),
    ];
    let envs =
        prop::collection::btree_map(prop::sample::select(vec!["A", "k1", "API_KEY", "a.b"]), env, 0..4);
    let source = prop_oneof![
        secret().prop_map(|s| json!({"secretRef": {"name": s}})),
        secret().prop_map(|s| json!({"prefix": "P_", "secretRef": {"name": s}})),
        Just(json!({"secretRef": {"name": "gone", "optional": true}})),
        Just(json!({"configMapRef": {"name": "c"}})),
    ];
    let from = prop::collection::vec(source, 0..3);
    let mounts = prop::collection::btree_map(0..3_usize, prop::option::weighted(0.2, Just("k1")), 0..3);
    (envs, from, mounts).prop_map(move |(envs, from, mounts)| {
        let env: Vec<_> = envs
            .into_iter()
            .map(|(name, mut source)| {
                source["name"] = json!(name);
                source
            })
            .collect();
        let mount = |(i, file): (usize, Option<&str>)| {
            let mut mount = json!({"name": format!("v{i}"), "mountPath": format!("/m{i}")});
            if let Some(file) = file {
                mount["subPath"] = json!(file);
            }
            mount
        };
        let mounts: Vec<_> = mounts.into_iter().map(mount).collect();
        json!({"name": name, "image": "i:1", "env": env, "envFrom": from, "volumeMounts": mounts})
    })
}

fn pod() -> impl Strategy<Value = Value> {
    let volumes = prop::collection::vec(volume(), 3);
    (volumes, container("agent"), container("tool"), prop::option::of(container("init")), any::<bool>())
        .prop_map(|(volumes, agent, tool, init, own)| {
            let named = |(i, mut volume): (usize, Value)| {
                volume["name"] = json!(format!("v{i}"));
                volume
            };
            let volumes: Vec<_> = volumes.into_iter().enumerate().map(named).collect();
            let init: Vec<_> = init.into_iter().collect();
            let mut spec = json!({"containers": [agent, tool], "initContainers": init, "volumes": volumes});
            if own {
                spec["serviceAccountName"] = json!("bot");
            }
            spec
        })
}

/// Which key a container finds in which variable, or file: those of whole Secrets written out.
fn found(spec: &Value, known: &Known) -> BTreeMap<(String, String), (String, String)> {
    let mut found = BTreeMap::new();
    for list in ["initContainers", "containers"] {
        for container in spec[list].as_array().into_iter().flatten() {
            let name = container["name"].as_str().unwrap();
            for source in container["envFrom"].as_array().into_iter().flatten() {
                let Some(secret) = source["secretRef"]["name"].as_str() else { continue };
                let Secret::Keys(keys) = known.secrets.of(secret) else { continue };
                for key in keys
                    .iter()
                    .filter(|k| keys::is_variable(&format!("{}{k}", source["prefix"].as_str().unwrap_or(""))))
                {
                    let variable = format!("{}{key}", source["prefix"].as_str().unwrap_or(""));
                    found.insert((name.to_owned(), variable), (secret.to_owned(), key.clone()));
                }
            }
            // A variable of its own wins, whatever it holds.
            for env in container["env"].as_array().into_iter().flatten() {
                found.remove(&(name.to_owned(), env["name"].as_str().unwrap().to_owned()));
            }
        }
    }
    let pod = AgentPod::parse(&json!({ "spec": spec }).to_string()).unwrap();
    for credential in credentials(&pod) {
        let (Some(container), What::SecretKey { secret, key, place }) =
            (credential.container, credential.what)
        else {
            continue;
        };
        let place = match place {
            Place::Env(name) => name,
            Place::File(path) => path,
            Place::Unmounted => continue,
        };
        found.insert((container, place), (secret, key));
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_of_any_workload_admission_lets_through(spec in pod()) {
        let adopted = adopted(&spec, &known(), &whole_wish());
        prop_assert_eq!(refused(&adopted.text), Vec::<String>::new(), "{}", adopted.text);
    }

    #[test]
    fn each_container_finds_every_key_where_it_looked(spec in pod()) {
        let known = known();
        let before = found(&spec, &known);
        let adopted = adopted(&spec, &known, &whole_wish());
        let Written { identity, workload, .. } = written(&adopted.text);
        let mut after = found(&workload["spec"]["template"]["spec"], &known);
        // perpro sets what the identity lists.
        for grant in &identity.spec.containers {
            for key in &grant.secret_keys {
                if let Some(env) = &key.env {
                    after.insert((grant.name.clone(), env.clone()), (key.secret.clone(), key.key.clone()));
                }
            }
        }
        for (place, key) in before {
            prop_assert_eq!(after.get(&place), Some(&key), "{:?}\n{}", place, adopted.text);
        }
    }

    #[test]
    fn what_was_adopted_needs_nothing_more(spec in pod()) {
        let first = adopted(&spec, &known(), &whole_wish());
        let template = written(&first.text).workload["spec"]["template"]["spec"].clone();
        let again = adopted(&template, &known(), &whole_wish());
        prop_assert_eq!(&written(&again.text).workload["spec"]["template"]["spec"], &template);
    }
}
