//! `perpro webhook`

use crate::{runtime, webhook};
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Address to serve on. Private clusters let the API server reach port 10250.
    #[arg(long, default_value = "0.0.0.0:10250", env = "PERPRO_LISTEN")]
    listen: SocketAddr,
    /// Folder with tls.crt and tls.key; read again when they change.
    #[arg(long, default_value = "/tls", env = "PERPRO_TLS_DIR")]
    tls_dir: PathBuf,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        runtime::block_on(|stop| webhook::serve(self.listen, self.tls_dir, stop))
    }
}
