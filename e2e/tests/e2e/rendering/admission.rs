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
