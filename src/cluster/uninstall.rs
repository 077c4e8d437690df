//! What only the uninstall Job writes.

use super::{Cluster, Write, deleted};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::rbac::v1::Role;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use perpro_core::names;

impl Cluster {
    /// Takes the webhook's Service away: API servers can't ask us any more, so they refuse agents.
    pub(crate) async fn close_webhook(&self, namespace: &str, service: &str) -> kube::Result<()> {
        let services = Api::<Service>::namespaced(self.client(), namespace);
        let params = DeleteParams::default();
        deleted(self.write(Write::CloseWebhook, services.delete(service, &params)).await).map(drop)
    }

    /// Deletes a Secret that the certificate Job wrote.
    pub(crate) async fn delete_certificate(&self, namespace: &str, name: &str) -> kube::Result<()> {
        let secrets = Api::<Secret>::namespaced(self.client(), namespace);
        let params = DeleteParams::default();
        deleted(self.write(Write::DeleteCertificate, secrets.delete(name, &params)).await).map(drop)
    }

    /// Takes all rules from an identity's Role. The Role stays: its identity owns it.
    pub(crate) async fn empty_role(&self, namespace: &str, role: &Role) -> kube::Result<()> {
        let name = role.metadata.name.clone().unwrap_or_default();
        let empty = Role {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: role.metadata.labels.clone(),
                owner_references: role.metadata.owner_references.clone(),
                ..ObjectMeta::default()
            },
            rules: Some(vec![]),
        };
        let roles = Api::<Role>::namespaced(self.client(), namespace);
        let params = PatchParams::apply(names::FIELD_MANAGER).force();
        self.write(Write::ApplyRole, roles.patch(&name, &params, &Patch::Apply(&empty))).await.map(drop)
    }

    /// The service account that we are, as an owner; `None` for other users.
    pub(crate) async fn own_account(&self) -> kube::Result<Option<OwnerReference>> {
        let reviews = Api::<SelfSubjectReview>::all(self.client());
        let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
        let user = review.status.and_then(|s| s.user_info).unwrap_or_default();
        let name = user.username.as_deref().and_then(|n| n.strip_prefix("system:serviceaccount:"));
        let name = name.and_then(|n| n.split_once(':')).map(|(_, name)| name.to_owned());
        Ok(name.zip(user.uid).map(|(name, uid)| OwnerReference {
            api_version: "v1".to_owned(),
            kind: "ServiceAccount".to_owned(),
            name,
            uid,
            ..OwnerReference::default()
        }))
    }
}
