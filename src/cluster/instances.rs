//! Agent pods and instance accounts as they are listed for people: in one namespace or in all.

use super::Cluster;
use crate::runtime::lean::{self, Lean};
use crate::runtime::pages;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, PartialObjectMeta};
use perpro_core::names;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// Which objects to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection<'a> {
    /// In this namespace, or in all.
    pub(crate) namespace: Option<&'a str>,
    /// Of this identity, or of all.
    pub(crate) identity: Option<&'a str>,
}

impl Selection<'_> {
    fn labels(&self) -> String {
        let label = names::IDENTITY_LABEL;
        self.identity.map_or_else(|| label.to_owned(), |identity| format!("{label}={identity}"))
    }

    fn api<K>(&self, cluster: &Cluster) -> Api<Lean<K>>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let client = cluster.client();
        self.namespace.map_or_else(|| Api::all(client.clone()), |n| Api::namespaced(client.clone(), n))
    }
}

impl Cluster {
    /// Pods that carry an identity's label.
    pub(crate) async fn agent_pods(&self, which: &Selection<'_>) -> kube::Result<Vec<Pod>> {
        let pods = all_pages(&which.api::<Pod>(self), &which.labels()).await?;
        Ok(pods.into_iter().map(|Lean(pod)| pod).collect())
    }

    /// Accounts that carry an identity's label and our mark.
    pub(crate) async fn instance_accounts(
        &self,
        which: &Selection<'_>,
    ) -> kube::Result<Vec<PartialObjectMeta<ServiceAccount>>> {
        let labels = format!("{},{}={}", which.labels(), names::MANAGED_BY, names::MANAGER);
        let list = async |params| {
            lean::list_metadata::<ServiceAccount>(&self.client(), which.namespace, &params).await
        };
        Ok(pages::all(list, &labels).await?.into_iter().map(|Lean(account)| account).collect())
    }
}

/// All objects with these labels.
pub(super) async fn all_pages<K>(api: &Api<K>, labels: &str) -> kube::Result<Vec<K>>
where
    K: Clone + DeserializeOwned + Debug,
{
    pages::all(async |params| api.list(&params).await, labels).await
}
