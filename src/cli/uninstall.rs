//! `perpro uninstall`

use super::logs::Logs;
use crate::controller::LeaseName;
use crate::controller::uninstall::{self, Names};
use crate::runtime;
use std::time::Duration;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Namespace of the release.
    #[arg(long, env = "POD_NAMESPACE")]
    namespace: String,
    /// Name of the controller's Lease, which is taken so that no controller acts any more.
    #[arg(long, default_value = "perpro-controller", env = "PERPRO_LEASE_NAME")]
    lease_name: String,
    /// Name of the webhook's Service, which is deleted: from then on new agents are refused.
    #[arg(long, default_value = "perpro-webhook")]
    service: String,
    /// A Secret in that namespace to delete when all else is done; may be repeated.
    #[arg(long = "secret")]
    secrets: Vec<String>,
    /// How long it may take, in seconds.
    #[arg(long, default_value_t = 240)]
    timeout_seconds: u64,
    #[command(flatten)]
    logs: Logs,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        self.logs.start();
        let names = Names {
            lease: LeaseName { namespace: self.namespace, name: self.lease_name },
            service: self.service,
            secrets: self.secrets,
        };
        let limit = Duration::from_secs(self.timeout_seconds);
        runtime::block_on(|stop| uninstall::run(names, limit, stop))
    }
}
