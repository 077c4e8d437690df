//! What is only told: who is asked about it, and that nothing waits for it.

use crate::helm::{objects, of_kind, rendered, sets};
use perpro_core::names;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The validating entries that only tell.
fn entries(values: &Value) -> Vec<Value> {
    let objects = objects(&rendered("perpro", values));
    let advises = |entry: &&Value| {
        entry["clientConfig"]["service"]["path"].as_str().is_some_and(|p| p.starts_with("/advise/"))
    };
    let mutating = of_kind(&objects, "MutatingWebhookConfiguration")[0]["webhooks"].as_array().unwrap();
    assert_eq!(mutating.iter().filter(advises).count(), 0, "what only tells changes nothing");
    let validating = of_kind(&objects, "ValidatingWebhookConfiguration")[0]["webhooks"].as_array().unwrap();
    validating.iter().filter(advises).cloned().collect()
}

fn path(entry: &Value) -> &str {
    entry["clientConfig"]["service"]["path"].as_str().unwrap()
}

/// Whether a label selector selects an object with these labels.
fn selects(selector: &Value, labels: &Value) -> bool {
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    expressions.into_iter().all(|expression| {
        let value = &labels[expression["key"].as_str().unwrap()];
        let listed = expression["values"].as_array().is_some_and(|values| values.contains(value));
        match expression["operator"].as_str().unwrap() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => !value.is_null(),
            "DoesNotExist" => value.is_null(),
            other => panic!("{other}"),
        }
    })
}

/// Every value of a namespace's label, with what it says: the last two are none that we know.
const VALUES: [(Option<&str>, u8); 5] =
    [(Some("all"), 2), (Some("agents"), 1), (None, 0), (Some("al"), 0), (Some("true"), 0)];

fn namespace(enforce: Option<&str>, told: &str, value: Option<&str>) -> Value {
    let mut labels = json!({"kubernetes.io/metadata.name": "support"});
    for (label, value) in [(names::ENFORCE_LABEL, enforce), (told, value)] {
        if let Some(value) = value {
            labels[label] = json!(value);
        }
    }
    labels
}

fn conditions(entry: &Value) -> Vec<&str> {
    let conditions = entry["matchConditions"].as_array().unwrap().iter();
    conditions.map(|c| c["name"].as_str().unwrap()).collect()
}

#[test]
#[ignore = "needs helm"]
fn what_is_only_told_fails_open_and_soon_and_leaves_nothing() {
    for (set, values) in sets() {
        let entries = entries(&values);
        let own = values["namespaceOverride"].as_str().unwrap_or(crate::helm::NAMESPACE);
        assert_eq!(entries.len(), 9, "{set}");
        for entry in &entries {
            assert_eq!(entry["failurePolicy"], "Ignore", "{set}: {}", entry["name"]);
            assert_eq!(entry["sideEffects"], "None", "{set}: {}", entry["name"]);
            assert!(entry["timeoutSeconds"].as_u64().unwrap() <= 2, "{set}: {}", entry["name"]);
            for name in ["kube-system", own] {
                for value in ["all", "agents"] {
                    for told in [names::ENFORCE_LABEL, names::WARN_LABEL, names::AUDIT_LABEL] {
                        let mut labels = namespace(None, told, Some(value));
                        labels["kubernetes.io/metadata.name"] = json!(name);
                        assert!(!selects(&entry["namespaceSelector"], &labels), "{set}: {name}");
                    }
                }
            }
        }
    }
}

#[test]
#[ignore = "needs helm"]
fn whatever_fails_open_holds_nobody_up_for_long() {
    for (set, values) in sets() {
        let objects = objects(&rendered("perpro", &values));
        let kinds = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];
        let webhooks = |kind: &&str| of_kind(&objects, kind)[0]["webhooks"].as_array().unwrap().clone();
        let entries = kinds.iter().flat_map(webhooks);
        let open: Vec<_> = entries.filter(|entry| entry["failurePolicy"] == "Ignore").collect();
        // What advises, deletions of identities, AgentPolicies.
        assert_eq!(open.len(), 11, "{set}");
        for entry in open {
            assert!(entry["timeoutSeconds"].as_u64().unwrap() <= 2, "{set}: {}", entry["name"]);
        }
    }
}

#[test]
#[ignore = "needs helm"]
fn a_template_is_told_about_once_by_the_stricter_of_what_its_namespace_enforces_and_warns_of() {
    let entries = entries(&json!({}));
    let templates: Vec<_> = entries.iter().filter(|e| !path(e).ends_with("/pods")).collect();
    for (enforce, enforced) in VALUES {
        for (warn, warned) in VALUES {
            let labels = namespace(enforce, names::WARN_LABEL, warn);
            let asked: Vec<_> =
                templates.iter().filter(|e| selects(&e["namespaceSelector"], &labels)).collect();
            let case = format!("enforce {enforce:?}, warn {warn:?}");
            assert_eq!(asked.len(), usize::from(enforced.max(warned) > 0), "{case}");
            for entry in asked {
                let governed = if enforced > 0 { "enforced" } else { "warned" };
                let agents = conditions(entry).contains(&"is-an-agents");
                assert_eq!(agents, enforced.max(warned) == 1, "{case}");
                let about = if agents { "agents" } else { "all" };
                assert_eq!(path(entry), format!("/advise/{governed}/{about}"), "{case}");
                for condition in ["template-or-label-changes", "is-made-by-no-workload"] {
                    assert!(conditions(entry).contains(&condition), "{case}");
                }
            }
        }
        let audited = namespace(None, names::AUDIT_LABEL, enforce);
        assert!(!templates.iter().any(|e| selects(&e["namespaceSelector"], &audited)), "audit is silent");
    }
}

#[test]
#[ignore = "needs helm"]
fn a_pod_is_told_about_where_its_namespace_says_more_than_it_enforces() {
    let entries = entries(&json!({}));
    for (told, label) in [("warned", names::WARN_LABEL), ("audited", names::AUDIT_LABEL)] {
        let entries: Vec<_> = entries.iter().filter(|e| path(e) == format!("/advise/{told}/pods")).collect();
        for (enforce, enforced) in VALUES {
            for (value, says) in VALUES {
                let labels = namespace(enforce, label, value);
                let here = entries.iter().filter(|e| selects(&e["namespaceSelector"], &labels));
                let here: Vec<_> = here.collect();
                let case = format!("enforce {enforce:?}, {told} {value:?}");
                assert_eq!(here.len(), usize::from(says > enforced), "{case}");
                for entry in here {
                    let of = |labels: Value| selects(&entry["objectSelector"], &labels);
                    assert_eq!(of(json!({})), says == 2, "{case}");
                    assert!(of(json!({names::AGENT_LABEL: "true"})), "{case}");
                    assert_eq!(of(json!({names::AGENT_LABEL: "false"})), says == 2, "{case}");
                    // Enforcement looks at these, or a policy refuses them.
                    assert!(!of(json!({names::AGENT_LABEL: "true", names::IDENTITY_LABEL: "bot"})), "{case}");
                    let alone = conditions(entry).contains(&"is-made-by-no-controller");
                    assert_eq!(alone, told == "warned", "{case}: nobody reads what a controller is told");
                }
            }
        }
    }
}

/// Kinds of Kubernetes' own that make pods, as a rule selects them.
fn workloads(rules: &Value) -> BTreeSet<String> {
    let rules = rules.as_array().unwrap().iter();
    let resources = rules.flat_map(|rule| rule["resources"].as_array().unwrap());
    let resources = resources.map(|r| r.as_str().unwrap().to_owned());
    resources.filter(|r| !r.contains('/') && r != "podtemplates").collect()
}

#[test]
#[ignore = "needs helm"]
fn who_may_use_an_identity_is_asked_about_the_same_kinds() {
    let objects = objects(&rendered("perpro", &json!({})));
    let policy = of_kind(&objects, "ValidatingAdmissionPolicy")
        .into_iter()
        .find(|p| p["metadata"]["name"] == "perpro-use-templates")
        .unwrap();
    let wanted = workloads(&policy["spec"]["matchConstraints"]["resourceRules"]);
    let entries = entries(&json!({}));
    let templates: Vec<_> = entries.iter().filter(|e| !path(e).ends_with("/pods")).collect();
    assert_eq!(templates.len(), 5);
    for entry in templates {
        assert_eq!(workloads(&entry["rules"]), wanted);
    }
}
