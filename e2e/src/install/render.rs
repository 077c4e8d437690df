//! The charts, changed so that they fit a cluster without a node: what runs, runs on this machine. Pure.

use serde_json::{Value, json};

/// Kinds that make pods, or are of no use without them.
const WORKLOADS: [&str; 5] = ["Deployment", "Job", "CronJob", "PodDisruptionBudget", "Service"];

/// Annotation that says what the chart made of a configuration; `perpro status` compares.
const RENDERED: &str = "perpro.dev/rendered";

/// Kinds that call us.
const WEBHOOKS: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// A chart's objects in the order in which they are applied.
#[derive(Debug, PartialEq)]
pub(crate) struct Rendered {
    /// Everything that is there before our processes start.
    pub(crate) before: Vec<Value>,
    /// The webhooks, which are there when somebody answers them.
    pub(crate) webhooks: Vec<Value>,
}

/// Leaves workloads out, and points webhooks to `https://ADDRESS` under a CA.
pub(crate) fn for_this_machine(objects: Vec<Value>, address: &str, ca_bundle: &Value) -> Rendered {
    let kind = |object: &Value| object["kind"].as_str().unwrap_or_default().to_owned();
    let kept = objects.into_iter().filter(|object| !WORKLOADS.contains(&kind(object).as_str()));
    let (mut webhooks, before): (Vec<_>, Vec<_>) =
        kept.partition(|object| WEBHOOKS.contains(&kind(object).as_str()));
    for configuration in &mut webhooks {
        for webhook in configuration["webhooks"].as_array_mut().into_iter().flatten() {
            let path = webhook["clientConfig"]["service"]["path"].as_str().unwrap_or_default();
            webhook["clientConfig"] =
                json!({"url": format!("https://{address}{path}"), "caBundle": ca_bundle});
        }
        let rendered = json!({"webhooks": configuration["webhooks"]}).to_string();
        configuration["metadata"]["annotations"][RENDERED] = rendered.into();
    }
    Rendered { before, webhooks }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_stay_out_and_webhooks_call_this_machine() {
        let rendered = for_this_machine(
            vec![
                json!({"kind": "Deployment"}),
                json!({"kind": "ServiceAccount"}),
                json!({"kind": "MutatingWebhookConfiguration", "webhooks": [
                    {"name": "a", "clientConfig": {"service": {"name": "perpro-webhook", "path": "/mutate/pods"}}},
                ]}),
            ],
            "127.0.0.1:20001",
            &json!("Q0E="),
        );
        assert_eq!(rendered.before, [json!({"kind": "ServiceAccount"})]);
        assert_eq!(
            rendered.webhooks[0]["webhooks"][0]["clientConfig"],
            json!({"url": "https://127.0.0.1:20001/mutate/pods", "caBundle": "Q0E="})
        );
        let annotation = rendered.webhooks[0]["metadata"]["annotations"][RENDERED].as_str().unwrap();
        let told: Value = serde_json::from_str(annotation).unwrap();
        assert_eq!(told["webhooks"], rendered.webhooks[0]["webhooks"]);
    }
}
