//! A person's connection, as kubectl would make it, and the writes that people make with it.
//!
//! These writes are no powers of ours: they go out under the caller's own credentials.

use super::{Cluster, Write, deleted};
use crate::runtime::lean::Lean;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use perpro_core::api::AgentIdentity;
use perpro_core::names;
use serde_json::json;
use std::path::Path;

/// A person's way to a cluster.
pub(crate) struct Person {
    pub(crate) cluster: Cluster,
    /// Namespace of the context.
    pub(crate) namespace: String,
    /// Where the API server is.
    pub(crate) server: String,
}

impl Cluster {
    /// Connects with a kubeconfig: `file`, or `KUBECONFIG`, or `~/.kube/config`, or in a pod its
    /// account.
    ///
    /// # Errors
    /// When there is no such file or context, or it can't be used.
    pub(crate) async fn connect_as_person(
        file: Option<&Path>,
        context: Option<String>,
    ) -> anyhow::Result<Person> {
        let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
        let config = match file {
            Some(file) => Config::from_custom_kubeconfig(Kubeconfig::read_from(file)?, &options).await?,
            None if options.context.is_some() => Config::from_kubeconfig(&options).await?,
            None => Config::infer().await?,
        };
        let (namespace, server) = (config.default_namespace.clone(), config.cluster_url.to_string());
        Ok(Person { cluster: Self::with_client(Client::try_from(config)?)?, namespace, server })
    }

    /// Why the API server can't be reached, if it can't.
    pub(crate) async fn unreachable(&self) -> Option<String> {
        match self.client().apiserver_version().await {
            // Whatever it says, it is there.
            Ok(_) | Err(kube::Error::Api(_)) => None,
            Err(error) => Some(innermost(&error)),
        }
    }

    /// The identity as the API server has it; `None` when there is none.
    pub(crate) async fn identity_object(
        &self,
        namespace: &str,
        name: &str,
    ) -> kube::Result<Option<AgentIdentity>> {
        let identities = Api::<Lean<AgentIdentity>>::namespaced(self.client(), namespace);
        Ok(identities.get_opt(name).await?.map(|Lean(identity)| identity))
    }

    /// Whether there is an identity of that name, in this namespace or in any.
    pub(crate) async fn has_identity(&self, namespace: Option<&str>, name: &str) -> kube::Result<bool> {
        if !names::is_identity_name(name) {
            return Ok(false);
        }
        let (all, one) = (Api::<Lean<AgentIdentity>>::all, Api::<Lean<AgentIdentity>>::namespaced);
        let identities = namespace.map_or_else(|| all(self.client()), |n| one(self.client(), n));
        let named = ListParams::default().fields(&format!("metadata.name={name}"));
        match identities.list(&named).await {
            // The kind itself is not there.
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
            found => Ok(!found?.items.is_empty()),
        }
    }

    /// Suspends an identity. The patch holds this one field, which the webhook lets pass unasked: it works with
    /// all of perpro down.
    pub(crate) async fn suspend_identity(&self, namespace: &str, name: &str) -> kube::Result<AgentIdentity> {
        self.write(Write::SuspendIdentity, self.patch_suspended(namespace, name, true)).await
    }

    /// Lets a suspended identity have pods again.
    pub(crate) async fn resume_identity(&self, namespace: &str, name: &str) -> kube::Result<AgentIdentity> {
        self.write(Write::ResumeIdentity, self.patch_suspended(namespace, name, false)).await
    }

    async fn patch_suspended(
        &self,
        namespace: &str,
        name: &str,
        suspended: bool,
    ) -> kube::Result<AgentIdentity> {
        let identities = Api::<Lean<AgentIdentity>>::namespaced(self.client(), namespace);
        let patch = Patch::Merge(json!({ "spec": { "suspended": suspended } }));
        Ok(identities.patch(name, &PatchParams::default(), &patch).await?.0)
    }

    /// Deletes exactly the identity that the person was shown.
    pub(crate) async fn revoke_identity(&self, namespace: &str, name: &str, uid: &str) -> kube::Result<()> {
        let identities = Api::<Lean<AgentIdentity>>::namespaced(self.client(), namespace);
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
        deleted(self.write(Write::RevokeIdentity, identities.delete(name, &params)).await).map(drop)
    }
}

/// The cause of an error that says more than what merely failed because of it.
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}
