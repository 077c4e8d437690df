//! What an installation of perpro consists of, as it is read for `perpro status`.

use super::Cluster;
use super::instances::all_pages;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DynamicObject};
use perpro_core::names;
use serde_json::Value;
use std::collections::BTreeMap;

/// Label of everything that the chart installs, whatever names it was given.
const OURS: &str = "app.kubernetes.io/part-of=perpro";

/// A webhook configuration, a policy or the binding of one.
#[derive(Clone, Debug)]
pub(crate) struct AdmissionObject {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) annotations: BTreeMap<String, String>,
    /// All but the metadata.
    pub(crate) content: Value,
}

impl Cluster {
    /// Version of the API server.
    pub(crate) async fn kubernetes_version(&self) -> kube::Result<String> {
        Ok(self.client().apiserver_version().await?.git_version)
    }

    /// Our Deployments in a namespace.
    pub(crate) async fn deployments(&self, namespace: &str) -> kube::Result<Vec<Deployment>> {
        all_pages(&Api::namespaced(self.client(), namespace), OURS).await
    }

    /// Our webhook configurations and policies, and the bindings of these.
    pub(crate) async fn admission_objects(&self) -> kube::Result<Vec<AdmissionObject>> {
        let kinds = tokio::try_join!(
            self.admission_kind::<MutatingWebhookConfiguration>(),
            self.admission_kind::<ValidatingWebhookConfiguration>(),
            self.admission_kind::<ValidatingAdmissionPolicy>(),
            self.admission_kind::<ValidatingAdmissionPolicyBinding>(),
        )?;
        Ok([kinds.0, kinds.1, kinds.2, kinds.3].concat())
    }

    async fn admission_kind<K>(&self) -> kube::Result<Vec<AdmissionObject>>
    where
        K: k8s_openapi::Resource + kube::Resource<DynamicType = ()>,
    {
        // As the API server has them: fields that our types don't know count too.
        let api = Api::<DynamicObject>::all_with(self.client(), &ApiResource::erase::<K>(&()));
        let object = |object: DynamicObject| AdmissionObject {
            kind: K::KIND,
            name: object.name_any(),
            annotations: object.metadata.annotations.unwrap_or_default(),
            content: object.data,
        };
        Ok(all_pages(&api, OURS).await?.into_iter().map(object).collect())
    }

    /// Namespaces that say how agents are governed in them.
    pub(crate) async fn governed_namespaces(&self) -> kube::Result<Vec<Namespace>> {
        all_pages(&Api::all(self.client()), names::ENFORCE_LABEL).await
    }

    /// Namespaces that say how agents are governed in them, or what is only told there. A selector knows no "or".
    pub(crate) async fn labelled_namespaces(&self) -> kube::Result<BTreeMap<String, Namespace>> {
        let with = |label| async move { all_pages(&Api::<Namespace>::all(self.client()), label).await };
        let found =
            tokio::try_join!(self.governed_namespaces(), with(names::WARN_LABEL), with(names::AUDIT_LABEL))?;
        let all = [found.0, found.1, found.2].into_iter().flatten();
        Ok(all.map(|namespace| (namespace.name_any(), namespace)).collect())
    }

    /// All pods of a namespace.
    pub(crate) async fn pods(&self, namespace: &str) -> kube::Result<Vec<Pod>> {
        all_pages(&Api::namespaced(self.client(), namespace), "").await
    }
}
