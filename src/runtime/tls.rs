//! The serving certificate: read from a folder, and again whenever it changes there.

use super::metrics::METRICS;
use anyhow::Context;
use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the files are compared. A mounted Secret is swapped by a symlink, at which inotify
/// loses its watch; reading two small files is cheaper than that trouble.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The certificate in `dir` (`tls.crt`, `tls.key`), kept fresh until `stop`.
///
/// # Errors
/// When the files are not there or don't belong together.
pub(crate) async fn watched(dir: PathBuf, stop: CancellationToken) -> anyhow::Result<RustlsConfig> {
    let mut current = read(&dir).await?;
    let config = server_config(&current)
        .with_context(|| format!("tls.crt and tls.key in {} are no pair", dir.display()))?;
    let config = RustlsConfig::from_config(config);
    note_expiry(&current.0);
    let served = config.clone();
    tokio::spawn(async move {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            match read(&dir).await {
                Ok(found) if found != current => {
                    match server_config(&found) {
                        Ok(config) => {
                            served.reload_from_config(config);
                            tracing::info!("serving a new certificate");
                            note_expiry(&found.0);
                            current = found;
                        }
                        // Half way through a swap, or broken: the old one still serves.
                        Err(error) => {
                            tracing::warn!(error = format!("{error:#}"), "can't use the new certificate");
                        }
                    }
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(error = format!("{error:#}"), "can't read the certificate"),
            }
        }
    });
    Ok(config)
}

/// A certificate and its key, as PEM.
type Pair = (Vec<u8>, Vec<u8>);

/// For HTTP/1.1 alone, which is what API servers ask of a Service, so that their requests spread over its replicas
/// (kubernetes#75791): nobody else gets more.
fn server_config((certificate, key): &Pair) -> anyhow::Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key)?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

async fn read(dir: &Path) -> anyhow::Result<Pair> {
    let file = |name: &str| {
        let path = dir.join(name);
        async move { tokio::fs::read(&path).await.with_context(|| format!("can't read {}", path.display())) }
    };
    Ok((file("tls.crt").await?, file("tls.key").await?))
}

/// Says in the metrics when the certificate ends: the first of the file is the one that is served.
fn note_expiry(pem: &[u8]) {
    let end = x509_parser::pem::parse_x509_pem(pem).ok().and_then(|(_, pem)| {
        let certificate = pem.parse_x509().ok()?;
        Some(certificate.validity().not_after.timestamp())
    });
    if let Some(end) = end {
        METRICS.certificate_expires.set([], end as f64);
    }
}
