//! Instance accounts, their bindings and the Role of an identity.

use super::{Cluster, Write, deleted, exactly, instance, settled};
use crate::runtime::lean::Lean;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Api, Patch, PatchParams, PostParams};
use perpro_core::api::PermissionRule;
use perpro_core::model::{Account, Binding, Identity, PodFacts};
use perpro_core::names;
use serde_json::json;
use std::collections::BTreeMap;

/// An account about to be minted.
pub(crate) struct NewAccount<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// The identity it is for.
    pub(crate) identity: &'a Identity,
}

impl Cluster {
    /// Creates an instance account, stamped with who owns it, until when and why.
    pub(crate) async fn mint_account(&self, account: NewAccount<'_>) -> kube::Result<()> {
        let NewAccount { name, identity } = account;
        let spec = &identity.spec;
        let owner = spec.owner.reference();
        let annotations = [
            (names::IDENTITY_UID, identity.uid.clone()),
            (names::IDENTITY_GENERATION, identity.generation.to_string()),
            (names::OWNER, owner.clone()),
            (names::EXPIRES_AT, spec.expires_at.0.to_string()),
            (names::JUSTIFICATION, spec.justification.clone()),
            (names::A8R_OWNER, owner),
        ];
        let object = ServiceAccount {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(labels(&identity.name)),
                annotations: Some(annotations.map(|(k, v)| (k.to_owned(), v)).into()),
                ..ObjectMeta::default()
            },
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        };
        let accounts = Api::<Lean<ServiceAccount>>::namespaced(self.client(), &identity.namespace);
        let instance = instance(&identity.namespace, name, None);
        let params = PostParams::default();
        self.write_for(instance, Write::MintAccount, accounts.create(&params, &Lean(object))).await.map(drop)
    }

    /// Whether an account of that name is there.
    pub(crate) async fn account_exists(&self, namespace: &str, name: &str) -> kube::Result<bool> {
        let accounts = Api::<Lean<ServiceAccount>>::namespaced(self.client(), namespace);
        Ok(accounts.get_opt(name).await?.is_some())
    }

    /// Ties an account to its pod: owner reference, name and UID. `false` when the account is not
    /// as it was seen.
    pub(crate) async fn claim_account(
        &self,
        namespace: &str,
        account: &Account,
        pod: &PodFacts,
    ) -> kube::Result<bool> {
        let patch = json!({ "metadata": {
            "uid": account.uid,
            "resourceVersion": account.resource_version,
            "ownerReferences": [owned_by(pod)],
            "annotations": { names::CLAIMED_BY: pod.name, names::CLAIMED_BY_UID: pod.uid },
        } });
        let accounts = Api::<Lean<ServiceAccount>>::namespaced(self.client(), namespace);
        let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
        let instance = instance(namespace, &account.name, Some(pod));
        let call = accounts.patch(&account.name, &params, &patch);
        settled(self.write_for(instance, Write::ClaimAccount, call).await)
    }

    /// Writes on an account since when its pod holds what the identity lists no more. `false` when
    /// the account is not as it was seen.
    pub(crate) async fn mark_stale(
        &self,
        namespace: &str,
        account: &Account,
        since: Option<Timestamp>,
    ) -> kube::Result<bool> {
        let patch = json!({ "metadata": {
            "uid": account.uid,
            "resourceVersion": account.resource_version,
            "annotations": { names::STALE_SINCE: since.map(|at| at.to_string()) },
        } });
        let accounts = Api::<Lean<ServiceAccount>>::namespaced(self.client(), namespace);
        let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
        settled(self.write(Write::MarkStale, accounts.patch(&account.name, &params, &patch)).await)
    }

    /// Binds an account to the Role of its identity. The pod owns the binding. `false` when there
    /// is one already.
    pub(crate) async fn bind(
        &self,
        identity: &Identity,
        account: &str,
        pod: &PodFacts,
    ) -> kube::Result<bool> {
        let object = RoleBinding {
            metadata: ObjectMeta {
                name: Some(account.to_owned()),
                labels: Some(labels(&identity.name)),
                owner_references: Some(vec![owned_by(pod)]),
                ..ObjectMeta::default()
            },
            role_ref: RoleRef {
                api_group: Some("rbac.authorization.k8s.io".to_owned()),
                kind: "Role".to_owned(),
                name: names::role_name(&identity.uid),
            },
            subjects: Some(vec![Subject {
                kind: "ServiceAccount".to_owned(),
                name: account.to_owned(),
                namespace: Some(identity.namespace.clone()),
                ..Subject::default()
            }]),
        };
        let bindings = Api::<Lean<RoleBinding>>::namespaced(self.client(), &identity.namespace);
        let instance = instance(&identity.namespace, account, Some(pod));
        let params = PostParams::default();
        settled(self.write_for(instance, Write::Bind, bindings.create(&params, &Lean(object))).await)
    }

    /// Deletes a binding as it was seen: power ends within milliseconds. `false` when it is
    /// another version by now.
    pub(crate) async fn unbind(&self, namespace: &str, binding: &Binding) -> kube::Result<bool> {
        let bindings = Api::<Lean<RoleBinding>>::namespaced(self.client(), namespace);
        let params = exactly(&binding.uid, Some(&binding.resource_version));
        deleted(self.write(Write::Unbind, bindings.delete(&binding.name, &params)).await)
    }

    /// Deletes an account as it was seen: its tokens end within 11 seconds. `false` when it is
    /// another version by now.
    pub(crate) async fn delete_account(&self, namespace: &str, account: &Account) -> kube::Result<bool> {
        let accounts = Api::<Lean<ServiceAccount>>::namespaced(self.client(), namespace);
        let params = exactly(&account.uid, Some(&account.resource_version));
        deleted(self.write(Write::DeleteAccount, accounts.delete(&account.name, &params)).await)
    }

    /// Makes the Role of an identity hold exactly `rules`. The identity owns it.
    pub(crate) async fn apply_role(&self, identity: &Identity, rules: &[PermissionRule]) -> kube::Result<()> {
        let name = names::role_name(&identity.uid);
        let role = Role {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some(labels(&identity.name)),
                owner_references: Some(vec![OwnerReference {
                    api_version: format!("{}/{}", names::GROUP, names::VERSION),
                    kind: "AgentIdentity".to_owned(),
                    name: identity.name.clone(),
                    uid: identity.uid.clone(),
                    ..OwnerReference::default()
                }]),
                ..ObjectMeta::default()
            },
            rules: Some(rules.iter().map(policy_rule).collect()),
        };
        let roles = Api::<Lean<Role>>::namespaced(self.client(), &identity.namespace);
        let params = PatchParams::apply(names::FIELD_MANAGER).force();
        self.write(Write::ApplyRole, roles.patch(&name, &params, &Patch::Apply(&role))).await.map(drop)
    }
}

/// The RBAC form of a permission rule.
pub(crate) fn policy_rule(rule: &PermissionRule) -> PolicyRule {
    PolicyRule {
        api_groups: Some(rule.api_groups.clone()),
        resources: Some(rule.resources.clone()),
        resource_names: (!rule.resource_names.is_empty()).then(|| rule.resource_names.clone()),
        verbs: rule.verbs.clone(),
        ..PolicyRule::default()
    }
}

fn labels(identity: &str) -> BTreeMap<String, String> {
    [(names::MANAGED_BY, names::MANAGER), (names::PART_OF, identity), (names::IDENTITY_LABEL, identity)]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into()
}

fn owned_by(pod: &PodFacts) -> OwnerReference {
    OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: pod.name.clone(),
        uid: pod.uid.clone(),
        ..OwnerReference::default()
    }
}
