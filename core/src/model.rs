//! The read model: what decisions see of the cluster.
//!
//! Filled from API objects by `perpro`'s snapshot; smaller than the objects, and parsed once.

use crate::api::{AgentIdentity, AgentIdentitySpec};
use crate::names;
use jiff::Timestamp;

/// An AgentIdentity as stored: it has a UID and a generation.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// `metadata.creationTimestamp`.
    pub created: Timestamp,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// The spec.
    pub spec: AgentIdentitySpec,
}

impl Identity {
    /// The stored form of `object`; `None` when it lacks what every stored object has.
    #[must_use]
    pub fn from_object(object: &AgentIdentity) -> Option<Self> {
        let meta = &object.metadata;
        Some(Self {
            namespace: meta.namespace.clone()?,
            name: meta.name.clone()?,
            uid: meta.uid.clone()?,
            generation: meta.generation?,
            created: meta.creation_timestamp.as_ref()?.0,
            deleting: meta.deletion_timestamp.is_some(),
            spec: object.spec.clone(),
        })
    }

    /// Whether the identity is over at `now`, and why.
    #[must_use]
    pub fn ended(&self, now: Timestamp) -> Option<IdentityEnd> {
        if self.deleting {
            Some(IdentityEnd::Deleted)
        } else if self.spec.suspended {
            Some(IdentityEnd::Suspended)
        } else if self.spec.expires_at.0 <= now {
            Some(IdentityEnd::Expired)
        } else {
            None
        }
    }

    /// Whether this identity wins a Secret over `other`: the older one does, the smaller UID
    /// among twins.
    #[must_use]
    pub fn precedes(&self, other: &Self) -> bool {
        (self.created, &self.uid) < (other.created, &other.uid)
    }

    /// Whether the Secret `name` is listed under `spec.secrets`.
    #[must_use]
    pub fn lists_secret(&self, name: &str) -> bool {
        self.spec.secrets.iter().any(|s| s.name == name)
    }
}

/// Why an identity is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityEnd {
    /// Deleted, or made again under its name.
    Deleted,
    /// `spec.suspended`.
    Suspended,
    /// `spec.expiresAt` has passed.
    Expired,
}

/// One permission: what a rule expands to, and what RBAC decides on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// API group; "" is the core group.
    pub group: String,
    /// Resource or resource/subresource.
    pub resource: String,
    /// Name of a single object, or all.
    pub name: Option<String>,
    /// API verb.
    pub verb: String,
}

/// An instance account: a ServiceAccount that the webhook minted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Name.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// `metadata.creationTimestamp`.
    pub created: Timestamp,
    /// UID of the identity that it was minted for.
    pub identity_uid: Option<String>,
    /// The pod that claimed it.
    pub claim: Option<Claim>,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleting: bool,
}

/// The pod that an account belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Name of the pod.
    pub pod_name: String,
    /// UID of the pod.
    pub pod_uid: String,
}

/// The RoleBinding of an instance; its name is the account's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Name, equal to the account's.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleting: bool,
}

/// What the life of an instance needs to know of its pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFacts {
    /// Name.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `spec.serviceAccountName`.
    pub account: String,
    /// Whether our scheduling gate is still there.
    pub gated: bool,
    /// Whether the phase is Succeeded or Failed.
    pub finished: bool,
    /// Deletion, if it was asked for.
    pub deletion: Option<Deletion>,
    /// `spec.terminationGracePeriodSeconds`.
    pub grace_seconds: i64,
}

impl PodFacts {
    /// Whether the pod runs, or would run, under an account of `identity`.
    #[must_use]
    pub fn is_instance_of(&self, identity: &str) -> bool {
        names::is_account_of(&self.account, identity)
    }
}

/// When a pod's deletion was asked for, and when its grace ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Time of the delete request: `deletionTimestamp` less `deletionGracePeriodSeconds`.
    pub requested: Timestamp,
    /// `metadata.deletionTimestamp`.
    pub due: Timestamp,
}
