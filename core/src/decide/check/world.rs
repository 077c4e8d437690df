//! What is known beside the pods: identities, their Secrets, policies.

use crate::api::{AgentIdentity, AgentPolicy};
use crate::decide::ceiling::Ceiling;
use crate::model::{Author, Identity, SecretOwners};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Identities and policies as they will be when everything is applied.
#[derive(Clone, Debug, Default)]
pub struct World {
    namespaces: BTreeMap<String, Namespace>,
    policies: Vec<AgentPolicy>,
    whole: bool,
}

#[derive(Clone, Debug, Default)]
struct Namespace {
    /// `None` for one that is there and can't be read.
    identities: BTreeMap<String, Option<Identity>>,
    owners: SecretOwners,
}

/// What is known of an identity.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'a> {
    Identity(&'a Identity),
    /// It does not exist.
    Missing,
    /// Nobody knows.
    Unknown,
}

impl World {
    /// A world of these policies. `whole`: nothing else is there, so that an identity which is missing does not exist.
    #[must_use]
    pub fn new(policies: Vec<AgentPolicy>, whole: bool) -> Self {
        Self { policies, whole, ..Self::default() }
    }

    /// Adds the identities of a namespace.
    pub fn add(&mut self, namespace: &str, identities: Vec<Identity>) {
        let space = self.namespaces.entry(namespace.to_owned()).or_default();
        space.owners = SecretOwners::among(&identities);
        space.identities.extend(identities.into_iter().map(|i| (i.name.clone(), Some(i))));
    }

    /// Adds one that exists, and of which nothing more can be said.
    pub fn add_unreadable(&mut self, namespace: &str, name: &str) {
        let space = self.namespaces.entry(namespace.to_owned()).or_default();
        space.identities.insert(name.to_owned(), None);
    }

    /// The policies that bound a namespace.
    #[must_use]
    pub fn ceiling(&self, namespace: &str) -> Ceiling<'_> {
        Ceiling::of(namespace, &self.policies)
    }

    /// Whether a policy could be there that is not known.
    #[must_use]
    pub fn may_have_other_policies(&self) -> bool {
        !self.whole && self.policies.is_empty()
    }

    /// Whether an identity of the namespace lists a Secret.
    #[must_use]
    pub fn has_owned_secrets(&self, namespace: &str) -> bool {
        self.owners(namespace).all().next().is_some()
    }

    pub(super) fn identity(&self, namespace: &str, name: &str) -> Found<'_> {
        match self.namespaces.get(namespace).and_then(|n| n.identities.get(name)) {
            Some(Some(identity)) => Found::Identity(identity),
            Some(None) => Found::Unknown,
            // Who gives identities gives them all; who gives none has them elsewhere.
            None if self.whole || !self.namespaces.is_empty() => Found::Missing,
            None => Found::Unknown,
        }
    }

    pub(super) fn owners(&self, namespace: &str) -> &SecretOwners {
        static NONE: SecretOwners = SecretOwners::none();
        self.namespaces.get(namespace).map_or(&NONE, |n| &n.owners)
    }
}

/// `written` as an API server will store it when somebody applies it who may: over `live`, if that is there. `turn`: how
/// many were written before it, as the first to come owns a Secret.
#[must_use]
pub fn as_stored(
    written: AgentIdentity,
    namespace: &str,
    live: Option<&Identity>,
    turn: usize,
    now: Timestamp,
) -> Identity {
    if let Some(live) = live.filter(|live| live.spec == written.spec) {
        return live.clone();
    }
    Identity {
        namespace: namespace.to_owned(),
        name: written.metadata.name.unwrap_or_default(),
        uid: live.map_or_else(|| format!("{turn:010}"), |live| live.uid.clone()),
        generation: live.map_or(1, |live| live.generation + 1),
        created: live.map_or(now, |live| live.created),
        deleting: false,
        // Whoever applies it; what they hold is asked then.
        author: Some(Author { user: String::new(), groups: Vec::new() }),
        authorization: None,
        spec: written.spec,
    }
}
