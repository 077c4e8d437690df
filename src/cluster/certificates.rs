//! What the certificate Job writes: its Secrets, and the CA in the webhook configurations.

use super::{Cluster, Write};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PostParams};
use perpro_core::names;
use std::collections::BTreeMap;

/// Both webhook configurations of a release, where they exist.
pub(crate) struct Webhooks {
    mutating: Option<MutatingWebhookConfiguration>,
    validating: Option<ValidatingWebhookConfiguration>,
}

impl Webhooks {
    fn client_configs(&mut self) -> impl Iterator<Item = &mut WebhookClientConfig> {
        let mutating = self.mutating.iter_mut().flat_map(|c| c.webhooks.iter_mut().flatten());
        let validating = self.validating.iter_mut().flat_map(|c| c.webhooks.iter_mut().flatten());
        mutating.map(|w| &mut w.client_config).chain(validating.map(|w| &mut w.client_config))
    }
}

impl Cluster {
    /// One of the Job's Secrets: its data and version.
    pub(crate) async fn certificate_secret(
        &self,
        namespace: &str,
        name: &str,
    ) -> kube::Result<Option<Secret>> {
        Api::<Secret>::namespaced(self.client(), namespace).get_opt(name).await
    }

    /// Creates the Secret, or replaces `existing` as it was read.
    pub(crate) async fn write_certificate(
        &self,
        namespace: &str,
        name: &str,
        data: BTreeMap<String, Vec<u8>>,
        existing: Option<Secret>,
    ) -> kube::Result<()> {
        let secrets = Api::<Secret>::namespaced(self.client(), namespace);
        let data = data.into_iter().map(|(k, v)| (k, ByteString(v))).collect();
        let labels = [(names::MANAGED_BY.to_owned(), names::MANAGER.to_owned())].into();
        let metadata = existing.map(|s| s.metadata);
        let exists = metadata.is_some();
        let object = Secret {
            metadata: metadata.unwrap_or_else(|| ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(labels),
                ..ObjectMeta::default()
            }),
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(data),
            ..Secret::default()
        };
        let params = PostParams::default();
        if exists {
            self.write(Write::StoreCertificate, secrets.replace(name, &params, &object)).await.map(drop)
        } else {
            self.write(Write::StoreCertificate, secrets.create(&params, &object)).await.map(drop)
        }
    }

    /// The webhook configurations named `name`.
    pub(crate) async fn webhooks(&self, name: &str) -> kube::Result<Webhooks> {
        Ok(Webhooks {
            mutating: Api::all(self.client()).get_opt(name).await?,
            validating: Api::all(self.client()).get_opt(name).await?,
        })
    }

    /// Makes every webhook of the configurations trust `ca` (PEM); says how many changed.
    pub(crate) async fn trust_certificate(
        &self,
        name: &str,
        mut webhooks: Webhooks,
        ca: &[u8],
    ) -> kube::Result<usize> {
        let mut changed = 0;
        for config in webhooks.client_configs().filter(|c| c.ca_bundle.as_ref().is_none_or(|b| b.0 != ca)) {
            config.ca_bundle = Some(ByteString(ca.to_vec()));
            changed += 1;
        }
        if changed == 0 {
            return Ok(0);
        }
        let params = PostParams::default();
        if let Some(object) = webhooks.mutating {
            let api = Api::<MutatingWebhookConfiguration>::all(self.client());
            self.write(Write::TrustCertificate, api.replace(name, &params, &object)).await?;
        }
        if let Some(object) = webhooks.validating {
            let api = Api::<ValidatingWebhookConfiguration>::all(self.client());
            self.write(Write::TrustCertificate, api.replace(name, &params, &object)).await?;
        }
        Ok(changed)
    }
}
