//! `perpro controller`

use crate::{controller, runtime};
use std::net::SocketAddr;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Namespace of the Lease that replicas elect their leader with.
    #[arg(long, default_value = "perpro-system", env = "PERPRO_LEASE_NAMESPACE")]
    lease_namespace: String,
    /// Name of this replica in the Lease; a random one when not given.
    #[arg(long, env = "POD_NAME")]
    replica: Option<String>,
    /// Address of the health endpoints.
    #[arg(long, default_value = "0.0.0.0:8081", env = "PERPRO_HEALTH_LISTEN")]
    health_listen: SocketAddr,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        runtime::block_on(|stop| {
            controller::run(self.lease_namespace, self.replica, self.health_listen, stop)
        })
    }
}
