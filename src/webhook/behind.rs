//! For tests: a webhook whose watches show what was there once, and an API server that has something else by now.

use super::Webhook;
use crate::cluster::Cluster;
use crate::runtime::health::Readiness;
use crate::snapshot::{Snapshot, Watches};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use kube::{Client, Config};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the watches have seen, and what is.
#[derive(Clone)]
pub(super) struct Behind {
    pub(super) seen_policies: Value,
    pub(super) policies: Value,
    pub(super) seen_identities: Value,
    pub(super) identities: Value,
    pub(super) pods: Value,
    pub(super) accounts: Value,
    /// The answer to whether somebody may do something, given the attributes.
    pub(super) review: fn(&Value) -> Result<Value, StatusCode>,
}

impl Default for Behind {
    fn default() -> Self {
        let [seen_policies, policies, seen_identities, identities, pods, accounts] =
            [(); 6].map(|()| json!([]));
        Self { seen_policies, policies, seen_identities, identities, pods, accounts, review: allowed }
    }
}

/// Everybody may do everything.
pub(super) fn allowed(_: &Value) -> Result<Value, StatusCode> {
    Ok(json!({"allowed": true}))
}

impl Behind {
    /// The webhook, once its watches have seen what was.
    pub(super) async fn webhook(self) -> Webhook {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(AtomicBool::new(false));
        let routes = Router::new().fallback(answer).with_state((self, seen.clone()));
        // It ends with the test's runtime.
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let client = Client::try_from(Config::new(server.parse().unwrap())).unwrap();
        let mut watches = Watches::new(None);
        let snapshot = Snapshot::start(&client, &mut watches);
        watches.synced().await;
        std::mem::forget(watches);
        seen.store(true, Ordering::Release);
        let readiness = Readiness::default();
        readiness.set();
        Webhook { cluster: Cluster::with_client(client).unwrap(), snapshot, readiness }
    }
}

async fn answer(State((behind, seen)): State<(Behind, Arc<AtomicBool>)>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.uri.query().is_some_and(|query| query.contains("watch=")) {
        return std::future::pending().await;
    }
    if parts.method == "POST" {
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let mut object: Value = serde_json::from_slice(&body).unwrap();
        return match (behind.review)(&object["spec"]["resourceAttributes"]) {
            Ok(status) => {
                object["status"] = status;
                Json(object).into_response()
            }
            Err(code) => code.into_response(),
        };
    }
    let path = parts.uri.path();
    let now = seen.load(Ordering::Acquire);
    let items = if path.ends_with("/agentpolicies") {
        if now { behind.policies } else { behind.seen_policies }
    } else if path.contains("/agentidentities") {
        if now { behind.identities } else { behind.seen_identities }
    } else if path.contains("/pods/") {
        behind.pods
    } else if path.ends_with("/serviceaccounts") {
        behind.accounts
    } else {
        json!([])
    };
    if path.contains("/agentidentities/") || path.contains("/pods/") {
        let name = path.rsplit('/').next().unwrap_or_default();
        let found = items.as_array().and_then(|items| items.iter().find(|i| i["metadata"]["name"] == name));
        let gone = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound"});
        return found.map_or((StatusCode::NOT_FOUND, Json(gone)).into_response(), |i| {
            Json(i.clone()).into_response()
        });
    }
    let list =
        json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items});
    Json(list).into_response()
}
