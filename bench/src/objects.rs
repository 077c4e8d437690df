//! What the benchmarks put into a cluster. Pure.

use serde_json::{Value, json};

/// The identity that the pods of the benchmarks name, unless they say otherwise.
pub(super) const IDENTITY: &str = "bench";

/// A pod of about so many kilobytes, as stored: with defaults, what perpro adds, and managed fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Kilobytes (10^3).
    pub(super) kilobytes: usize,
    containers: usize,
    variables: usize,
}

/// From a single small program to a pod with sidecars that somebody configures by the environment.
pub(super) const SIZES: [Size; 3] = [
    Size { kilobytes: 4, containers: 1, variables: 9 },
    Size { kilobytes: 10, containers: 2, variables: 22 },
    Size { kilobytes: 50, containers: 5, variables: 65 },
];

pub(super) fn namespace(name: &str, labels: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

/// One permission, one Secret key and a token, as a typical agent has.
pub(super) fn identity(name: &str) -> Value {
    let secret = format!("{name}-key");
    json!({
        "apiVersion": "perpro.dev/v1alpha1",
        "kind": "AgentIdentity",
        "metadata": {"name": name},
        "spec": {
            "owner": {"kind": "User", "name": "jane@example.com"},
            "expiresAt": "2036-01-01T00:00:00Z",
            "justification": "Reads feedback of customers and answers it.",
            "permissions": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}],
            "secrets": [{"name": secret, "rotateBy": "2036-01-01T00:00:00Z"}],
            "containers": [{
                "name": "agent",
                "images": ["ghcr.io/acme/"],
                "kubernetesAccess": "Token",
                "secretKeys": [{"secret": secret, "key": "key", "env": "MODEL_API_KEY"}],
            }],
        },
    })
}

/// Lets every identity have what [`identity`] asks for.
pub(super) fn policy() -> Value {
    json!({
        "apiVersion": "perpro.dev/v1alpha1",
        "kind": "AgentPolicy",
        "metadata": {"name": "bench"},
        "spec": {
            "namespaces": ["*"],
            "permissions": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}],
            "maxInstances": 10_000,
            "maxLifetimeDays": 3650,
        },
    })
}

/// A small pod of no agent, that careful policies let pass.
pub(super) fn pod(name: &str) -> Value {
    pod_of(name, SIZES[0])
}

/// The same pod as an agent.
pub(super) fn agent(name: &str, identity: &str, size: Size) -> Value {
    let mut pod = pod_of(name, size);
    pod["metadata"]["labels"]["perpro.dev/identity"] = json!(identity);
    pod
}

/// A pod that says it is an agent, and names no identity: refused wherever identities are enforced.
pub(super) fn nameless_agent(name: &str) -> Value {
    let mut pod = pod(name);
    pod["metadata"]["labels"]["perpro.dev/agent"] = json!("true");
    pod
}

fn pod_of(name: &str, size: Size) -> Value {
    let containers: Vec<Value> = (0..size.containers).map(|nth| container(nth, size.variables)).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "bench"}},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": containers,
        },
    })
}

fn container(nth: usize, variables: usize) -> Value {
    let name = if nth == 0 { "agent".to_owned() } else { format!("tool-{nth}") };
    let variable = |nth: usize| json!({"name": format!("SETTING_{nth}"), "value": format!("https://service-{nth}.example.com/v1")});
    let variables: Vec<Value> = (0..variables).map(variable).collect();
    json!({
        "name": name,
        "image": format!("ghcr.io/acme/{name}:1.4.2"),
        "imagePullPolicy": "IfNotPresent",
        "env": variables,
        "resources": {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"memory": "256Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
    })
}
