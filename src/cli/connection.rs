//! How commands for people reach the cluster: as kubectl does.

use crate::cluster::{Cluster, Person};
use crate::runtime;
use anyhow::{anyhow, bail};
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code of a command that SIGINT ended: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Connection {
    /// Kubeconfig file [default: KUBECONFIG, then ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: the current one]
    #[arg(long)]
    context: Option<String>,
    /// Namespace [default: that of the context]
    #[arg(short, long)]
    namespace: Option<String>,
}

impl Connection {
    /// Whether the person says which cluster is meant.
    pub(super) fn says_where(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }

    /// The namespace that was asked for.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Connects and does `work` with the cluster and the namespace that was asked for. Ctrl-C ends it.
    pub(super) fn run(
        self,
        work: impl AsyncFnOnce(Cluster, String) -> anyhow::Result<ExitCode>,
    ) -> anyhow::Result<ExitCode> {
        runtime::block_on(|stop| async move {
            let work = async {
                let connected = Cluster::connect_as_person(self.kubeconfig.as_deref(), self.context).await;
                let Person { cluster, namespace, server } = connected.map_err(|e| {
                    anyhow!("can't connect: {e}; set KUBECONFIG, or pass --kubeconfig and --context")
                })?;
                if let Some(why) = cluster.unreachable().await {
                    bail!(
                        "can't reach the API server {server}: {why}; is it the right cluster? Set KUBECONFIG, or pass \
                         --kubeconfig and --context; \"kubectl cluster-info\" says whether kubectl reaches it"
                    );
                }
                work(cluster, self.namespace.unwrap_or(namespace)).await
            };
            tokio::select! {
                outcome = work => outcome,
                // At once, as a shell expects it: a prompt may still block a thread.
                () = stop.cancelled() => std::process::exit(INTERRUPTED),
            }
        })
    }
}
