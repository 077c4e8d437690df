//! What is asked of a process over plain HTTP: `/livez` answers while the process does, `/readyz`
//! once it can do its work, `/metrics` with what it counted.

use super::metrics;
use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use hyper_util::rt::TokioTimer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a connection may stay silent: whoever reaches a port must not use up all of ours.
pub(crate) const IDLE: Duration = Duration::from_secs(30);

/// Whether the process can do its work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// From now on it can.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it can.
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The two routes about health.
pub(crate) fn routes(readiness: Readiness) -> Router {
    Router::new().route("/livez", get(|| async { "ok" })).route("/readyz", get(ready)).with_state(readiness)
}

async fn ready(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    if readiness.get() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "starting") }
}

/// Serves health and metrics over plain HTTP, until it is dropped. `census` brings the metrics up
/// to date that are looked up rather than counted, each time that somebody reads them.
///
/// # Errors
/// When the address can't be served.
pub(crate) async fn serve(
    listen: SocketAddr,
    readiness: Readiness,
    census: impl Fn() + Clone + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let page = move || async move {
        census();
        metrics::page()
    };
    let routes = routes(readiness).route("/metrics", get(page));
    let mut server = axum_server::bind(listen);
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
    server.serve(routes.into_make_service()).await.with_context(|| format!("can't serve on {listen}"))
}
