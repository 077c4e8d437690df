//! The pod template under the identity, and what the identity lists for its containers.

use super::env::{containers, is_true, text};
use super::keys::Keys;
use super::notes::Notes;
use super::target::Kind;
use super::yaml::comment;
use crate::manifest::{Data, Field, Node};
use perpro_core::api::{ContainerGrant, KubernetesAccess};
use perpro_core::names;
use serde_json::Value;
use std::collections::BTreeSet;

/// Containers that have a token where client libraries look for it, without asking for one.
pub(super) fn with_usual_token(spec: &Node, account: Option<&Value>) -> BTreeSet<String> {
    let of_account = || account.and_then(|a| a["automountServiceAccountToken"].as_bool());
    let of_pod = match spec.get("automountServiceAccountToken").map(|n| &n.data) {
        Some(Data::Bool(mounts)) => Some(*mounts),
        _ => None,
    };
    if !of_pod.or_else(of_account).unwrap_or(true) {
        return BTreeSet::new();
    }
    let own = |c: &&Node| {
        let mounts = c.get("volumeMounts").map(Node::items).unwrap_or_default();
        !mounts.iter().any(|m| text(m, &["mountPath"]).trim_end_matches('/') == names::TOKEN_DIR)
    };
    containers(spec).filter(own).map(|c| text(c, &["name"]).to_owned()).collect()
}

/// Lets the pod name no account: perpro gives each one of its own. What its account brings beside power, the names of pull
/// Secrets, stays.
pub(super) fn run_as(spec: &mut Node, account: &str, service_account: Option<&Value>) {
    spec.remove("serviceAccount");
    if is_true(spec.get("automountServiceAccountToken")) {
        spec.remove("automountServiceAccountToken");
    }
    let pulls = service_account.and_then(|a| a["imagePullSecrets"].as_array()).filter(|p| !p.is_empty());
    if let Some(pulls) = pulls.filter(|_| names_in(spec, "imagePullSecrets").is_empty()) {
        spec.set("imagePullSecrets", Node::of_json(Value::Array(pulls.clone())));
    }
    if account == "default" {
        return;
    }
    // Not taken away: kubectl apply leaves alone what is not mentioned and it did not write.
    spec.set("serviceAccountName", Node::of_text("default"));
    if let Some(fields) = spec.fields_mut()
        && let Some(at) = fields.iter().position(|f| f.name == "serviceAccountName")
    {
        let words = format!("It was {account}: perpro gives each pod an account of its own.");
        fields.insert(at, comment(words));
    }
}

pub(super) fn names_in(spec: &Node, list: &str) -> Vec<String> {
    let items = spec.get(list).map(Node::items).unwrap_or_default();
    items.iter().map(|i| text(i, &["name"]).to_owned()).filter(|n| !n.is_empty()).collect()
}

/// What the identity lists, and what the policy must let through for it.
pub(super) struct Listed {
    pub(super) containers: Vec<ContainerGrant>,
    pub(super) images: Vec<String>,
    /// A prefix for each image.
    pub(super) prefixes: Vec<String>,
}

/// Lists every container of a pod with what it has.
pub(super) fn listed(
    spec: &Node,
    keys: &Keys,
    has_token: impl Fn(&str) -> bool,
    notes: &mut Notes,
) -> Listed {
    let mut listed = Listed { containers: Vec::new(), images: Vec::new(), prefixes: Vec::new() };
    let mut with_token = Vec::new();
    for container in containers(spec) {
        let (name, image) = (text(container, &["name"]), text(container, &["image"]));
        let token = has_token(name);
        with_token.extend(token.then_some(name));
        let prefix = image_prefix(image);
        listed.containers.push(ContainerGrant {
            name: name.to_owned(),
            images: prefix.iter().cloned().collect(),
            kubernetes_access: if token { KubernetesAccess::Token } else { KubernetesAccess::None },
            secret_keys: keys.of(name),
        });
        listed.images.extend(prefix.is_some().then(|| image.to_owned()));
        listed.prefixes.extend(prefix);
    }
    if with_token.len() > 1 {
        notes.tell(format!(
            "containers {} have a Kubernetes token today, and keep one: probably not all need it",
            with_token.join(", ")
        ));
    }
    listed
}

/// The image without tag or digest: a prefix of every version of it.
pub(super) fn image_prefix(image: &str) -> Option<String> {
    if image.is_empty() {
        return None;
    }
    let (whole, digest) = image.split_once('@').map_or((image, false), |(w, _)| (w, true));
    let name = whole.rfind('/').map_or(0, |at| at + 1);
    Some(match whole[name..].find(':') {
        Some(colon) => whole[..=name + colon].to_owned(),
        None if digest => format!("{whole}@"),
        None => whole.to_owned(),
    })
}

/// Gives the pods the label of their identity.
pub(super) fn label(document: &mut Node, kind: &Kind, identity: &str) {
    let Some(template) = document.at_mut(kind.template) else { return };
    if template.get("metadata").is_none()
        && let Some(fields) = template.fields_mut()
    {
        let metadata = Field { name: "metadata".to_owned(), line: 0, value: Node::of_fields([]) };
        fields.insert(0, metadata);
    }
    if let Some(labels) = template.map_mut("metadata").and_then(|m| m.map_mut("labels")) {
        labels.set(names::IDENTITY_LABEL, Node::of_text(identity));
    }
}

/// The object where it is, whatever the context of who applies it.
pub(super) fn in_namespace(mut document: Node, namespace: &str) -> Node {
    if let Some(metadata) = document.map_mut("metadata")
        && let Some(fields) = metadata.fields_mut()
    {
        let there = fields.iter().position(|f| f.name == "namespace");
        let after = fields.iter().position(|f| f.name == "name").map_or(0, |at| at + 1);
        let field = Field { name: "namespace".to_owned(), line: 0, value: Node::of_text(namespace) };
        match there {
            Some(at) => fields[at] = field,
            None => fields.insert(after, field),
        }
    }
    document
}
