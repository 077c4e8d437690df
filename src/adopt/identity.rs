//! The AgentIdentity: what a person said, what the workload uses, and what is still to be said.

use super::Wish;
use super::yaml::comment;
use crate::manifest::{Node, read};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use perpro_core::api::{AgentIdentitySpec, ContainerGrant, OwnedSecret, Owner, OwnerKind, PermissionRule};
use perpro_core::names;
use std::collections::BTreeMap;

/// Stands for a name that nobody said. Admission refuses a blank at its end.
const WHO: &str = "FILL IN who answers for this agent ";
/// Stands for a date.
const WHEN: &str = "FILL IN until when, as 2027-06-30T00:00:00Z";
/// Stands for a reason. Admission refuses one that is short without its blanks.
const WHY: &str = "FILL IN   ";

/// What a person said of the agent.
pub(super) struct Said<'a>(&'a Wish);

impl<'a> Said<'a> {
    pub(super) fn of(wish: &'a Wish) -> Self {
        Self(wish)
    }

    pub(super) fn owner(&self) -> Option<&Owner> {
        self.0.owner.as_ref()
    }

    pub(super) fn expires(&self) -> Option<Timestamp> {
        self.0.expires
    }

    fn rotate_by(&self) -> Option<Timestamp> {
        self.0.rotate_by.or(self.0.expires)
    }

    /// The flags of what was not said.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let all = [
            ("--owner", self.0.owner.is_none()),
            ("--expires", self.0.expires.is_none()),
            ("--justification", self.0.justification.is_none()),
        ];
        all.into_iter().filter(|(_, missing)| *missing).map(|(flag, _)| flag).collect()
    }

    /// The spec, with something in place of what was not said.
    pub(super) fn spec(
        &self,
        permissions: &[PermissionRule],
        secrets: &[&str],
        containers: Vec<ContainerGrant>,
        now: Timestamp,
    ) -> AgentIdentitySpec {
        let later = now + SignedDuration::from_hours(24);
        let rotate_by = Time(self.rotate_by().unwrap_or(later));
        let secret = |name: &&str| OwnedSecret { name: (*name).to_owned(), rotate_by: rotate_by.clone() };
        AgentIdentitySpec {
            owner: self.0.owner.clone().unwrap_or(Owner { kind: OwnerKind::User, name: WHO.to_owned() }),
            contacts: Vec::new(),
            expires_at: Time(self.0.expires.unwrap_or(later)),
            justification: self.0.justification.clone().unwrap_or_else(|| WHY.to_owned()),
            suspended: false,
            permissions: permissions.to_vec(),
            secrets: secrets.iter().map(secret).collect(),
            containers,
        }
    }
}

/// What is said in comments beside fields.
pub(super) struct Beside {
    pub(super) permissions: Vec<String>,
    /// By the name of the Secret.
    pub(super) secrets: BTreeMap<String, Vec<String>>,
}

/// The identity as people write it.
pub(super) fn document(
    name: &str,
    namespace: &str,
    spec: &AgentIdentitySpec,
    said: &Said<'_>,
    beside: &Beside,
) -> Node {
    let json = serde_json::to_string(spec).unwrap_or_default();
    let text = format!("{{\"apiVersion\": \"v1\", \"kind\": \"X\", \"spec\": {json}}}");
    let read = read(text.as_bytes()).objects.into_iter().next();
    let mut spec = read.and_then(|mut o| o.node.remove("spec")).unwrap_or_else(|| Node::of_fields([]));
    spec.remove("suspended");
    if said.expires().is_none() {
        spec.set("expiresAt", Node::of_text(WHEN));
    }
    for secret in spec.get_mut("secrets").map(Node::items_mut).unwrap_or_default() {
        if said.rotate_by().is_none() {
            secret.set("rotateBy", Node::of_text(WHEN));
        }
    }
    for container in spec.get_mut("containers").map(Node::items_mut).unwrap_or_default() {
        if container.get("kubernetesAccess").and_then(Node::text) == Some("None") {
            container.remove("kubernetesAccess");
        }
    }
    explain(&mut spec, beside);
    let metadata = Node::of_fields([("name", Node::of_text(name)), ("namespace", Node::of_text(namespace))]);
    let mut document = Node::of_fields([
        ("apiVersion", Node::of_text(format!("{}/{}", names::GROUP, names::VERSION))),
        ("kind", Node::of_text("AgentIdentity")),
        ("metadata", metadata),
        ("spec", spec),
    ]);
    let missing = said.missing();
    if !missing.is_empty()
        && let Some(fields) = document.fields_mut()
    {
        let words = format!("Admission refuses this until a person has said: {}.", missing.join(", "));
        fields.insert(0, comment(words));
    }
    document
}

/// Says beside the fields what they don't.
fn explain(spec: &mut Node, beside: &Beside) {
    for secret in spec.get_mut("secrets").map(Node::items_mut).unwrap_or_default() {
        let words = beside.secrets.get(super::env::text(secret, &["name"])).map(|w| w.join("\n"));
        if let (Some(words), Some(fields)) = (words, secret.fields_mut()) {
            fields.insert(0, comment(words));
        }
    }
    let Some(fields) = spec.fields_mut().filter(|_| !beside.permissions.is_empty()) else { return };
    let after = ["permissions", "secrets", "containers"];
    let at = after.iter().find_map(|name| fields.iter().position(|f| f.name == *name));
    fields.insert(at.unwrap_or(fields.len()), comment(beside.permissions.join("\n")));
}
