//! What all instances have in the cluster, listed afresh: an end must not be told from a cache.

use super::Key;
use super::convert::{self, key_of};
use crate::runtime::lean::{Lean, list_metadata};
use crate::runtime::pages;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::Api;
use kube::{Client, ResourceExt};
use perpro_core::model::{Account, Binding, PodFacts};
use perpro_core::names;
use std::collections::BTreeMap;

/// What instances have in one namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remains {
    /// Their bindings.
    pub(crate) bindings: Vec<Binding>,
    /// Their accounts.
    pub(crate) accounts: Vec<Account>,
    /// Their pods at the gate.
    pub(crate) gated: Vec<PodFacts>,
    /// Roles of identities that have rules.
    pub(crate) roles: Vec<Role>,
}

impl Remains {
    /// All of them, by namespace; empty when nothing is left.
    ///
    /// # Errors
    /// When the API server refuses a list.
    pub(crate) async fn list(client: &Client) -> kube::Result<BTreeMap<String, Self>> {
        let label = names::IDENTITY_LABEL;
        let mut left = BTreeMap::<String, Self>::new();
        for Lean(object) in
            pages::all(async |p| list_metadata::<RoleBinding>(client, None, &p).await, label).await?
        {
            if let Some((key, binding)) = convert::our_binding(&object) {
                left.entry(key.namespace).or_default().bindings.push(binding);
            }
        }
        for Lean(object) in
            pages::all(async |p| list_metadata::<ServiceAccount>(client, None, &p).await, label).await?
        {
            if let Some((key, account)) = convert::our_account(&object) {
                left.entry(key.namespace).or_default().accounts.push(account);
            }
        }
        let pods = Api::<Lean<Pod>>::all(client.clone());
        for Lean(pod) in pages::all(async |params| pods.list(&params).await, label).await? {
            let instance = |(key, pod): &(Key, PodFacts)| pod.gated && pod.is_instance_of(&key.identity);
            if let Some((key, pod)) = convert::labelled_pod(&pod).filter(instance) {
                left.entry(key.namespace).or_default().gated.push(pod);
            }
        }
        let roles = Api::<Lean<Role>>::all(client.clone());
        for Lean(role) in pages::all(async |params| roles.list(&params).await, label).await? {
            let owner = role.owner_references().iter().any(|o| names::role_name(&o.uid) == role.name_any());
            let rules = role.rules.as_ref().is_some_and(|rules| !rules.is_empty());
            if let Some(key) = key_of(&role).filter(|_| owner && rules) {
                left.entry(key.namespace).or_default().roles.push(role);
            }
        }
        Ok(left)
    }
}
