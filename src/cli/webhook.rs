//! `perpro webhook`

use super::logs::Logs;
use crate::{runtime, webhook};
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Address to serve on. Private clusters let the API server reach port 10250.
    #[arg(long, default_value = "0.0.0.0:10250", env = "PERPRO_LISTEN")]
    listen: SocketAddr,
    /// Address of the health endpoints and the metrics, without TLS.
    #[arg(long, default_value = "0.0.0.0:8081", env = "PERPRO_HEALTH_LISTEN")]
    health_listen: SocketAddr,
    /// Folder with tls.crt and tls.key; read again when they change.
    #[arg(long, default_value = "/tls", env = "PERPRO_TLS_DIR")]
    tls_dir: PathBuf,
    #[command(flatten)]
    logs: Logs,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        self.logs.start();
        runtime::block_on(|stop| async {
            runtime::trace::start("perpro-webhook");
            webhook::serve(self.listen, self.health_listen, self.tls_dir, stop).await
        })
    }
}
