//! The AgentIdentity that a command is about.

use super::connection::Connection;
use crate::cluster::{Cluster, describe};
use anyhow::{Context, anyhow};
use jiff::SignedDuration;
use perpro_core::api::AgentIdentity;
use std::fmt;
use std::process::ExitCode;
use std::time::Instant;

#[derive(clap::Args)]
pub(super) struct About {
    /// Name of the AgentIdentity.
    name: String,
    #[command(flatten)]
    timeout: Timeout,
    #[command(flatten)]
    connection: Connection,
}

impl About {
    /// Connects, reads the identity and does `work` with it.
    pub(super) fn run(
        self,
        work: impl AsyncFnOnce(Cluster, Subject, Timeout) -> anyhow::Result<ExitCode>,
    ) -> anyhow::Result<ExitCode> {
        let Self { name, timeout, connection } = self;
        connection.run(async move |cluster, namespace| {
            let subject = Subject::find(&cluster, &namespace, &name).await?;
            work(cluster, subject, timeout).await
        })
    }
}

#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Timeout {
    /// How long to wait until power is gone, such as 60s or 2m; 0s does not wait.
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    timeout: SignedDuration,
}

impl Timeout {
    /// The moment at which waiting is over.
    pub(super) fn deadline(self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.timeout.unsigned_abs()).unwrap_or(now)
    }
}

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
        let object = found.with_context(|| missing(Some(namespace), name))?;
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned(), object })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a person reads who names one that is not there: in this namespace, or in any.
pub(super) fn missing(namespace: Option<&str>, name: &str) -> String {
    let place = namespace.map_or_else(|| "any namespace".to_owned(), |n| format!("namespace \"{n}\""));
    format!("there is no AgentIdentity \"{name}\" in {place}; `kubectl get aid -A` lists all")
}

/// What a person reads whose write was refused.
pub(super) fn refused(verb: &str, subject: &Subject, error: &kube::Error) -> anyhow::Error {
    anyhow!("can't {verb} {subject}: {}", describe(error))
}
