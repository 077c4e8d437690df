//! AgentIdentities.

use super::{Cluster, Write, settled};
use kube::api::{Api, Patch, PatchParams};
use perpro_core::api::{AgentIdentity, AgentIdentityStatus};
use perpro_core::model::Identity;
use perpro_core::names;
use serde_json::json;

impl Cluster {
    /// The live identity; `None` when there is none.
    pub(crate) async fn identity(&self, namespace: &str, name: &str) -> kube::Result<Option<Identity>> {
        let identities = Api::<AgentIdentity>::namespaced(self.client(), namespace);
        Ok(identities.get_opt(name).await?.as_ref().and_then(Identity::from_object))
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
        let identities = Api::<AgentIdentity>::namespaced(self.client(), &identity.namespace);
        let params = PatchParams::apply(names::FIELD_MANAGER).force();
        let patch = Patch::Apply(&object);
        settled(
            self.write(Write::ReportStatus, identities.patch_status(&identity.name, &params, &patch)).await,
        )
    }
}
