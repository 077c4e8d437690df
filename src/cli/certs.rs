//! `perpro certs`

use super::logs::Logs;
use crate::{certs, runtime};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Namespace of the release.
    #[arg(long, env = "POD_NAMESPACE")]
    namespace: String,
    /// Name of the webhook's Service; the certificate is for it.
    #[arg(long, default_value = "perpro-webhook")]
    service: String,
    /// Secret that holds the certificate authority's key; only this command reads it.
    #[arg(long, default_value = "perpro-ca")]
    ca_secret: String,
    /// Secret that holds the webhook's certificate and key.
    #[arg(long, default_value = "perpro-webhook-tls")]
    tls_secret: String,
    /// Name of the mutating and of the validating webhook configuration.
    #[arg(long, default_value = "perpro")]
    configuration: String,
    #[command(flatten)]
    logs: Logs,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        self.logs.start();
        runtime::block_on(|_stop| {
            certs::ensure(certs::Names {
                namespace: self.namespace,
                service: self.service,
                ca_secret: self.ca_secret,
                tls_secret: self.tls_secret,
                configuration: self.configuration,
            })
        })
    }
}
