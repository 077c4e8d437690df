//! Each finding beside its innocent twin.

mod agents;
mod cracks;
mod right;
mod who;

use super::report::{Crack, Report, Row};
use super::{Listing, report};
use serde_json::{Value, json};

/// A cluster in the making.
#[derive(Default)]
struct Scene(Listing);

impl Scene {
    /// A pod of its own in namespace `ns`, an agent by its label.
    fn agent(self, name: &str, spec: Value) -> Self {
        self.pod(json!({"metadata": {"name": name, "labels": {"perpro.dev/agent": "true"}}, "spec": spec}))
    }

    /// The same without the label.
    fn plain(self, name: &str, spec: Value) -> Self {
        self.pod(json!({"metadata": {"name": name}, "spec": spec}))
    }

    fn pod(mut self, mut pod: Value) -> Self {
        let namespace = &mut pod["metadata"]["namespace"];
        if namespace.is_null() {
            *namespace = json!("ns");
        }
        if pod["spec"]["containers"].is_null() {
            pod["spec"]["containers"] = json!([{"name": "main"}]);
        }
        self.0.pod(&pod.to_string());
        self
    }

    fn with(mut self, take: fn(&mut Listing, &Value), object: Value) -> Self {
        take(&mut self.0, &object);
        self
    }

    /// Rules bound to a subject, in a namespace or, where that is empty, everywhere.
    fn bound(self, namespace: &str, rules: Value, subject: Value) -> Self {
        let name = format!("r{}", self.0.roles.len());
        let role = json!({"metadata": {"name": name}, "rules": rules});
        self.with(Listing::role, role).binding(namespace, &name, subject)
    }

    fn binding(self, namespace: &str, role: &str, subject: Value) -> Self {
        let metadata = if namespace.is_empty() { json!({}) } else { json!({"namespace": namespace}) };
        let role = json!({"kind": "ClusterRole", "name": role});
        self.with(Listing::binding, json!({"metadata": metadata, "roleRef": role, "subjects": [subject]}))
    }

    fn report(self) -> Report {
        report(self.0)
    }

    fn row(self, crack: Crack) -> Row {
        self.report().rows.into_iter().find(|r| r.crack == crack).unwrap()
    }

    /// Agents with the crack, and what is said, as `thing: what`.
    fn found(self, crack: Crack) -> (usize, Vec<String>) {
        let row = self.row(crack);
        (row.agents, row.findings.iter().map(|f| format!("{}: {}", f.at, f.what)).collect())
    }

    fn agents_with(self, crack: Crack) -> usize {
        self.row(crack).agents
    }
}

/// A pod's spec that takes what `env`, `envFrom` or a volume brings.
fn container(fields: &Value) -> Value {
    let mut main = json!({"name": "main"});
    main.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"containers": [main]})
}

/// One key of a Secret in the environment.
fn key(secret: &str) -> Value {
    container(&json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": secret, "key": "k"}}}]}))
}

/// The token that pods get unasked.
fn unasked(account: &str) -> Value {
    token(account, &json!({"expirationSeconds": 3607, "path": "token"}))
}

fn token(account: &str, token: &Value) -> Value {
    json!({
        "serviceAccountName": account,
        "containers": [{"name": "main", "volumeMounts": [{"name": "t", "mountPath": "/t"}]}],
        "volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": token}]}}],
    })
}

fn account(name: &str) -> Value {
    json!({"kind": "ServiceAccount", "namespace": "ns", "name": name})
}
