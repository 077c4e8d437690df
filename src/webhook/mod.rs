//! The admission webhook: decides on agent pods as they are created, mints their accounts and
//! patches them. Replicas are equal; there is no leader.

mod pods;
mod review;

use crate::cluster::Cluster;
use crate::runtime::{health, tls};
use crate::snapshot::{Snapshot, Watches};
use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hyper_util::rt::TokioTimer;
use review::Review;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::TimeoutLayer;

/// The API server sends objects of at most 3 MiB, old and new; beyond this nobody honest is.
const MAX_BODY: usize = 8 << 20;
/// Below the `timeoutSeconds` of the configurations, so that a slow answer is still ours.
const TIMEOUT: Duration = Duration::from_secs(8);
/// How long a connection may stay silent: whoever reaches the port must not use up all of ours.
const IDLE: Duration = Duration::from_secs(30);
/// How long running requests may take after a stop.
const DRAIN: Duration = Duration::from_secs(9);

/// What the handlers share.
#[derive(Clone)]
struct Webhook {
    cluster: Cluster,
    snapshot: Snapshot,
    readiness: health::Readiness,
}

/// Serves until `stop`.
///
/// # Errors
/// When the certificate can't be read, the address can't be bound, or a watch ends.
pub(crate) async fn serve(
    listen: SocketAddr,
    tls_dir: PathBuf,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    let mut watches = Watches::new(None);
    let snapshot = Snapshot::start(&cluster.client(), &mut watches);
    let readiness = health::Readiness::default();
    let webhook = Webhook { cluster, snapshot, readiness: readiness.clone() };

    let tls = tls::watched(tls_dir, stop.clone()).await?;
    let handle = axum_server::Handle::new();
    let mut server = axum_server::bind_rustls(listen, tls).handle(handle.clone());
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
    server.http_builder().http2().timer(TokioTimer::new()).keep_alive_interval(IDLE).keep_alive_timeout(IDLE);
    let server = server.serve(routes(webhook).into_make_service());
    tokio::pin!(server);

    tracing::info!(%listen, "serving; reading identities, policies and accounts");
    tokio::select! {
        result = &mut server => return result.with_context(|| format!("can't serve on {listen}")),
        () = watches.synced() => {}
        () = stop.cancelled() => return Ok(()),
    }
    readiness.set();
    tracing::info!("ready");
    tokio::select! {
        result = &mut server => result.with_context(|| format!("can't serve on {listen}")),
        error = watches.ended() => Err(error),
        () = stop.cancelled() => {
            handle.graceful_shutdown(Some(DRAIN));
            server.await.context("can't shut down")
        }
    }
}

fn routes(webhook: Webhook) -> Router {
    Router::new()
        .route("/mutate/pods", post(mutate_pod))
        .route("/validate/pods", post(validate_pod))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, TIMEOUT))
        .with_state(webhook.clone())
        .merge(health::routes(webhook.readiness))
}

async fn mutate_pod(State(webhook): State<Webhook>, body: Bytes) -> Response {
    match Review::parse(&body) {
        Ok(review) => webhook.mutate(&review).await.respond(&review).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error).into_response(),
    }
}

async fn validate_pod(State(webhook): State<Webhook>, body: Bytes) -> Response {
    match Review::parse(&body) {
        Ok(review) => webhook.validate(&review).await.respond(&review).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error).into_response(),
    }
}
