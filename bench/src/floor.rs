//! The least that an admission webhook in this language can do: the same TLS and HTTP as perpro's, the review parsed
//! into untyped JSON, and "allowed". What perpro is slower than this is the price of its decisions.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use axum_server::tls_rustls::RustlsConfig;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

/// The API server sends no more.
const MAX_BODY: usize = 8 << 20;

/// Answers on a port of this machine until the process ends. `tls`: folder with `tls.crt` and `tls.key`.
///
/// # Errors
/// When it cannot serve.
pub async fn serve(port: u16, tls: &Path) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = listener.with_context(|| format!("cannot listen on port {port}"))?;
    on(listener, tls, Router::new().fallback(post(allow))).await
}

/// The same, and passes on what it was asked, with the path.
pub(super) async fn record(
    listener: TcpListener,
    tls: &Path,
    recorded: UnboundedSender<(String, Bytes)>,
) -> Result<()> {
    let routes = Router::new().fallback(post(pass_on)).with_state(recorded);
    on(listener, tls, routes).await
}

async fn on(listener: TcpListener, tls: &Path, routes: Router) -> Result<()> {
    listener.set_nonblocking(true)?;
    let config = RustlsConfig::from_pem_file(tls.join("tls.crt"), tls.join("tls.key")).await;
    let config = config.with_context(|| format!("no certificate in {}", tls.display()))?;
    let routes = routes.layer(DefaultBodyLimit::max(MAX_BODY)).into_make_service();
    axum_server::from_tcp_rustls(listener, config)?.serve(routes).await.context("cannot serve")
}

async fn allow(body: Bytes) -> Response {
    match serde_json::from_slice::<Value>(&body) {
        Ok(review) => Json(json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": {"uid": review["request"]["uid"], "allowed": true},
        }))
        .into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

async fn pass_on(
    State(recorded): State<UnboundedSender<(String, Bytes)>>,
    uri: Uri,
    body: Bytes,
) -> Response {
    let answer = allow(body.clone()).await;
    // Nobody listens any more when all that was wanted is there.
    drop(recorded.send((uri.path().to_owned(), body)));
    answer
}
