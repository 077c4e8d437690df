//! The objects that tests send, and what they read of those that come back.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use perpro_core::names;
use serde_json::{Value, json};

/// The usual spec of an identity.
pub fn usual_spec() -> Value {
    json!({
            "owner": {"kind": "User", "name": "jane@example.com"},
            "expiresAt": "2036-01-01T00:00:00Z",
            "justification": "Reads feedback and answers it",
            "permissions": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}],
            "secrets": [{"name": "crm", "rotateBy": "2036-01-01T00:00:00Z"}],
            "containers": [{"name": "agent", "kubernetesAccess": "Token",
                "secretKeys": [{"secret": "crm", "key": "key", "env": "CRM_KEY", "path": "crm/key"}]}]
    })
}

/// A pod of identity `bot` with containers `agent` and `tool`, with `change` merged in.
pub fn pod(change: Value) -> Pod {
    let container = |name: &str| {
        json!({"name": name, "image": "perpro-tests", "imagePullPolicy": "IfNotPresent",
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}})
    };
    let mut object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "pod"},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container("agent"), container("tool")]
        }
    });
    merge(&mut object, change);
    serde_json::from_value(object).unwrap()
}

/// [`pod`] with the label of identity `bot`.
pub fn agent(change: Value) -> Pod {
    let mut labelled = json!({"metadata": {"labels": {names::IDENTITY_LABEL: "bot"}}});
    merge(&mut labelled, change);
    pod(labelled)
}

/// Objects merge, arrays of named things merge by name, everything else is replaced.
pub fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(change))
            if change.iter().chain(into.iter()).all(|v| v.get("name").is_some()) =>
        {
            for value in change {
                match into.iter_mut().find(|v| v["name"] == value["name"]) {
                    Some(same) => merge(same, value),
                    None => into.push(value),
                }
            }
        }
        (into, change) => *into = change,
    }
}

/// Whether the pod waits at our gate.
pub fn gated(pod: &Pod) -> bool {
    pod.spec.iter().flat_map(|s| s.scheduling_gates.iter().flatten()).any(|g| g.name == names::GATE)
}

/// Name of the account that the pod runs under.
pub fn account_of(pod: &Pod) -> String {
    pod.spec.as_ref().and_then(|s| s.service_account_name.clone()).unwrap_or_default()
}

/// UID of an object.
pub fn uid(object: &impl ResourceExt) -> String {
    object.uid().unwrap()
}
