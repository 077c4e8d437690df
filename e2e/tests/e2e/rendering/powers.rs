//! The powers that the chart takes: exactly those that docs/powers.md explains.

use crate::helm::{called, objects, of_kind, rendered, sets};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Role, where it counts, group, resources, names, verbs.
type Power = [String; 6];

fn is_for_people(object: &Value) -> bool {
    object["metadata"]["labels"]["app.kubernetes.io/component"] == "people"
}

fn joined(list: &Value) -> String {
    let words: Vec<_> = list.as_array().into_iter().flatten().map(|v| v.as_str().unwrap()).collect();
    words.join(", ")
}

fn held(objects: &[Value]) -> BTreeSet<Power> {
    let roles = of_kind(objects, "ClusterRole").into_iter().chain(of_kind(objects, "Role"));
    let mut powers = BTreeSet::new();
    for role in roles.filter(|role| !is_for_people(role)) {
        let everywhere = role["kind"] == "ClusterRole";
        for rule in role["rules"].as_array().unwrap() {
            assert!(rule["nonResourceURLs"].is_null(), "{}", called(role));
            let group = match joined(&rule["apiGroups"]) {
                group if group.is_empty() => "core".to_owned(),
                group => group,
            };
            powers.insert([
                role["metadata"]["name"].as_str().unwrap().to_owned(),
                if everywhere { "everywhere" } else { "own namespace" }.to_owned(),
                group,
                joined(&rule["resources"]),
                joined(&rule["resourceNames"]),
                joined(&rule["verbs"]),
            ]);
        }
    }
    powers
}

/// The rows of the tables in docs/powers.md, without the reasons.
fn explained() -> BTreeSet<Power> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/powers.md");
    let text = std::fs::read_to_string(file).unwrap();
    let mut role = String::new();
    let mut rows = BTreeSet::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## `") {
            role = title.split('`').next().unwrap().to_owned();
        }
        let cells: Vec<_> = line.trim_matches('|').split('|').map(|c| c.trim().replace('`', "")).collect();
        if line.starts_with("| `") && cells.len() == 7 {
            let [group, resources, names, verbs, place, why, bound] = cells.try_into().unwrap();
            assert!(!why.is_empty() && !bound.is_empty(), "{line}");
            rows.insert([role.clone(), place, group, resources, names, verbs]);
        }
    }
    rows
}

#[test]
#[ignore = "needs helm"]
fn docs_powers_explains_every_rule_and_no_other() {
    let held = held(&objects(&rendered("perpro", &json!({}))));
    let explained = explained();
    assert!(held.len() > 10, "the rules were not read");
    assert_eq!(held.difference(&explained).collect::<Vec<_>>(), Vec::<&Power>::new(), "held, not explained");
    assert_eq!(explained.difference(&held).collect::<Vec<_>>(), Vec::<&Power>::new(), "explained, not held");
}

#[test]
#[ignore = "needs helm"]
fn no_role_has_a_wildcard() {
    for (set, values) in sets() {
        let objects = objects(&rendered("perpro", &values));
        for role in of_kind(&objects, "ClusterRole").into_iter().chain(of_kind(&objects, "Role")) {
            assert!(!role["rules"].to_string().contains('*'), "{set}: {}", called(role));
        }
    }
}

#[test]
#[ignore = "needs helm"]
fn a_role_is_bound_to_one_account_of_ours_and_every_account_is_used() {
    for (set, values) in sets() {
        let objects = objects(&rendered("perpro", &values));
        let accounts: BTreeSet<_> = of_kind(&objects, "ServiceAccount")
            .iter()
            .map(|a| a["metadata"]["name"].as_str().unwrap().to_owned())
            .collect();
        let mut used = BTreeSet::new();
        for kind in ["Role", "ClusterRole"] {
            let bindings = of_kind(&objects, &format!("{kind}Binding"));
            for role in of_kind(&objects, kind).into_iter().filter(|role| !is_for_people(role)) {
                let bound: Vec<_> =
                    bindings.iter().filter(|b| b["roleRef"]["name"] == role["metadata"]["name"]).collect();
                assert_eq!(bound.len(), 1, "{set}: {}", called(role));
                assert_eq!(bound[0]["roleRef"]["kind"], kind);
                let subjects = bound[0]["subjects"].as_array().unwrap();
                assert_eq!(subjects.len(), 1);
                used.insert(subjects[0]["name"].as_str().unwrap().to_owned());
            }
            let ours = bindings.iter().all(|b| {
                of_kind(&objects, kind).iter().any(|r| r["metadata"]["name"] == b["roleRef"]["name"])
            });
            assert!(ours, "{set}: a binding to a role that is not in the chart");
        }
        assert_eq!(used, accounts, "{set}");
    }
}

#[test]
#[ignore = "needs helm"]
fn without_rbac_no_role_of_ours_is_made() {
    let objects = objects(&rendered("perpro", &json!({"rbac": {"create": false, "people": false}})));
    for kind in ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"] {
        assert!(of_kind(&objects, kind).is_empty(), "{kind}");
    }
}
