//! Kubeconfig files. Certificates are inside, so that a file can be copied and still works.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::layout::Layout;
use crate::files;

/// How a kubeconfig proves who uses it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Credential<'a> {
    /// The client certificate of this name in the cluster's folder.
    Certificate(&'a str),
    /// A service account's token.
    Token(&'a str),
}

/// Writes a kubeconfig for the API server at `server`.
///
/// # Errors
/// When a certificate is missing or the file cannot be written.
pub(crate) fn write(path: &Path, layout: &Layout, server: &str, credential: Credential<'_>) -> Result<()> {
    let user = match credential {
        Credential::Certificate(name) => json!({
            "client-certificate-data": encoded(&layout.certificate(name))?,
            "client-key-data": encoded(&layout.key(name))?,
        }),
        Credential::Token(token) => json!({ "token": token }),
    };
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "perpro-e2e",
        "contexts": [{"name": "perpro-e2e", "context": {"cluster": "perpro-e2e", "user": "perpro-e2e"}}],
        "clusters": [{
            "name": "perpro-e2e",
            "cluster": {"server": server, "certificate-authority-data": encoded(&layout.certificate("ca"))?},
        }],
        "users": [{"name": "perpro-e2e", "user": user}],
    });
    files::write(path, serde_yaml::to_string(&kubeconfig)?)
}

fn encoded(path: &Path) -> Result<Value> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(serde_json::to_value(ByteString(bytes))?)
}
