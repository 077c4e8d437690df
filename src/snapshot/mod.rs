//! What the services see of the cluster without asking: watches, trimmed on arrival, read as the
//! core's model.

mod census;
mod convert;
mod known;
mod labelled;
mod owners;
mod remains;
mod watch;

pub(crate) use convert::pod_facts;
pub(crate) use remains::Remains;
pub(crate) use watch::{Touched, Watches};

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::Role;
use known::Known;
use kube::api::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource, ResourceExt};
use labelled::Labelled;
use owners::Owners;
use perpro_core::api::{AgentIdentityStatus, AgentPolicy, PermissionRule};
use perpro_core::model::{Account, Binding, Identity, PodFacts, SecretOwners};
use perpro_core::names;
use std::collections::BTreeSet;
use std::sync::Arc;
use watch::Unread;

/// Name of an identity in its namespace; the identity itself may be gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Namespace.
    pub(crate) namespace: String,
    /// Name of the AgentIdentity.
    pub(crate) identity: String,
}

/// Identities, their policies and accounts: what decisions on a pod need.
///
/// Of accounts, bindings and Roles only those with both of our marks, which nobody else may set: who puts one of them
/// on objects of their own neither fills `maxInstances` nor our memory.
///
/// An identity that can't be read stalls only itself: it counts as absent, so its pods are
/// refused. A policy that can't be read stalls everything, since without it a ceiling is gone.
#[derive(Clone)]
pub(crate) struct Snapshot {
    identities: Store<Known>,
    owners: Owners,
    policies: Store<AgentPolicy>,
    accounts: Labelled<Account>,
    unread: Unread,
}

impl Snapshot {
    /// Starts the watches.
    pub(crate) fn start(client: &Client, watches: &mut Watches) -> Self {
        let owners = Owners::default();
        let changed = owners.clone();
        Self {
            identities: watches
                .follow_with(client, None, convert::trim_identity, move |event| changed.forget(event)),
            owners,
            policies: watches.follow(client, None, convert::trim_annotations),
            accounts: watches.follow_labelled(client, &names::ours(), convert::our_account),
            unread: watches.unread(),
        }
    }

    /// Kinds whose objects have not all been read yet.
    pub(crate) fn unread(&self) -> Vec<&'static str> {
        self.unread.kinds().into_iter().collect()
    }

    /// The identity of that name, if there is one.
    pub(crate) fn identity(&self, key: &Key) -> Option<Arc<Identity>> {
        self.known(key)?.identity()
    }

    /// The status of the identity of that name.
    pub(crate) fn status(&self, key: &Key) -> Option<AgentIdentityStatus> {
        self.known(key)?.object()?.status.clone()
    }

    fn known(&self, key: &Key) -> Option<Arc<Known>> {
        self.identities.get(&ObjectRef::new(&key.identity).within(&key.namespace))
    }

    /// All identities of the cluster.
    pub(crate) fn identities(&self) -> Vec<Identity> {
        self.identities.state().iter().filter_map(|i| Identity::from_object(i.object()?)).collect()
    }

    /// All identities of a namespace.
    pub(crate) fn identities_of(&self, namespace: &str) -> Vec<Identity> {
        let here = self.identities.state_filter(|i| i.meta().namespace.as_deref() == Some(namespace));
        here.iter().filter_map(|i| Identity::from_object(i.object()?)).collect()
    }

    /// How many identities a namespace has.
    pub(crate) fn identity_count(&self, namespace: &str) -> usize {
        self.identities.state_filter(|i| i.meta().namespace.as_deref() == Some(namespace)).len()
    }

    /// To whom the Secrets of a namespace belong.
    pub(crate) fn secret_owners(&self, namespace: &str) -> Arc<SecretOwners> {
        self.owners.of(namespace, || self.identities_of(namespace))
    }

    /// Every identity that is there, or has accounts.
    pub(crate) fn keys(&self) -> BTreeSet<Key> {
        let identities = self.identities.state();
        let named = identities
            .iter()
            .filter_map(|i| Some(Key { namespace: i.namespace()?, identity: i.meta().name.clone()? }));
        named.chain(self.accounts.keys()).collect()
    }

    /// Whether an identity is there, also one that can't be read, or has accounts.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.known(key).is_some() || self.accounts.has(key)
    }

    /// All policies of the cluster.
    pub(crate) fn policies(&self) -> Vec<Arc<AgentPolicy>> {
        self.policies.state()
    }

    /// How many instance accounts a namespace has, claimed and unclaimed.
    pub(crate) fn account_count(&self, namespace: &str) -> usize {
        self.accounts.count(namespace)
    }

    /// The accounts minted for an identity.
    pub(crate) fn accounts(&self, key: &Key) -> Vec<Arc<Account>> {
        self.accounts.of(key)
    }
}

/// Pods, bindings, Roles and namespaces: what the life of instances needs besides.
#[derive(Clone)]
pub(crate) struct Instances {
    pods: Labelled<PodFacts>,
    bindings: Labelled<Binding>,
    roles: Store<Role>,
    namespaces: Store<PartialObjectMeta<Namespace>>,
    exempt: [String; 2],
}

impl Instances {
    /// Starts the watches. `own_namespace` is never governed, nor is kube-system: an outage of
    /// ours must not keep a cluster from coming up.
    pub(crate) fn start(client: &Client, watches: &mut Watches, own_namespace: &str) -> Self {
        Self {
            exempt: [names::KUBE_SYSTEM.to_owned(), own_namespace.to_owned()],
            pods: watches.follow_labelled(client, names::IDENTITY_LABEL, convert::labelled_pod),
            bindings: watches.follow_labelled(client, &names::ours(), convert::our_binding),
            roles: watches.follow(client, Some(&names::ours()), convert::trim_annotations),
            namespaces: watches.follow(client, None, convert::trim_annotations),
        }
    }

    /// Every identity that pods or bindings carry the label of.
    pub(crate) fn keys(&self) -> BTreeSet<Key> {
        self.pods.keys().into_iter().chain(self.bindings.keys()).collect()
    }

    /// Whether pods or bindings carry the label of an identity.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.pods.has(key) || self.bindings.has(key)
    }

    /// Pods that carry the label of an identity.
    pub(crate) fn pods(&self, key: &Key) -> Vec<Arc<PodFacts>> {
        self.pods.of(key)
    }

    /// Bindings of an identity's accounts.
    pub(crate) fn bindings(&self, key: &Key) -> Vec<Arc<Binding>> {
        self.bindings.of(key)
    }

    /// The rules of an identity's Role, if it has one.
    pub(crate) fn role_rules(&self, identity: &Identity) -> Option<Vec<PermissionRule>> {
        let role = ObjectRef::new(&names::role_name(&identity.uid)).within(&identity.namespace);
        self.roles.get(&role).map(|r| convert::permission_rules(&r))
    }

    /// Namespaces in which every pod must have an identity.
    pub(crate) fn governed_whole(&self) -> Vec<String> {
        let whole = self
            .namespaces
            .state_filter(|n| n.labels().get(names::ENFORCE_LABEL).is_some_and(|m| m == "all"));
        let names = whole.iter().map(|n| n.name_any());
        names.filter(|n| !self.exempt.contains(n)).collect()
    }

    /// How many live pods of governed namespaces wear the label and have no account of their own.
    pub(crate) fn without_account(&self) -> usize {
        let governed = self.pods.all(None).into_iter().filter(|(key, _)| self.governed(&key.namespace));
        governed.map(|(key, pods)| pods.iter().filter(|p| census::has_no_account(&key, p)).count()).sum()
    }

    /// Whether a namespace is being deleted.
    pub(crate) fn terminating(&self, namespace: &str) -> bool {
        let found = self.namespaces.get(&ObjectRef::new(namespace));
        found.is_some_and(|n| n.metadata.deletion_timestamp.is_some())
    }

    /// What a governed namespace enforces: all or agents.
    pub(crate) fn enforces(&self, namespace: &str) -> Option<String> {
        let found = self.namespaces.get(&ObjectRef::new(namespace)).filter(|_| self.governed(namespace))?;
        found.labels().get(names::ENFORCE_LABEL).cloned()
    }

    /// Namespaces that enforce identities.
    pub(crate) fn all_governed(&self) -> Vec<String> {
        let names = self.namespaces.state().into_iter().map(|n| n.name_any());
        names.filter(|n| self.governed(n)).collect()
    }

    /// How many instances a namespace has that were not told to end, and how many of them wait at their gate.
    pub(crate) fn count(&self, namespace: &str) -> (usize, usize) {
        census::live(&self.pods.all(Some(namespace)))
    }

    /// Whether a namespace enforces identities.
    pub(crate) fn governed(&self, namespace: &str) -> bool {
        if self.exempt.iter().any(|n| n == namespace) {
            return false;
        }
        let found = self.namespaces.get(&ObjectRef::new(namespace));
        found.is_some_and(|n| {
            matches!(n.labels().get(names::ENFORCE_LABEL).map(String::as_str), Some("all" | "agents"))
        })
    }
}
