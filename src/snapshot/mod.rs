//! What the services see of the cluster without asking: watches, trimmed on arrival, read as the
//! core's model.

mod census;
mod convert;
mod known;
mod owners;
mod remains;
mod watch;

pub(crate) use convert::pod_facts;
pub(crate) use remains::Remains;
pub(crate) use watch::{Touched, Watches};

use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use known::Known;
use kube::api::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource, ResourceExt};
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
    accounts: Store<PartialObjectMeta<ServiceAccount>>,
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
            accounts: watches.follow(client, Some(&names::ours()), convert::trim_annotations),
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
        named.chain(self.accounts.state().iter().filter_map(|a| key_of(a.as_ref()))).collect()
    }

    /// Whether an identity is there, also one that can't be read, or has accounts.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.known(key).is_some() || self.accounts.find(|a| is_ours(a, key)).is_some()
    }

    /// All policies of the cluster.
    pub(crate) fn policies(&self) -> Vec<Arc<AgentPolicy>> {
        self.policies.state()
    }

    /// How many instance accounts a namespace has, claimed and unclaimed.
    pub(crate) fn account_count(&self, namespace: &str) -> usize {
        self.accounts.state_filter(|a| a.metadata.namespace.as_deref() == Some(namespace)).len()
    }

    /// The accounts minted for an identity.
    pub(crate) fn accounts(&self, key: &Key) -> Vec<Account> {
        self.accounts.state_filter(|a| is_ours(a, key)).iter().filter_map(|a| convert::account(a)).collect()
    }
}

/// Pods, bindings, Roles and namespaces: what the life of instances needs besides.
#[derive(Clone)]
pub(crate) struct Instances {
    pods: Store<Pod>,
    bindings: Store<PartialObjectMeta<RoleBinding>>,
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
            pods: watches.follow(client, Some(names::IDENTITY_LABEL), convert::trim_pod),
            bindings: watches.follow(client, Some(&names::ours()), convert::trim_annotations),
            roles: watches.follow(client, Some(&names::ours()), convert::trim_annotations),
            namespaces: watches.follow(client, None, convert::trim_annotations),
        }
    }

    /// Every identity that pods or bindings carry the label of.
    pub(crate) fn keys(&self) -> BTreeSet<Key> {
        let (pods, bindings) = (self.pods.state(), self.bindings.state());
        let pods = pods.iter().filter_map(|p| key_of(p.as_ref()));
        pods.chain(bindings.iter().filter_map(|b| key_of(b.as_ref()))).collect()
    }

    /// Whether pods or bindings carry the label of an identity.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.pods.find(|p| belongs_to(p, key)).is_some() || self.bindings.find(|b| is_ours(b, key)).is_some()
    }

    /// Pods that carry the label of an identity.
    pub(crate) fn pods(&self, key: &Key) -> Vec<PodFacts> {
        self.pods.state_filter(|p| belongs_to(p, key)).iter().filter_map(|p| pod_facts(p)).collect()
    }

    /// Bindings of an identity's accounts.
    pub(crate) fn bindings(&self, key: &Key) -> Vec<Binding> {
        self.bindings.state_filter(|b| is_ours(b, key)).iter().filter_map(|b| convert::binding(b)).collect()
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
        let pods = self.pods.state();
        let live = pods.iter().filter(|p| p.namespace().is_some_and(|n| self.governed(&n)));
        live.filter(|p| census::has_no_account(p)).count()
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
        let here = self.pods.state_filter(|p| p.metadata.namespace.as_deref() == Some(namespace));
        census::live(here.iter().map(AsRef::as_ref))
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

/// The identity whose label an object carries.
fn key_of(object: &impl ResourceExt) -> Option<Key> {
    let identity = object.labels().get(names::IDENTITY_LABEL)?.clone();
    Some(Key { namespace: object.namespace()?, identity })
}

/// Whether an object has the name and the marks of what perpro creates for an identity.
fn is_ours(object: &impl ResourceExt, key: &Key) -> bool {
    belongs_to(object, key)
        && object.meta().name.as_deref().is_some_and(|name| names::is_account_of(name, &key.identity))
        && object.labels().get(names::MANAGED_BY).is_some_and(|m| m == names::MANAGER)
}

/// Asked of every object of a kind for each event, so nothing is copied.
fn belongs_to(object: &impl ResourceExt, key: &Key) -> bool {
    object.meta().namespace.as_deref() == Some(key.namespace.as_str())
        && object.labels().get(names::IDENTITY_LABEL) == Some(&key.identity)
}
