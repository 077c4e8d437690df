//! HTTPS as API servers need it of a webhook: one that ends lets go of its callers first.
//!
//! A crate of its own, because what is generic in HTTP and TLS is compiled with whoever uses it: each review of a pod
//! goes through here, so this is compiled for speed, and the program around it for size.

use axum::extract::Request;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use axum::{Router, ServiceExt};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::TokioTimer;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower_http::timeout::TimeoutLayer;

/// Below the `timeoutSeconds` of the configurations, so that a slow answer is still ours.
const TIMEOUT: Duration = Duration::from_secs(8);
/// How long a connection may stay silent: whoever reaches the port must not use up all of ours. API
/// servers close theirs after 90 s, and must be the first to: a request on its way to a connection that
/// we close is a pod refused.
const IDLE: Duration = Duration::from_secs(100);
/// How long after a stop API servers have to let go of their connections.
const LET_GO: Duration = Duration::from_secs(8);
/// How long running requests may take after that. With the pause before the stop it fits into the 30 s
/// that a pod has to end.
const DRAIN: Duration = Duration::from_secs(9);

/// Serves until `stop`, and then until all callers have let go of their connections, or had the time to.
///
/// # Errors
/// When the address can't be bound.
pub async fn https(
    listen: SocketAddr,
    tls: RustlsConfig,
    routes: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    let handle = Handle::new();
    // Not even to who asks for HTTP/2 without being offered it.
    let mut server = axum_server::bind_rustls(listen, tls).handle(handle.clone()).http1_only();
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
    let stopped = stop.clone();
    // Around the router and not its layers: those are boxed, for each route and each request again.
    let service = ServiceBuilder::new()
        .map_response(move |response| let_go(&stopped, response))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, TIMEOUT))
        .service(routes);
    let server = server.serve(ServiceExt::<Request>::into_make_service(service));
    tokio::pin!(server);
    let all_let_go = async {
        stop.cancelled().await;
        all_let_go(&handle).await;
    };
    tokio::select! {
        result = &mut server => return result,
        () = all_let_go => {}
    }
    handle.graceful_shutdown(Some(DRAIN));
    server.await
}

/// Waits until nobody holds a connection to us, or has had the time to let go: each answer after a stop
/// says that its connection is not to be used again. API servers keep their connections; into one that
/// we close at once, the next request may be half written.
async fn all_let_go(handle: &Handle<SocketAddr>) {
    let none = async {
        while handle.connection_count() > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let _ = tokio::time::timeout(LET_GO, none).await; // those that are left are idle
}

/// After a stop, says that the connection of this answer is not to be used again.
fn let_go<B>(stop: &CancellationToken, mut response: Response<B>) -> Response<B> {
    if stop.is_cancelled() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
