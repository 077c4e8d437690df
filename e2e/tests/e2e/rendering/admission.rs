//! What stands in the API server: each object says what the chart made of it, each refusal how to learn more.

use crate::helm::{called, objects, of_kind, rendered, sets};
use perpro_core::names;
use serde_json::{Value, json};

#[test]
#[ignore = "needs helm"]
fn every_object_says_what_the_chart_made_of_it() {
    for (set, values) in sets() {
        let objects = objects(&rendered("perpro", &values));
        let mut seen = 0;
        for object in objects.iter().filter(|o| o["apiVersion"] == "admissionregistration.k8s.io/v1") {
            let said = object["metadata"]["annotations"][names::RENDERED].as_str().unwrap_or_default();
            let said: Value = serde_json::from_str(said).unwrap();
            let is = match &object["webhooks"] {
                Value::Null => object["spec"].clone(),
                webhooks => json!({ "webhooks": webhooks }),
            };
            assert_eq!(said, is, "{set}: {}", called(object));
            seen += 1;
        }
        assert!(seen > 10, "{set}: {seen}");
    }
}

#[test]
#[ignore = "needs helm"]
fn every_refusal_of_a_policy_ends_with_how_to_learn_more() {
    for policy in of_kind(&objects(&rendered("perpro", &json!({}))), "ValidatingAdmissionPolicy") {
        for validation in policy["spec"]["validations"].as_array().unwrap() {
            let message =
                validation["messageExpression"].as_str().or(validation["message"].as_str()).unwrap();
            let (_, code) = message.rsplit_once(" (kubectl perpro explain ").unwrap();
            let code = code.trim_end_matches('\'').strip_suffix(')').unwrap();
            let said = policy["spec"].to_string().contains(&format!("{code} "));
            assert!(code.len() == 6 && code.starts_with("AID") && said, "{}: {message}", called(policy));
        }
    }
}

/// Whether a rule selects a resource, as `pods`, of an operation.
fn selects(rule: &Value, group: &str, resource: &str, operation: &str) -> bool {
    let has = |key: &str, wanted: &[&str]| {
        rule[key].as_array().unwrap().iter().any(|v| wanted.iter().any(|w| v == w))
    };
    has("apiGroups", &[group, "*"])
        && has("resources", &[resource, "*", "*/*"])
        && has("operations", &[operation, "*"])
}

/// Each policy that looks at an object costs; most pods are created by people who never heard of perpro.
#[test]
#[ignore = "needs helm"]
fn the_creation_of_a_pod_meets_two_policies_and_of_a_plain_pod_one_or_where_agents_are_governed_two() {
    for (set, values) in sets() {
        let objects = objects(&rendered("perpro", &values));
        let (mut agents, mut plain, mut governed) = (Vec::new(), Vec::new(), Vec::new());
        for policy in of_kind(&objects, "ValidatingAdmissionPolicy") {
            let matched = &policy["spec"]["matchConstraints"];
            let rules = matched["resourceRules"].as_array().unwrap();
            if !rules.iter().any(|r| selects(r, "", "pods", "CREATE")) {
                continue;
            }
            let selector = &matched["objectSelector"]["matchExpressions"];
            assert!(selector.is_null() || selector[0]["key"] == names::IDENTITY_LABEL);
            let operator = selector[0]["operator"].as_str().unwrap_or_default();
            if operator != "DoesNotExist" {
                agents.push(called(policy));
            }
            if operator != "Exists" {
                governed.push(called(policy));
                plain.extend(matched["namespaceSelector"].is_null().then(|| called(policy)));
            }
        }
        let met = (agents.len(), plain.len(), governed.len());
        assert_eq!(met, (2, 1, 2), "{set}: {agents:?} {governed:?}");
    }
}
