//! The certificate Job: makes the webhook's certificate, renews it, and tells the API server whom
//! to trust. Run before an installation, after it, and every month; each run completes what the
//! one before left.
//!
//! Only this command ever reads the key of the authority. A leaf is renewed under the same
//! authority, so replicas that still serve the old one stay trusted.

mod issue;

use crate::cluster::Cluster;
use anyhow::Context;
use issue::{Authority, Pair};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// What the release calls things.
pub(crate) struct Names {
    pub(crate) namespace: String,
    pub(crate) service: String,
    pub(crate) ca_secret: String,
    pub(crate) tls_secret: String,
    pub(crate) configuration: String,
}

/// Makes whatever is missing or about to expire.
///
/// # Errors
/// When the API server refuses a read or a write, or a Secret holds something else than a pair.
pub(crate) async fn ensure(names: Names) -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    let now = Timestamp::now();
    let Names { namespace, service, ca_secret, tls_secret, configuration } = &names;
    let hosts = [format!("{service}.{namespace}.svc"), format!("{service}.{namespace}.svc.cluster.local")];

    let stored = read(&cluster, namespace, ca_secret).await?;
    let authority = match stored.as_ref().and_then(pair) {
        Some(pair) => Authority::load(pair).with_context(|| {
            format!("Secret \"{ca_secret}\" holds no certificate authority: delete it to have a new one made")
        })?,
        None => {
            let authority = Authority::new(now)?;
            write(&cluster, namespace, ca_secret, authority.pair(), stored).await?;
            tracing::info!(secret = ca_secret, "made a certificate authority");
            authority
        }
    };
    let stored = read(&cluster, namespace, tls_secret).await?;
    if stored.as_ref().and_then(pair).is_some_and(|pair| authority.vouches_for(&pair, &hosts, now)) {
        tracing::info!(secret = tls_secret, "the webhook's certificate is good");
    } else {
        let leaf = authority.issue(&hosts, now)?;
        write(&cluster, namespace, tls_secret, &leaf, stored).await?;
        tracing::info!(secret = tls_secret, "made the webhook's certificate");
    }
    let webhooks = cluster.webhooks(configuration).await.context("can't read the webhook configurations")?;
    let changed = cluster
        .trust_certificate(configuration, webhooks, authority.pair().certificate.as_bytes())
        .await
        .context("can't write the webhook configurations")?;
    tracing::info!(changed, "webhooks trust the authority");
    Ok(())
}

async fn read(cluster: &Cluster, namespace: &str, name: &str) -> anyhow::Result<Option<Secret>> {
    cluster.certificate_secret(namespace, name).await.with_context(|| format!("can't read Secret \"{name}\""))
}

async fn write(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    pair: &Pair,
    existing: Option<Secret>,
) -> anyhow::Result<()> {
    let data = [(CERTIFICATE, pair.certificate.clone()), (KEY, pair.key.clone())];
    let data = data.map(|(k, v)| (k.to_owned(), v.into_bytes())).into();
    cluster
        .write_certificate(namespace, name, data, existing)
        .await
        .with_context(|| format!("can't write Secret \"{name}\""))
}

fn pair(secret: &Secret) -> Option<Pair> {
    let field = |name: &str| String::from_utf8(secret.data.as_ref()?.get(name)?.0.clone()).ok();
    Some(Pair { certificate: field(CERTIFICATE)?, key: field(KEY)? })
}
