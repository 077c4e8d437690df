//! The read model: what decisions see of the cluster.
//!
//! Filled from API objects by `perpro`'s snapshot; smaller than the objects, and parsed once.

use crate::api::{AgentIdentity, AgentIdentitySpec, Authorization};
use crate::decide::credentials::Credential;
use crate::names;
use jiff::Timestamp;
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};

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
    /// Who last widened it; `None` when nobody is recorded, which no guarded write leaves.
    pub author: Option<Author>,
    /// What the author was found to hold, when last asked.
    pub authorization: Option<Authorization>,
    /// The spec.
    pub spec: AgentIdentitySpec,
}

/// A user as the API server authenticated them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// User name.
    pub user: String,
    /// Groups.
    pub groups: Vec<String>,
}

impl Author {
    /// The author recorded on an AgentIdentity.
    #[must_use]
    pub fn of(object: &AgentIdentity) -> Option<Self> {
        let annotation = |key| object.annotations().get(key);
        let user = annotation(names::AUTHOR).filter(|u| !u.is_empty())?.clone();
        let groups = annotation(names::AUTHOR_GROUPS)?;
        Some(Self { user, groups: groups.split('\n').map(str::to_owned).collect() })
    }
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
            author: Author::of(object),
            authorization: object.status.as_ref().and_then(|s| s.authorization.clone()),
            spec: object.spec.clone(),
        })
    }

    /// What the recorded author was found to hold for the spec as it is; `None` when that was
    /// not asked yet.
    #[must_use]
    pub fn authorized(&self) -> Option<&Authorization> {
        self.authorized_before().filter(|a| a.generation == self.generation)
    }

    /// What the recorded author was found to hold, for this spec or an earlier one.
    #[must_use]
    pub fn authorized_before(&self) -> Option<&Authorization> {
        let author = self.author.as_ref()?;
        self.authorization.as_ref().filter(|a| a.author == author.user)
    }

    /// Whether the identity, which expires at `expires_at`, is over at `now`, and why.
    #[must_use]
    pub fn ended(&self, expires_at: Timestamp, now: Timestamp) -> Option<IdentityEnd> {
        if self.deleting {
            Some(IdentityEnd::Deleted)
        } else if self.spec.suspended {
            Some(IdentityEnd::Suspended)
        } else if expires_at <= now {
            Some(IdentityEnd::Expired)
        } else {
            None
        }
    }

    /// Whether the Secret `name` is listed under `spec.secrets`.
    #[must_use]
    pub fn lists_secret(&self, name: &str) -> bool {
        self.spec.secrets.iter().any(|s| s.name == name)
    }
}

/// To which identity each Secret of a namespace belongs. An index: a namespace may have thousands of identities, and
/// each decision asks about each Secret of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretOwners(BTreeMap<String, SecretOwner>);

/// The identity that a Secret belongs to: of those that list it the oldest, the smaller UID among twins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretOwner {
    created: Timestamp,
    uid: String,
    /// Its name.
    pub identity: String,
}

impl SecretOwner {
    /// Whether it is another identity than `identity`, and older.
    #[must_use]
    pub fn precedes(&self, identity: &Identity) -> bool {
        self.uid != identity.uid && (self.created, &self.uid) < (identity.created, &identity.uid)
    }
}

impl SecretOwners {
    /// Nobody owns any.
    #[must_use]
    pub const fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// Those among `identities`, which are all of a namespace.
    pub fn among<'a>(identities: impl IntoIterator<Item = &'a Identity>) -> Self {
        let mut owners = BTreeMap::<_, SecretOwner>::new();
        for Identity { name, uid, created, spec, .. } in identities {
            let owner = SecretOwner { created: *created, uid: uid.clone(), identity: name.clone() };
            for secret in &spec.secrets {
                let oldest = owners.entry(secret.name.clone()).or_insert_with(|| owner.clone());
                if owner < *oldest {
                    *oldest = owner.clone();
                }
            }
        }
        Self(owners)
    }

    /// Every Secret that has an owner.
    pub fn all(&self) -> impl Iterator<Item = (&str, &SecretOwner)> {
        self.0.iter().map(|(secret, owner)| (secret.as_str(), owner))
    }

    /// The owner of a Secret, if there is one.
    #[must_use]
    pub fn of(&self, secret: &str) -> Option<&SecretOwner> {
        self.0.get(secret)
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

impl Permission {
    /// What it is about, in words: `configmaps`, `deployments.apps "web"`.
    #[must_use]
    pub fn object(&self) -> String {
        let dot = if self.group.is_empty() { "" } else { "." };
        let name = self.name.as_ref().map(|n| format!(" \"{n}\"")).unwrap_or_default();
        format!("{}{dot}{}{name}", self.resource, self.group)
    }
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
    /// Whether anything owns it. What the webhook mints has no owner before it is claimed.
    pub owned: bool,
    /// Since when its pod holds what the identity lists no more.
    pub stale_since: Option<Timestamp>,
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
    /// `metadata.creationTimestamp`.
    pub created: Timestamp,
    /// UID of the identity that it was admitted under.
    pub identity_uid: Option<String>,
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
    /// Credentials that its containers hold.
    pub holds: Vec<Credential>,
    /// What made it and will make another: its controlling owner reference.
    pub controller: Option<ControllerRef>,
}

impl PodFacts {
    /// Whether the pod runs, or would run, under an account of `identity`.
    #[must_use]
    pub fn is_instance_of(&self, identity: &str) -> bool {
        names::is_account_of(&self.account, identity)
    }

    /// Whether it was not told to end, or was given more than this grace: whoever may delete a pod chooses, and may
    /// choose centuries. From the request on, so that no two clocks are compared.
    #[must_use]
    pub fn outlasts(&self, grace_seconds: i64) -> bool {
        self.deletion.is_none_or(|d| d.due.duration_since(d.requested).as_secs() > grace_seconds)
    }
}

/// A pod without identity, as far as others' Secrets are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainPod {
    /// Name.
    pub name: String,
    /// The Secrets that it names.
    pub secrets: BTreeSet<String>,
}

/// The controlling owner reference of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerRef {
    /// API version of its kind.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
}

/// When a pod's deletion was asked for, and when its grace ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Time of the delete request: `deletionTimestamp` less `deletionGracePeriodSeconds`.
    pub requested: Timestamp,
    /// `metadata.deletionTimestamp`.
    pub due: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn identity(name: &str, uid: &str, created: &str, secrets: &[&str]) -> Identity {
        let secrets: Vec<_> =
            secrets.iter().map(|s| json!({"name": s, "rotateBy": "2030-01-01T00:00:00Z"})).collect();
        let object = json!({"metadata": {"name": name, "namespace": "ns", "uid": uid, "generation": 1, "creationTimestamp": created},
            "spec": {"owner": {"kind": "User", "name": "jane"}, "expiresAt": "2030-01-01T00:00:00Z",
                "justification": "Answers questions.", "secrets": secrets}});
        Identity::from_object(&serde_json::from_value(object).unwrap()).unwrap()
    }

    #[test]
    fn a_secret_belongs_to_the_oldest_identity_that_lists_it_and_to_the_smaller_uid_among_twins() {
        let old = identity("old", "z", "2026-01-01T00:00:00Z", &["crm"]);
        let [twin, other] = [("twin", "a"), ("other", "b")]
            .map(|(n, u)| identity(n, u, "2026-01-02T00:00:00Z", &["crm", "erp"]));
        for all in [[&old, &twin, &other], [&other, &twin, &old]] {
            let owners = SecretOwners::among(all);
            let owner = |secret| owners.of(secret).map(|o| o.identity.as_str());
            assert_eq!((owner("crm"), owner("erp"), owner("llm")), (Some("old"), Some("twin"), None));
            let takes = |secret, from: &Identity| owners.of(secret).is_some_and(|o| o.precedes(from));
            assert!(takes("crm", &twin) && takes("erp", &other));
            assert!(!takes("crm", &old) && !takes("erp", &twin) && !takes("erp", &old));
        }
    }
}
