//! Every field of a pod that the API has, by its own schema: what it is to credentials, and a pod that has it.

mod classes;
mod schema;

use crate::{identity, injected, now, plain_pod, two_containers};
use classes::{CLASSES, CONTAINER, Class, classify, common, lies_in};
use k8s_openapi::api::core::v1::PodSpec;
use perpro_core::decide::admit::{Context, Verdict, admit};
use perpro_core::decide::ceiling::Ceiling;
use perpro_core::decide::pod::AgentPod;
use perpro_core::model::SecretOwners;
use schema::Schema;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const LISTS: [&str; 3] = ["spec.containers[]", "spec.initContainers[]", "spec.ephemeralContainers[]"];

fn pod_spec() -> Schema {
    Schema::at(schemars::schema_for!(PodSpec).to_value(), "")
}

fn verdict(stored: &Value) -> Verdict {
    let (identity, owners, ceiling) = (two_containers(), SecretOwners::default(), Ceiling::default());
    let context = Context { identity: &identity, owners: &owners, ceiling: &ceiling, now: now() };
    admit(&AgentPod::parse(&stored.to_string()).unwrap(), context)
}

/// Codes with the fields that they stand at, positions and names left out.
fn told(stored: &Value) -> Vec<(&'static str, String)> {
    verdict(stored).refusals.iter().map(|r| (r.code(), nameless(&r.path))).collect()
}

/// `spec.containers[0].env[X]` as `spec.containers[].env[]`.
fn nameless(path: &str) -> String {
    let mut parts = path.split('[');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |path, part| format!("{path}[]{}", part.split_once(']').map_or("", |(_, rest)| rest)))
}

/// The container that is changed: one that the identity lists, and the only one before the start.
fn chosen(list: &str) -> Option<usize> {
    match list {
        ".containers" => Some(1),
        ".initContainers" => Some(0),
        _ => None,
    }
}

/// A pod as perpro wrote it, to which somebody adds the field at `path`. A volume is mounted, in a container of `list`.
fn with(schema: &Schema, pod: &Value, path: &str, list: &str) -> Value {
    let mut pod = pod.clone();
    // What belongs to the identity can't pull images too.
    let text = if path == "spec.imagePullSecrets[].name" { "crm" } else { "1" };
    schema.put(&mut pod["spec"], path, text, &chosen);
    if path.starts_with("spec.volumes") {
        let mut mounting = json!({});
        schema.put(&mut mounting, &format!("{list}.volumeMounts[].name"), "1", &chosen);
        let name = list.trim_start_matches("spec.").trim_end_matches("[]");
        let mounts = mounting[name][0]["volumeMounts"].take();
        let containers = &mut pod["spec"][name];
        if containers.is_null() {
            *containers = json!([{"name": "debug"}]);
        }
        let container = &mut containers[chosen(&format!(".{name}")).unwrap_or_default()];
        if container["volumeMounts"].is_null() {
            container["volumeMounts"] = json!([]);
        }
        container["volumeMounts"].as_array_mut().unwrap().extend(mounts.as_array().unwrap().clone());
    }
    pod
}

/// What every pod with such a container is refused for.
fn of_debugging(path: &str, list: &str) -> Option<(&'static str, String)> {
    let debugs = path.starts_with(LISTS[2]) || (path.starts_with("spec.volumes") && list == LISTS[2]);
    debugs.then(|| ("AID004", "spec.ephemeralContainers".to_owned()))
}

/// Containers that may mount the volume which `path` lies in.
fn mounting(path: &str) -> &'static [&'static str] {
    if path.starts_with("spec.volumes") { &LISTS } else { &LISTS[..1] }
}

#[test]
fn every_field_of_a_pod_is_classified() {
    let (leaves, _) = pod_spec().paths("spec");
    assert!(leaves.len() > 800, "{}", leaves.len());
    let unclassified: Vec<_> = leaves.iter().filter(|leaf| classify(leaf).is_none()).collect();
    assert!(unclassified.is_empty(), "say in classes.rs what these are: {unclassified:#?}");
    let used: BTreeSet<_> = leaves.iter().filter_map(|leaf| classify(leaf)).map(|(path, _)| path).collect();
    let unused: Vec<_> = CLASSES.iter().filter(|(path, _)| !used.contains(path)).collect();
    assert!(unused.is_empty(), "no pod has these: {unused:?}");
}

#[test]
fn a_field_is_harmless_by_its_own_name_or_by_one_that_cannot_hide_it() {
    assert!(classify("spec.affinity.nodeAffinity.weight").is_some());
    assert_eq!(classify("spec.affinity.nodeAffinity.tokenFile"), None);
    assert_eq!(classify("spec.newField"), None);
    assert_eq!(classify("spec.hostnameSuffix"), None);
    assert_eq!(classify("spec.containers[].env[].valueFrom.vaultRef.path"), None);
    assert_eq!(classify("spec.volumes[].csi.tokenRequests[]").map(|c| c.1), Some(Class::Refused("AID013")));
}

#[test]
fn every_field_that_brings_a_credential_earns_its_code_and_every_other_passes() {
    let schema = pod_spec();
    let stored = injected(&plain_pod(), &two_containers());
    assert_eq!(told(&stored), []);
    let (leaves, _) = schema.paths("spec");
    let (mut refused, mut passed, mut wrong) = (BTreeMap::new(), 0, Vec::new());
    for leaf in &leaves {
        let (entry, class) = classify(leaf).unwrap();
        for list in mounting(leaf) {
            let mut told = told(&with(&schema, &stored, leaf, list));
            if let Some(always) = of_debugging(leaf, list) {
                let at = told.iter().position(|t| *t == always).unwrap();
                told.remove(at);
                if entry == "container.targetContainerName" {
                    told.push(("AID004", leaf.clone()));
                }
            }
            match class {
                Class::Refused(code) => {
                    *refused.entry(entry).or_insert(0) += 1;
                    let here = |path: &str| lies_in(entry, &common(path)) || lies_in(&common(path), entry);
                    if !told.iter().any(|(c, path)| *c == code && here(path)) {
                        wrong.push(format!("{leaf} in {list}: {told:?} instead of {code}"));
                    }
                }
                Class::Harmless(_) => {
                    passed += 1;
                    if !told.is_empty() {
                        wrong.push(format!("{leaf} in {list}: {told:?}"));
                    }
                }
                Class::Named(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let of_class = CLASSES.iter().filter(|(_, class)| matches!(class, Class::Refused(_)));
    assert_eq!(refused.len(), of_class.count());
    assert!(passed > 500, "{passed}");
}

#[test]
fn without_what_brings_the_credential_the_same_pod_passes() {
    let schema = pod_spec();
    let stored = injected(&plain_pod(), &two_containers());
    let is_refused = |(_, class): &&(&str, Class)| matches!(class, Class::Refused(_));
    let mut twins = 0;
    for (entry, _) in CLASSES.iter().filter(is_refused) {
        let (parent, _) = entry.rsplit_once('.').unwrap();
        let inner = CLASSES.iter().filter(is_refused).any(|(above, _)| lies_in(parent, above));
        if inner || parent == "spec" || *entry == "container.targetContainerName" {
            continue;
        }
        for list in LISTS {
            let parent = parent.replacen(CONTAINER, list, 1);
            let twin = with(&schema, &stored, &parent, list);
            let always: Vec<_> = of_debugging(&parent, list).into_iter().collect();
            assert_eq!(told(&twin), always, "{parent} in {list}");
            twins += 1;
        }
    }
    assert!(twins > 60, "{twins}");
}

#[test]
fn what_the_identity_lists_for_the_container_passes_at_every_door() {
    let doors = [
        ("env", json!({"name": "X", "valueFrom": {"secretKeyRef": {"name": "crm", "key": "k1"}}})),
        ("volume", json!({"secret": {"secretName": "crm", "items": [{"key": "k1", "path": "p"}]}})),
        (
            "volume",
            json!({"projected": {"sources": [{"secret": {"name": "crm", "items": [{"key": "k1", "path": "p"}]}}]}}),
        ),
        (
            "volume",
            json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 600}}]}}),
        ),
    ];
    for (door, mut brings) in doors {
        for (container, expected) in [(0, 0), (1, 1)] {
            let mut pod = injected(&plain_pod(), &two_containers());
            let list = |pod: &mut Value, name: &str, item: Value| {
                let at = &mut pod["spec"]["containers"][container];
                if at[name].is_null() {
                    at[name] = json!([]);
                }
                at[name].as_array_mut().unwrap().push(item);
            };
            if door == "env" {
                list(&mut pod, "env", brings.clone());
            } else {
                brings["name"] = json!("v");
                pod["spec"]["volumes"].as_array_mut().unwrap().push(brings.clone());
                list(&mut pod, "volumeMounts", json!({"name": "v", "mountPath": "/v"}));
            }
            assert_eq!(told(&pod).len(), expected, "{brings} in container {container}");
        }
    }
}

#[test]
fn an_unknown_field_is_kept_everywhere_and_refused_where_it_could_bring_a_credential() {
    let schema = pod_spec();
    let (_, objects) = schema.paths("spec");
    assert!(objects.len() > 250, "{}", objects.len());
    let (mut refused, mut warned) = (0, 0);
    for path in &objects {
        let mut raw = json!({"spec": plain_pod()["spec"], "metadata": plain_pod()["metadata"]});
        schema.put(&mut raw["spec"], path, "1", &chosen);
        let mut place = &mut raw["spec"];
        let mut above = String::new();
        for step in path.split('.').skip(1) {
            let name = step.trim_end_matches("[]");
            above = format!("{above}.{name}");
            place = &mut place[name];
            if step.ends_with("[]") {
                let last = place.as_array().unwrap().len() - 1;
                place = &mut place[chosen(&above).unwrap_or(last)];
            }
        }
        place["zzUnknown"] = json!({"secretRef": "x"});
        let kept = injected(&raw, &identity(two_containers().spec.containers));
        assert_eq!(kept.to_string().matches(r#""zzUnknown":{"secretRef":"x"}"#).count(), 1, "{path}");
        let Verdict { refusals, warnings } = verdict(&kept);
        let expected = format!("{path}.zzUnknown");
        let at = |of: &[perpro_core::decide::refusal::Refusal], code| {
            of.iter().any(|r| r.code() == code && nameless(&r.path) == expected)
        };
        let into_container =
            path.starts_with("spec.volumes") || LISTS.iter().any(|list| path.starts_with(list));
        assert_eq!(at(&refusals, "AID014"), into_container, "{path}: {refusals:?}");
        assert_eq!(at(&warnings, "AID063"), !into_container, "{path}: {warnings:?}");
        if into_container { refused += 1 } else { warned += 1 }
    }
    assert!(refused > 200 && warned > 20, "{refused} refused, {warned} warned");
}
