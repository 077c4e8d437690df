//! AgentIdentities and AgentPolicies.

use super::{Cluster, Write, settled};
use crate::runtime::lean::Lean;
use kube::api::{Api, ListParams, Patch, PatchParams};
use perpro_core::api::{AgentIdentity, AgentIdentityStatus, AgentPolicy};
use perpro_core::model::Identity;
use perpro_core::names;
use serde_json::json;

impl Cluster {
    /// The live identity; `None` when there is none.
    pub(crate) async fn identity(&self, namespace: &str, name: &str) -> kube::Result<Option<Identity>> {
        let identities = Api::<Lean<AgentIdentity>>::namespaced(self.client(), namespace);
        Ok(identities.get_opt(name).await?.and_then(|Lean(identity)| Identity::from_object(&identity)))
    }

    /// The live policies.
    pub(crate) async fn agent_policies(&self) -> kube::Result<Vec<AgentPolicy>> {
        let policies = Api::<Lean<AgentPolicy>>::all(self.client());
        Ok(policies.list(&ListParams::default()).await?.items.into_iter().map(|Lean(p)| p).collect())
    }

    /// Writes the status of an identity; `false` when it is gone or another one by now.
    pub(crate) async fn write_status(
        &self,
        identity: &Identity,
        status: &AgentIdentityStatus,
    ) -> kube::Result<bool> {
        let object = json!({
            "apiVersion": format!("{}/{}", names::GROUP, names::VERSION),
            "kind": "AgentIdentity",
            // The UID keeps a status from landing on another identity of the same name.
            "metadata": { "name": identity.name, "uid": identity.uid },
            "status": status,
        });
        let identities = Api::<Lean<AgentIdentity>>::namespaced(self.client(), &identity.namespace);
        let params = PatchParams::apply(names::FIELD_MANAGER).force();
        let patch = Patch::Apply(&object);
        settled(
            self.write(Write::ReportStatus, identities.patch_status(&identity.name, &params, &patch)).await,
        )
    }
}
