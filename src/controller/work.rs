//! Runs passes: as many at once as is good, about what the [`queue`](super::queue) says next.

use super::pass::Controller;
use super::queue::{About, Queue};
use crate::cluster::describe;
use crate::runtime::metrics::METRICS;
use crate::snapshot::Touched;
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Most events that are looked at together. A namespace may have thousands of identities, all of which are looked at
/// when the spec of one changes: ever so often is as good as once.
const NEWS: usize = 1000;
/// Passes at once.
const PASSES: usize = 8;
/// Every identity that is there, or has left something behind, is looked at this often even if nothing told us to.
const RESYNC: Duration = Duration::from_secs(600);

/// Runs passes until `stop`; running ones are finished.
pub(super) async fn work(
    controller: Arc<Controller>,
    mut touched: mpsc::UnboundedReceiver<Touched>,
    stop: &CancellationToken,
) {
    let mut queue = Queue::default();
    let mut running = JoinSet::new();
    let mut names = HashMap::new();
    let mut news = Vec::new();
    for key in controller.keys() {
        queue.at(About::Identity(key), Duration::ZERO);
    }
    for namespace in controller.namespaces().await {
        queue.at(About::Namespace(namespace), Duration::ZERO);
    }
    loop {
        while running.len() < PASSES
            && let Some(about) = queue.begin()
        {
            let (controller, pass) = (controller.clone(), about.clone());
            let task = running.spawn(async move {
                let began = Instant::now();
                let result = match &pass {
                    About::Identity(key) => controller.pass(key).await,
                    About::Namespace(namespace) => controller.pass_namespace(namespace).await,
                };
                let name = if result.is_ok() { "done" } else { "failed" };
                METRICS.pass_seconds.observe([name], began.elapsed());
                result
            });
            names.insert(task.id(), about);
        }
        METRICS.queue_depth.set([], queue.depth() as f64);
        tokio::select! {
            () = stop.cancelled() => break,
            1.. = touched.recv_many(&mut news, NEWS) => {
                for touched in news.drain(..).collect::<BTreeSet<_>>() {
                    let (keys, namespace) = match touched {
                        Touched::Identity(key) => (vec![key.clone()], Some(key.namespace)),
                        Touched::Namespace(namespace) => {
                            let here = controller.keys().into_iter().filter(|k| k.namespace == namespace);
                            (here.collect(), Some(namespace))
                        }
                        Touched::Everything => (controller.keys().into_iter().collect(), None),
                    };
                    keys.into_iter().for_each(|key| queue.touch(About::Identity(key)));
                    if let Some(namespace) = namespace.filter(|n| controller.minds(n)) {
                        queue.touch(About::Namespace(namespace));
                    }
                }
            },
            Some(()) = queue.comes_due() => {}
            Some(done) = running.join_next_with_id() => {
                let id = done.as_ref().map_or_else(tokio::task::JoinError::id, |(id, _)| *id);
                let Some(about) = names.remove(&id) else { continue };
                // A bug in one pass must not stop the others, nor make a busy loop.
                let outcome = done.map_err(|panic| panic.to_string()).and_then(|(_, r)| r.map_err(|e| describe(&e)));
                ended(&controller, &mut queue, about, outcome);
            },
        }
    }
    while running.join_next().await.is_some() {}
}

/// Says when the next pass is after one that ended: none where nothing is left of what it was about.
fn ended(
    controller: &Controller,
    queue: &mut Queue,
    about: About,
    outcome: Result<Option<Timestamp>, String>,
) {
    match outcome {
        Ok(wake_at) => {
            let wait = wake_at.map_or(RESYNC, |at| until(at).min(RESYNC));
            let wait = controller.knows(&about).then_some(wait);
            queue.finish(about, wait);
        }
        Err(error) => {
            tracing::warn!(
                namespace = about.namespace(),
                identity = about.identity(),
                error,
                "a pass failed and is tried again"
            );
            queue.fail(about);
        }
    }
}

fn until(at: Timestamp) -> Duration {
    // A little after, so that what is due is due by then.
    Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default() + Duration::from_millis(5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Cluster;
    use crate::snapshot::{Instances, Key, Snapshot, Watches};
    use axum::extract::Request;
    use axum::response::{IntoResponse, Response};
    use axum::{Json, Router};
    use futures::FutureExt;
    use kube::{Client, Config};
    use perpro_core::names;
    use serde_json::{Value, json};

    /// An API server with an identity, and what others have left: an account, a pod, a binding.
    async fn answer(request: Request) -> Response {
        if request.uri().query().is_some_and(|query| query.contains("watch=")) {
            return std::future::pending().await;
        }
        let labels =
            |identity: &str| json!({names::IDENTITY_LABEL: identity, names::MANAGED_BY: names::MANAGER});
        let of = |identity: &str, name: &str| {
            json!([{"metadata": {"name": name, "namespace": "ns", "uid": "u", "resourceVersion": "1",
                "creationTimestamp": "2026-01-01T00:00:00Z", "labels": labels(identity)}, "spec": {"containers": []}}])
        };
        let items: Value = match request.uri().path().rsplit('/').next().unwrap_or_default() {
            "agentidentities" => of("", "there"),
            "serviceaccounts" => of("account", "aid-account-0123456789"),
            "pods" => of("pod", "pod"),
            "rolebindings" => of("binding", "aid-binding-0123456789"),
            "namespaces" => {
                json!([{"metadata": {"name": "governed", "labels": {names::ENFORCE_LABEL: "all"}}}])
            }
            _ => json!([]),
        };
        let list =
            json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items});
        Json(list).into_response()
    }

    async fn controller() -> Controller {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        // It ends with the test's runtime.
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        let client = Client::try_from(Config::new(server.parse().unwrap())).unwrap();
        let mut watches = Watches::new(None);
        let snapshot = Snapshot::start(&client, &mut watches);
        let instances = Instances::start(&client, &mut watches, "perpro-system");
        watches.synced().await;
        std::mem::forget(watches);
        let cluster = Cluster::with_client(client).unwrap();
        Controller::new(cluster, snapshot, instances, mpsc::unbounded_channel().0)
    }

    #[tokio::test]
    async fn only_what_is_there_or_has_left_something_is_looked_at_again() {
        let controller = controller().await;
        let identity =
            |name: &str| About::Identity(Key { namespace: "ns".to_owned(), identity: name.to_owned() });
        let namespace = |name: &str| About::Namespace(name.to_owned());
        for (about, expected) in [
            (identity("there"), true),
            (identity("account"), true),
            (identity("pod"), true),
            (identity("binding"), true),
            (identity("gone"), false),
            (namespace("governed"), true),
            (namespace("ns"), false),
        ] {
            for wake_at in [None, Some(Timestamp::MAX)] {
                let mut queue = Queue::default();
                queue.at(about.clone(), Duration::ZERO);
                assert_eq!(queue.begin().as_ref(), Some(&about));
                ended(&controller, &mut queue, about.clone(), Ok(wake_at));
                // It would wait for what is to come, if there was anything.
                assert_eq!(queue.comes_due().now_or_never().is_none(), expected, "{about:?}");
            }
        }
    }
}
