//! AdmissionReviews as an API server sends them: it is made to send them here too, and what comes is kept.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result, bail};
use axum::body::Bytes;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::api::ApiServer;
use crate::floor;
use crate::objects::{self, Size};

/// What was asked about one pod.
pub(super) struct Reviews {
    pub(super) size: Size,
    /// Before perpro's mutating webhook; on a dry run, so that it may be asked again and again.
    pub(super) mutating: Vec<u8>,
    /// After it.
    pub(super) validating: Vec<u8>,
    /// Bytes of the pod in the latter.
    pub(super) pod_bytes: usize,
}

/// Creates a pod of each size in a governed namespace and returns what the webhooks were asked about it. The pods are
/// gone afterwards. `tls`: folder of the certificate by which webhooks are trusted.
///
/// # Errors
/// When a pod is refused.
pub(super) async fn record(
    api: &ApiServer,
    namespace: &str,
    sizes: &[Size],
    tls: &Path,
) -> Result<Vec<Reviews>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let (sender, mut recorded) = unbounded_channel();
    let recorder = floor::record(listener, tls, sender);
    let asking = async {
        let ca = ByteString(std::fs::read(tls.join("ca.crt"))?);
        for kind in KINDS {
            api.create(&kind.path(), &kind.configuration(namespace, port, &ca)?).await?;
        }
        let mut all = Vec::new();
        for size in sizes {
            all.push(of_one_pod(api, namespace, *size, &mut recorded).await?);
        }
        for kind in KINDS {
            api.delete(&format!("{}/{NAME}", kind.path())).await?;
        }
        Ok(all)
    };
    tokio::select! {
        ended = recorder => bail!("the recorder ended: {ended:?}"),
        all = asking => all,
    }
}

/// Webhooks that change objects are called in the order of their names; this is before perpro.
const NAME: &str = "bench-recorder";
const KINDS: [Kind; 2] = [Kind::Mutating, Kind::Validating];

#[derive(Clone, Copy)]
enum Kind {
    Mutating,
    Validating,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Mutating => "Mutating",
            Self::Validating => "Validating",
        }
    }

    fn path(self) -> String {
        let kind = self.name().to_lowercase();
        format!("/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations")
    }

    fn configuration(self, namespace: &str, port: u16, ca: &ByteString) -> Result<Value> {
        Ok(json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": format!("{}WebhookConfiguration", self.name()),
            "metadata": {"name": NAME},
            "webhooks": [{
                "name": "recorder.bench.perpro.dev",
                "clientConfig": {
                    "url": format!("https://127.0.0.1:{port}/{}", self.name()),
                    "caBundle": serde_json::to_value(ca)?,
                },
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }],
        }))
    }
}

async fn of_one_pod(
    api: &ApiServer,
    namespace: &str,
    size: Size,
    recorded: &mut UnboundedReceiver<(String, Bytes)>,
) -> Result<Reviews> {
    let name = format!("recorded-{}", size.kilobytes);
    let path = crate::api::pods(namespace);
    // A new configuration counts after a moment: until it does, the pod is made again.
    let (mutating, validating) =
        perpro_e2e::wait::until("webhooks should be called", crate::SOON, async || {
            let seen = async {
                api.create(&path, &objects::agent(&name, objects::IDENTITY, size)).await?;
                api.delete(&format!("{path}/{name}")).await?;
                let mut seen = (None, None);
                while let Ok((path, body)) = recorded.try_recv() {
                    match path.as_str() {
                        "/Mutating" => seen.0 = Some(body),
                        _ => seen.1 = Some(body),
                    }
                }
                anyhow::Ok(seen.0.zip(seen.1))
            };
            match seen.await {
                Ok(Some(seen)) => perpro_e2e::wait::ready(seen),
                Ok(None) => perpro_e2e::wait::not_yet("no review came"),
                Err(error) => perpro_e2e::wait::Probe::Break(Err(error)),
            }
        })
        .await?;
    let mut dry: Value = serde_json::from_slice(&mutating)?;
    dry["request"]["dryRun"] = json!(true);
    let review: Value = serde_json::from_slice(&validating)?;
    let pod = review["request"].get("object").context("a review without object")?;
    Ok(Reviews {
        size,
        mutating: serde_json::to_vec(&dry)?,
        validating: validating.to_vec(),
        pod_bytes: serde_json::to_vec(pod)?.len(),
    })
}
