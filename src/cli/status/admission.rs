//! What asks our webhook and what our policies say, compared with what the chart made of them: each object carries that
//! as an annotation. Somebody may have changed one by hand, and no upgrade need put that right.

use crate::cluster::AdmissionObject;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use perpro_core::names;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use x509_parser::pem::Pem;

/// What an API server writes into fields that were left out (admissionregistration.k8s.io/v1), besides what is empty.
const DEFAULTS: [(&str, &str); 4] = [
    ("matchPolicy", "Equivalent"),
    ("reinvocationPolicy", "Never"),
    ("scope", "*"),
    ("parameterNotFoundAction", "Allow"),
];
/// Kept by the certificate Job or cert-manager, not by the chart.
const CA: &str = "caBundle";
/// Longest value that is shown; expressions are longer.
const SHOWN: usize = 40;
/// Most differences of an object that are told.
const TOLD: usize = 5;

/// The admission objects of an installation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Admission {
    /// Policies that are there, bound to speak everywhere, and as the chart made them.
    pub(super) in_force: BTreeSet<String>,
    /// Entries of the mutating and of the validating webhook configuration.
    pub(super) entries: [usize; 2],
    /// What is not as the chart made it.
    pub(super) changed: Vec<Changed>,
    /// Whom the API server trusts when it calls the webhook.
    pub(super) trust: BTreeSet<Trust>,
    /// Whether cert-manager makes the certificate.
    pub(super) cert_manager: bool,
}

/// An object that somebody changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) kind: String,
    pub(super) name: String,
    /// What is different, one field each; empty when the object does not say what it should be.
    pub(super) differences: Vec<String>,
}

/// The certificate authority of an entry of a webhook configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trust {
    /// None is written, or none that can be read.
    Nobody,
    /// The last of them ends then.
    Until(Timestamp),
}

impl Admission {
    /// Reads it out of the objects.
    pub(super) fn of(objects: &[AdmissionObject]) -> Self {
        let mut found = Self::default();
        let (mut policies, mut bound) = (BTreeSet::new(), BTreeSet::new());
        for object in objects {
            let AdmissionObject { kind, name, annotations, content } = object;
            let webhooks = content["webhooks"].as_array();
            match *kind {
                "ValidatingAdmissionPolicy" => drop(policies.insert(name.clone())),
                "ValidatingAdmissionPolicyBinding" => bound.extend(speaking(content)),
                "MutatingWebhookConfiguration" => found.entries[0] += webhooks.map_or(0, Vec::len),
                _ => found.entries[1] += webhooks.map_or(0, Vec::len),
            }
            found.trust.extend(webhooks.into_iter().flatten().map(trust));
            found.cert_manager |= annotations.contains_key(names::CERT_MANAGER_CA);
            found.changed.extend(changed(object));
        }
        // A policy and its binding have one name.
        let touched: BTreeSet<_> = found.changed.iter().map(|c| c.name.as_str()).collect();
        let counts = |name: &String| bound.contains(name) && !touched.contains(name.as_str());
        found.in_force = policies.into_iter().filter(counts).collect();
        found
    }
}

/// The policy that a binding makes speak everywhere. Whether it refuses or warns, the chart has said.
fn speaking(binding: &Value) -> Option<String> {
    let spec = &binding["spec"];
    let speaks = spec["validationActions"].as_array()?.iter().any(|a| a == "Deny" || a == "Warn");
    (speaks && spec["matchResources"].is_null()).then(|| spec["policyName"].as_str().map(str::to_owned))?
}

/// The authority of one entry.
fn trust(webhook: &Value) -> Trust {
    let bundle = webhook["clientConfig"][CA].as_str().unwrap_or_default();
    let pem = BASE64_STANDARD.decode(bundle).unwrap_or_default();
    let ends = Pem::iter_from_buffer(&pem).filter_map(|pem| {
        let pem = pem.ok()?;
        Timestamp::from_second(pem.parse_x509().ok()?.validity().not_after.timestamp()).ok()
    });
    ends.max().map_or(Trust::Nobody, Trust::Until)
}

/// What of an object is not as the chart made it.
fn changed(object: &AdmissionObject) -> Option<Changed> {
    let AdmissionObject { kind, name, annotations, content } = object;
    let mut differences = Vec::new();
    let rendered = annotations.get(names::RENDERED).and_then(|r| serde_json::from_str::<Value>(r).ok());
    if let Some(rendered) = &rendered {
        let (path, should) = rendered.get("webhooks").map_or(("spec", rendered), |w| ("webhooks", w));
        compare(path, path, Some(should), content.get(path), &mut differences);
        if differences.is_empty() {
            return None;
        }
    }
    let more = differences.len().saturating_sub(TOLD);
    differences.truncate(TOLD);
    if more > 0 {
        differences.push(format!("{more} more fields are different"));
    }
    Some(Changed { kind: (*kind).to_owned(), name: name.clone(), differences })
}

/// Says where `is` is not what it `should` be.
fn compare(
    path: &str,
    field: &str,
    should: Option<&Value>,
    is: Option<&Value>,
    differences: &mut Vec<String>,
) {
    match (should, is) {
        _ if field == CA => {}
        (None, Some(is)) if is_default(field, is) => {}
        (None, Some(_)) => differences.push(format!("{path} was added")),
        (Some(should), None) if is_default(field, should) => {}
        (Some(_), None) => differences.push(format!("{path} is missing")),
        (Some(Value::Object(should)), Some(Value::Object(is))) => {
            let fields: BTreeSet<_> = should.keys().chain(is.keys()).collect();
            for field in fields {
                compare(&format!("{path}.{field}"), field, should.get(field), is.get(field), differences);
            }
        }
        (Some(Value::Array(should)), Some(Value::Array(is))) => match (by_name(should), by_name(is)) {
            (Some(should), Some(is)) => {
                let names: BTreeSet<_> = should.keys().chain(is.keys()).collect();
                for name in names {
                    let [should, is] = [&should, &is].map(|of| of.get(*name).copied());
                    compare(&format!("{path}[{name}]"), "", should, is, differences);
                }
            }
            _ if should.len() == is.len() => {
                for (i, (should, is)) in should.iter().zip(is).enumerate() {
                    compare(&format!("{path}[{i}]"), "", Some(should), Some(is), differences);
                }
            }
            _ => differences.push(format!("{path} has {} entries instead of {}", is.len(), should.len())),
        },
        (Some(should), Some(is)) if should == is => {}
        (Some(should), Some(is)) => {
            let (should, is) = (should.to_string(), is.to_string());
            differences.push(if should.len().max(is.len()) > SHOWN {
                format!("{path} was changed")
            } else {
                format!("{path} is {is} instead of {should}")
            });
        }
        (None, None) => {}
    }
}

/// Whether a field with this value says no more than one that is left out.
fn is_default(field: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::String(text) => DEFAULTS.contains(&(field, text)),
        _ => false,
    }
}

/// Entries by their names, where each has one of its own.
fn by_name(list: &[Value]) -> Option<BTreeMap<&str, &Value>> {
    let named: Option<BTreeMap<_, _>> = list.iter().map(|e| Some((e.get("name")?.as_str()?, e))).collect();
    named.filter(|named| named.len() == list.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    /// An object as the API server has it: what the chart rendered, with defaults, and then changed.
    fn object(kind: &'static str, rendered: &Value, change: impl FnOnce(&mut Value)) -> AdmissionObject {
        let mut content =
            if rendered["webhooks"].is_array() { rendered.clone() } else { json!({ "spec": rendered }) };
        change(&mut content);
        let annotations = [(names::RENDERED.to_owned(), rendered.to_string())].into();
        AdmissionObject { kind, name: "perpro-x".to_owned(), annotations, content }
    }

    fn policy(change: impl FnOnce(&mut Value)) -> AdmissionObject {
        let rendered = json!({
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "operations": ["CREATE"], "resources": ["pods"]}]},
            "matchConditions": [{"name": "people", "expression": "true"}],
            "validations": [{"expression": "a == 'b' || object.spec.containers.exists(c, c.name == '')", "message": "no"}],
        });
        object("ValidatingAdmissionPolicy", &rendered, |content| {
            content["spec"]["matchConstraints"]["matchPolicy"] = json!("Equivalent");
            content["spec"]["matchConstraints"]["namespaceSelector"] = json!({});
            content["spec"]["matchConstraints"]["resourceRules"][0]["scope"] = json!("*");
            change(content);
        })
    }

    fn binding(change: impl FnOnce(&mut Value)) -> AdmissionObject {
        let rendered = json!({"policyName": "perpro-x", "validationActions": ["Deny"]});
        object("ValidatingAdmissionPolicyBinding", &rendered, change)
    }

    fn webhooks(change: impl FnOnce(&mut Value)) -> AdmissionObject {
        let entry = |name: &str| {
            json!({"name": name, "failurePolicy": "Fail", "namespaceSelector": {"matchLabels": {"a": "b"}},
                "clientConfig": {"service": {"name": "perpro-webhook", "port": 443}}, "rules": [{"resources": ["pods"]}]})
        };
        let rendered = json!({"webhooks": [entry("all"), entry("agents")]});
        object("MutatingWebhookConfiguration", &rendered, |content| {
            content["webhooks"][0]["objectSelector"] = json!({});
            content["webhooks"][0]["clientConfig"][CA] = json!("");
            change(content);
        })
    }

    #[test]
    fn what_an_api_server_fills_in_is_no_change() {
        let found = Admission::of(&[policy(|_| {}), binding(|_| {}), webhooks(|_| {})]);
        assert_eq!(found.changed, []);
        assert_eq!((found.in_force, found.entries), (BTreeSet::from(["perpro-x".to_owned()]), [2, 0]));
    }

    #[rstest]
    #[case::fails_open(policy(|p| p["spec"]["failurePolicy"] = json!("Ignore")), "spec.failurePolicy is \"Ignore\" instead of \"Fail\"")]
    #[case::weaker(policy(|p| p["spec"]["validations"][0]["expression"] = json!("true")), "spec.validations[0].expression was changed")]
    #[case::one_rule_less(policy(|p| p["spec"]["validations"] = json!([])), "spec.validations has 0 entries instead of 1")]
    #[case::a_condition_more(policy(|p| p["spec"]["matchConditions"].as_array_mut().unwrap().push(json!({"name": "not-me", "expression": "false"}))), "spec.matchConditions[not-me] was added")]
    #[case::fewer_namespaces(policy(|p| p["spec"]["matchConstraints"]["namespaceSelector"] = json!({"matchLabels": {"a": "b"}})), "spec.matchConstraints.namespaceSelector was added")]
    #[case::parameters(policy(|p| p["spec"]["paramKind"] = json!({"kind": "ConfigMap"})), "spec.paramKind was added")]
    #[case::audits(binding(|b| b["spec"]["validationActions"] = json!(["Audit"])), "spec.validationActions[0] is \"Audit\" instead of \"Deny\"")]
    #[case::only_warns(binding(|b| b["spec"]["validationActions"] = json!(["Warn"])), "spec.validationActions[0] is \"Warn\" instead of \"Deny\"")]
    #[case::here_and_there(binding(|b| b["spec"]["matchResources"] = json!({"namespaceSelector": {"matchLabels": {"a": "b"}}})), "spec.matchResources was added")]
    #[case::webhook_fails_open(webhooks(|w| w["webhooks"][1]["failurePolicy"] = json!("Ignore")), "webhooks[agents].failurePolicy is \"Ignore\" instead of \"Fail\"")]
    #[case::nobody_selected(webhooks(|w| w["webhooks"][0]["namespaceSelector"]["matchLabels"]["a"] = json!("c")), "webhooks[all].namespaceSelector.matchLabels.a is \"c\" instead of \"b\"")]
    #[case::an_object_selector(webhooks(|w| w["webhooks"][0]["objectSelector"] = json!({"matchLabels": {"a": "b"}})), "webhooks[all].objectSelector was added")]
    #[case::an_entry_less(webhooks(|w| drop(w["webhooks"].as_array_mut().unwrap().remove(0))), "webhooks[all] is missing")]
    #[case::no_rules(webhooks(|w| w["webhooks"][0]["rules"] = json!([])), "webhooks[all].rules has 0 entries instead of 1")]
    #[case::another_server(webhooks(|w| w["webhooks"][0]["clientConfig"]["service"]["name"] = json!("evil")), "webhooks[all].clientConfig.service.name is \"evil\" instead of \"perpro-webhook\"")]
    fn what_somebody_changed_is_named(#[case] object: AdmissionObject, #[case] expected: &str) {
        let found = Admission::of(&[object, policy(|_| {}), binding(|_| {})]);
        assert_eq!(found.changed.len(), 1);
        assert_eq!(found.changed[0].differences, [expected]);
        assert!(found.in_force.is_empty(), "a policy that was changed does not count");
    }

    #[test]
    fn an_object_that_does_not_say_what_it_should_be_is_no_proof_of_anything() {
        let mut object = policy(|_| {});
        object.annotations.clear();
        assert_eq!(Admission::of(&[object]).changed[0].differences, Vec::<String>::new());
    }

    #[test]
    fn a_few_differences_stand_for_many() {
        let object = webhooks(|w| {
            for field in ["a", "b", "c", "d", "e", "f", "g"] {
                w["webhooks"][0][field] = json!(1);
            }
        });
        let found = Admission::of(&[object]);
        assert_eq!(found.changed[0].differences.len(), TOLD + 1);
        assert_eq!(found.changed[0].differences[TOLD], "2 more fields are different");
    }

    #[test]
    fn an_authority_is_trusted_until_the_last_of_its_certificates_ends() {
        let pem = |year| {
            let mut certificate = rcgen::CertificateParams::new(vec![]).unwrap();
            certificate.not_after = rcgen::date_time_ymd(year, 1, 1);
            certificate.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
        };
        let entry = |bundle: &str| json!({"clientConfig": {CA: BASE64_STANDARD.encode(bundle)}});
        let ends: Timestamp = "2031-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(trust(&entry(&format!("{}{}", pem(2031), pem(2030)))), Trust::Until(ends));
        assert_eq!(trust(&entry("rubbish")), Trust::Nobody);
        assert_eq!(trust(&json!({"clientConfig": {}})), Trust::Nobody);
    }
}
