//! The AgentIdentity that a command is about.

use crate::cluster::{Cluster, describe};
use anyhow::{Context, anyhow};
use perpro_core::api::AgentIdentity;
use std::fmt;

/// An identity that exists.
pub(super) struct Subject {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) object: AgentIdentity,
}

impl Subject {
    /// Reads it.
    ///
    /// # Errors
    /// When there is none, or it may not be read.
    pub(super) async fn find(cluster: &Cluster, namespace: &str, name: &str) -> anyhow::Result<Self> {
        let found = cluster.identity_object(namespace, name).await;
        let found = found.map_err(|e| {
            anyhow!("can't read AgentIdentity \"{name}\" of \"{namespace}\": {}", describe(&e))
        })?;
        let object = found.with_context(|| {
            format!("there is no AgentIdentity \"{name}\" in namespace \"{namespace}\"; `kubectl get aid -A` lists all")
        })?;
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned(), object })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a person reads whose write was refused.
pub(super) fn refused(verb: &str, subject: &Subject, error: &kube::Error) -> anyhow::Error {
    anyhow!("can't {verb} {subject}: {}", describe(error))
}
