//! Names, labels and selectors: everything of ours is found, and nothing else is.

use crate::helm::{NAMESPACE, called, objects, of_kind, pod_templates, rendered, sets};
use serde_json::{Value, json};

/// Kinds without a namespace.
const CLUSTER: [&str; 8] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "FlowSchema",
    "MutatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "CustomResourceDefinition",
];

/// Kinds whose names are fixed: policies guard them, and processes look for them.
const ADMISSION: [&str; 4] = [
    "MutatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
];

#[test]
#[ignore = "needs helm"]
fn everything_carries_our_labels_whatever_the_users_are() {
    for (set, values) in sets() {
        let objects = objects(&rendered("perpro", &values));
        let app = values["nameOverride"].as_str().unwrap_or("perpro");
        let pods = pod_templates(&objects)
            .into_iter()
            .map(|(name, pod)| (format!("pods of {name}"), &pod["metadata"]));
        for (name, metadata) in objects.iter().map(|o| (called(o), &o["metadata"])).chain(pods) {
            let labels = &metadata["labels"];
            for (label, value) in
                [("name", app), ("part-of", "perpro"), ("managed-by", "Helm"), ("instance", "perpro")]
            {
                assert_eq!(labels[format!("app.kubernetes.io/{label}")], value, "{set}: {name}");
            }
            assert!(labels["app.kubernetes.io/component"].is_string(), "{set}: {name}");
            assert_ne!(labels["app.kubernetes.io/component"], "not-ours", "{set}: {name}");
            if let Some(team) = values["commonLabels"].get("team") {
                assert_eq!(&labels["team"], team, "{set}: {name}");
            }
        }
    }
}

#[test]
#[ignore = "needs helm"]
fn everything_is_in_one_namespace_under_one_name() {
    for (set, values) in sets() {
        let prefix = values["fullnameOverride"].as_str().unwrap_or("perpro");
        let namespace = values["namespaceOverride"].as_str().unwrap_or(NAMESPACE);
        let text = rendered("perpro", &values);
        for object in objects(&text) {
            let kind = object["kind"].as_str().unwrap();
            let prefix = if ADMISSION.contains(&kind) { "perpro" } else { prefix };
            assert!(
                object["metadata"]["name"].as_str().unwrap().starts_with(prefix),
                "{set}: {}",
                called(&object)
            );
            let wanted = if CLUSTER.contains(&kind) { Value::Null } else { json!(namespace) };
            assert_eq!(object["metadata"]["namespace"], wanted, "{set}: {}", called(&object));
        }
        assert!(!text.contains("perpro-system"), "{set}: a namespace is written down");
        assert_eq!(
            text.contains(NAMESPACE),
            namespace == NAMESPACE,
            "{set}: the release's namespace is used"
        );
    }
}

#[test]
#[ignore = "needs helm"]
fn a_new_name_reaches_everything_that_refers_to_the_old_one() {
    let (_, values) = sets().into_iter().find(|(name, _)| *name == "renamed").unwrap();
    let objects = objects(&rendered("perpro", &values));
    let ours = |text: &str| text.starts_with("perpro-") && !text.starts_with("perpro-0"); // image:version
    for (name, pod) in pod_templates(&objects) {
        let spec = pod["spec"].to_string();
        let words = spec.split(|c: char| !(c.is_ascii_alphanumeric() || "-.".contains(c)));
        assert_eq!(words.filter(|w| ours(w)).collect::<Vec<_>>(), Vec::<&str>::new(), "{name}");
    }
    for role in of_kind(&objects, "RoleBinding").into_iter().chain(of_kind(&objects, "ClusterRoleBinding")) {
        let name = role["subjects"][0]["name"].as_str().unwrap();
        let accounts = of_kind(&objects, "ServiceAccount");
        assert!(
            accounts.iter().any(|a| a["metadata"]["name"] == name),
            "{}: no account {name}",
            called(role)
        );
    }
    let service =
        &of_kind(&objects, "MutatingWebhookConfiguration")[0]["webhooks"][0]["clientConfig"]["service"];
    assert_eq!(
        (&service["name"], &service["namespace"]),
        (&json!("acme-perpro-webhook"), &json!("elsewhere"))
    );
}

#[test]
#[ignore = "needs helm"]
fn a_selector_selects_pods_of_its_own_component_only() {
    for (set, values) in sets() {
        let objects = objects(&rendered("perpro", &values));
        let pods = pod_templates(&objects);
        for object in &objects {
            let selector = match object["kind"].as_str().unwrap() {
                "Service" => &object["spec"]["selector"],
                "NetworkPolicy" => &object["spec"]["podSelector"]["matchLabels"],
                "Deployment" | "PodDisruptionBudget" => &object["spec"]["selector"]["matchLabels"],
                _ => continue,
            };
            let selected: Vec<_> = pods
                .iter()
                .filter(|(_, pod)| {
                    let labels = &pod["metadata"]["labels"];
                    selector.as_object().unwrap().iter().all(|(key, value)| &labels[key] == value)
                })
                .collect();
            assert!(!selected.is_empty(), "{set}: {} selects nobody", called(object));
            if let Some(component) = selector.get("app.kubernetes.io/component") {
                assert_eq!(&object["metadata"]["labels"]["app.kubernetes.io/component"], component, "{set}");
            } else {
                assert_eq!(object["metadata"]["labels"]["app.kubernetes.io/component"], "metrics", "{set}");
            }
        }
    }
}

#[test]
#[ignore = "needs helm"]
fn a_port_that_is_named_exists() {
    for (set, values) in sets() {
        let objects = objects(&rendered("perpro", &values));
        let pods = pod_templates(&objects);
        for service in of_kind(&objects, "Service") {
            let selector = service["spec"]["selector"].as_object().unwrap();
            let wanted = &service["spec"]["ports"][0]["targetPort"];
            let found = pods.iter().any(|(_, pod)| {
                selector.iter().all(|(key, value)| &pod["metadata"]["labels"][key] == value)
                    && pod["spec"]["containers"][0]["ports"]
                        .as_array()
                        .is_some_and(|p| p.iter().any(|p| &p["name"] == wanted))
            });
            assert!(found, "{set}: {}", called(service));
        }
    }
}
