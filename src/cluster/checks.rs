//! What `perpro check` reads of a cluster.

use super::Cluster;
use super::instances::all_pages;
use crate::runtime::lean::Lean;
use kube::api::Api;
use perpro_core::api::AgentIdentity;
use perpro_core::model::Identity;

impl Cluster {
    /// The live identities of a namespace.
    pub(crate) async fn identities(&self, namespace: &str) -> kube::Result<Vec<Identity>> {
        let identities = Api::<Lean<AgentIdentity>>::namespaced(self.client(), namespace);
        let all = all_pages(&identities, "").await?;
        Ok(all.iter().filter_map(|Lean(identity)| Identity::from_object(identity)).collect())
    }
}
