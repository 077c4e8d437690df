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
                    keys.into_iter().for_each(|key| queue.at(About::Identity(key), Duration::ZERO));
                    if let Some(namespace) = namespace.filter(|n| controller.minds(n)) {
                        queue.at(About::Namespace(namespace), Duration::ZERO);
                    }
                }
            },
            Some(()) = queue.comes_due() => {}
            Some(done) = running.join_next_with_id() => {
                let id = done.as_ref().map_or_else(tokio::task::JoinError::id, |(id, _)| *id);
                let Some(about) = names.remove(&id) else { continue };
                // A bug in one pass must not stop the others, nor make a busy loop.
                let outcome = done.map_err(|panic| panic.to_string()).and_then(|(_, r)| r.map_err(|e| describe(&e)));
                match outcome {
                    Ok(wake_at) => {
                        let wait = wake_at.map_or(RESYNC, |at| until(at).min(RESYNC));
                        let wait = controller.knows(&about).then_some(wait);
                        queue.finish(about, wait);
                    }
                    Err(error) => {
                        tracing::warn!(namespace = about.namespace(), identity = about.identity(), error, "a pass failed and is tried again");
                        queue.fail(about);
                    }
                }
            },
        }
    }
    while running.join_next().await.is_some() {}
}

fn until(at: Timestamp) -> Duration {
    // A little after, so that what is due is due by then.
    Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default() + Duration::from_millis(5)
}
