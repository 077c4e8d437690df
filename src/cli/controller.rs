//! `perpro controller`

use super::logs::Logs;
use crate::controller::{self, LeaseName};
use crate::runtime;
use std::net::SocketAddr;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Namespace of the Lease that replicas elect their leader with.
    #[arg(long, default_value = "perpro-system", env = "PERPRO_LEASE_NAMESPACE")]
    lease_namespace: String,
    /// Name of that Lease.
    #[arg(long, default_value = "perpro-controller", env = "PERPRO_LEASE_NAME")]
    lease_name: String,
    /// Name of this replica in the Lease; a random one when not given.
    #[arg(long, env = "POD_NAME")]
    replica: Option<String>,
    /// Address of the health endpoints and the metrics, without TLS.
    #[arg(long, default_value = "0.0.0.0:8081", env = "PERPRO_HEALTH_LISTEN")]
    health_listen: SocketAddr,
    #[command(flatten)]
    logs: Logs,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        self.logs.start();
        let lease = LeaseName { namespace: self.lease_namespace, name: self.lease_name };
        runtime::block_on(|stop| async {
            runtime::trace::start("perpro-controller");
            controller::run(lease, self.replica, self.health_listen, stop).await
        })
    }
}
