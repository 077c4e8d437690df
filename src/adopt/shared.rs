//! Who else uses what the workload uses.

use super::target::{KINDS, Kind};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Another workload of the namespace.
#[derive(Debug)]
pub(super) struct Other {
    /// `deployment/x`.
    pub(super) name: String,
    /// The account that it runs on.
    pub(super) account: String,
    /// The Secrets that its containers get.
    pub(super) secrets: BTreeSet<String>,
}

/// The workloads among `objects`, but `except` and those that another made.
pub(super) fn others(objects: &[Value], namespace: &str, except: &str) -> Vec<Other> {
    let mut found = Vec::new();
    for object in objects {
        let Some(kind) = kind_of(object) else { continue };
        let metadata = &object["metadata"];
        let name = format!("{}/{}", kind.one, metadata["name"].as_str().unwrap_or_default());
        let owned =
            metadata["ownerReferences"].as_array().is_some_and(|o| o.iter().any(|o| o["controller"] == true));
        let elsewhere = metadata["namespace"].as_str().is_some_and(|n| n != namespace);
        if owned || elsewhere || name == except {
            continue;
        }
        let template = kind.template.iter().fold(object, |object, field| &object[*field]);
        let mut secrets = BTreeSet::new();
        for list in ["initContainers", "containers", "volumes"] {
            secrets_in(&template["spec"][list], &mut secrets);
        }
        let account = template["spec"]["serviceAccountName"].as_str().unwrap_or("default").to_owned();
        found.push(Other { name, account, secrets });
    }
    found
}

fn kind_of(object: &Value) -> Option<&'static Kind> {
    let version = object["apiVersion"].as_str()?;
    let group = version.split_once('/').map_or("", |(group, _)| group);
    KINDS.iter().find(|k| k.group == group && object["kind"] == k.kind)
}

/// Names of Secrets anywhere in containers and volumes.
fn secrets_in(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|i| secrets_in(i, found)),
        Value::Object(fields) => {
            for (field, value) in fields {
                let name = match field.as_str() {
                    "secretKeyRef" | "secretRef" => &value["name"],
                    "secret" if value["secretName"].is_string() => &value["secretName"],
                    "secret" => &value["name"],
                    _ => &Value::Null,
                };
                found.extend(name.as_str().map(str::to_owned));
                secrets_in(value, found);
            }
        }
        _ => {}
    }
}

/// Who else uses each of these Secrets, where somebody does.
pub(super) fn users<'a>(others: &'a [Other], secrets: &[&'a str]) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut users = BTreeMap::<&str, Vec<&str>>::new();
    for other in others {
        for secret in secrets.iter().filter(|s| other.secrets.contains(**s)) {
            users.entry(*secret).or_default().push(&other.name);
        }
    }
    users
}

/// Who else runs on this account.
pub(super) fn on_account<'a>(others: &'a [Other], account: &str) -> Vec<&'a str> {
    others.iter().filter(|o| o.account == account).map(|o| o.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(name: &str, spec: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "ns"},
            "spec": {"template": {"spec": spec}}})
    }

    #[test]
    fn whoever_else_uses_a_secret_or_the_account_is_named() {
        let objects = [
            deployment(
                "me",
                json!({"serviceAccountName": "bot", "containers": [{"envFrom": [{"secretRef": {"name": "s"}}]}]}),
            ),
            deployment(
                "env",
                json!({"containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}]}),
            ),
            deployment(
                "volume",
                json!({"serviceAccountName": "bot", "volumes": [{"secret": {"secretName": "s"}}]}),
            ),
            deployment(
                "projected",
                json!({"volumes": [{"projected": {"sources": [{"secret": {"name": "s"}}]}}]}),
            ),
            deployment("pulls", json!({"imagePullSecrets": [{"name": "s"}]})),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "ownerReferences": [{"controller": true}]},
                "spec": {"serviceAccountName": "bot"}}),
        ];
        let others = others(&objects, "ns", "deployment/me");
        let expected =
            BTreeMap::from([("s", vec!["deployment/env", "deployment/volume", "deployment/projected"])]);
        assert_eq!(users(&others, &["s", "t"]), expected);
        assert_eq!(on_account(&others, "bot"), ["deployment/volume"]);
    }
}
