//! Which identity is looked at next: each at most once at a time, again when it was touched
//! meanwhile, later when something is due or failed.

use super::pass::Controller;
use crate::cluster::describe;
use crate::runtime::metrics::METRICS;
use crate::snapshot::{Key, Touched};
use futures::StreamExt;
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::time::{DelayQueue, delay_queue};

/// Most events that are looked at together. A namespace may have thousands of identities, all of which are looked at
/// when the spec of one changes: ever so often is as good as once.
const NEWS: usize = 1000;
/// Passes at once.
const PASSES: usize = 8;
/// First and longest pause after a pass that failed.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// Every identity is looked at this often even if nothing told us to.
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
        queue.at(key, Duration::ZERO);
    }
    loop {
        METRICS.queue_depth.set([], queue.depth() as f64);
        tokio::select! {
            () = stop.cancelled() => break,
            1.. = touched.recv_many(&mut news, NEWS) => {
                for touched in news.drain(..).collect::<BTreeSet<_>>() {
                    match touched {
                        Touched::Identity(key) => queue.at(key, Duration::ZERO),
                        Touched::Namespace(namespace) => {
                            let here = controller.keys().into_iter().filter(|k| k.namespace == namespace);
                            here.for_each(|key| queue.at(key, Duration::ZERO));
                        }
                        Touched::Everything => {
                            controller.keys().into_iter().for_each(|key| queue.at(key, Duration::ZERO));
                        }
                    }
                }
            },
            Some(expired) = queue.due.next(), if running.len() < PASSES => {
                if let Some(key) = queue.begin(expired.into_inner()) {
                    let (controller, pass) = (controller.clone(), key.clone());
                    let task = running.spawn(async move {
                        let began = Instant::now();
                        let result = controller.pass(&pass).await;
                        let name = if result.is_ok() { "done" } else { "failed" };
                        METRICS.pass_seconds.observe([name], began.elapsed());
                        result
                    });
                    names.insert(task.id(), key);
                }
            },
            Some(done) = running.join_next_with_id() => {
                let id = done.as_ref().map_or_else(tokio::task::JoinError::id, |(id, _)| *id);
                let Some(key) = names.remove(&id) else { continue };
                // A bug in one pass must not stop the others, nor make a busy loop.
                let outcome = done.map_err(|panic| panic.to_string()).and_then(|(_, r)| r.map_err(|e| describe(&e)));
                match outcome {
                    Ok(wake_at) => queue.finish(key, wake_at.map_or(RESYNC, |at| until(at).min(RESYNC))),
                    Err(error) => {
                        tracing::warn!(namespace = key.namespace, identity = key.identity, error, "a pass failed and is tried again");
                        queue.fail(key);
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

#[derive(Default)]
struct Queue {
    due: DelayQueue<Key>,
    waiting: HashMap<Key, (delay_queue::Key, tokio::time::Instant)>,
    at_once: HashSet<Key>,
    running: HashSet<Key>,
    touched_meanwhile: HashSet<Key>,
    failures: HashMap<Key, u32>,
}

impl Queue {
    /// Looks at `key` after `wait`, or earlier if that was said before.
    fn at(&mut self, key: Key, wait: Duration) {
        if self.running.contains(&key) {
            self.touched_meanwhile.insert(key);
            return;
        }
        if wait.is_zero() {
            self.at_once.insert(key.clone());
        }
        let at = tokio::time::Instant::now() + wait;
        match self.waiting.get_mut(&key) {
            Some((_, earlier)) if *earlier <= at => {}
            Some((slot, when)) => {
                self.due.reset_at(slot, at);
                *when = at;
            }
            None => {
                let slot = self.due.insert_at(key.clone(), at);
                self.waiting.insert(key, (slot, at));
            }
        }
    }

    /// How many something happened to that no pass has begun to look at since.
    fn depth(&self) -> usize {
        self.at_once.len() + self.touched_meanwhile.len()
    }

    fn begin(&mut self, key: Key) -> Option<Key> {
        self.waiting.remove(&key);
        self.at_once.remove(&key);
        self.running.insert(key.clone()).then_some(key)
    }

    fn finish(&mut self, key: Key, wait: Duration) {
        self.failures.remove(&key);
        self.end(key, wait);
    }

    fn fail(&mut self, key: Key) {
        let failures = self.failures.entry(key.clone()).or_default();
        *failures = (*failures + 1).min(16);
        // What changed meanwhile may be what it failed for, or a suspension: that waits only once.
        let changed = self.touched_meanwhile.remove(&key);
        let wait = if changed { BACKOFF.0 } else { (BACKOFF.0 * 2_u32.pow(*failures - 1)).min(BACKOFF.1) };
        self.end(key, wait);
    }

    fn end(&mut self, key: Key, wait: Duration) {
        self.running.remove(&key);
        let touched = self.touched_meanwhile.remove(&key);
        self.at(key, if touched { Duration::ZERO } else { wait });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key { namespace: "ns".to_owned(), identity: "a".to_owned() }
    }

    /// How long until the key is due, in whole seconds.
    fn waits(queue: &Queue) -> Option<u64> {
        let due = queue.waiting.get(&key())?.1;
        Some(due.saturating_duration_since(tokio::time::Instant::now()).as_secs_f64().round() as u64)
    }

    #[tokio::test]
    async fn a_key_touched_while_it_runs_runs_once_more() {
        let mut queue = Queue::default();
        queue.at(key(), Duration::ZERO);
        queue.at(key(), Duration::ZERO);
        assert_eq!(queue.depth(), 1);
        let expired = queue.due.next().await.unwrap().into_inner();
        assert_eq!(queue.begin(expired), Some(key()));
        assert_eq!(queue.depth(), 0);
        queue.at(key(), Duration::ZERO);
        assert_eq!((waits(&queue), queue.depth()), (None, 1), "not while it runs");
        queue.finish(key(), RESYNC);
        assert_eq!((waits(&queue), queue.depth()), (Some(0), 1));
    }

    #[tokio::test]
    async fn the_earlier_of_two_times_wins() {
        let mut queue = Queue::default();
        queue.at(key(), RESYNC);
        queue.at(key(), Duration::from_secs(90));
        queue.at(key(), RESYNC);
        assert_eq!(waits(&queue), Some(90));
        assert_eq!((queue.due.len(), queue.depth()), (1, 0));
    }

    #[tokio::test]
    async fn failures_wait_longer_each_time_unless_something_changed() {
        let mut queue = Queue::default();
        let mut seen = Vec::new();
        for _ in 0..9 {
            queue.waiting.clear();
            queue.begin(key());
            queue.fail(key());
            seen.push(waits(&queue).unwrap());
        }
        queue.waiting.clear();
        queue.begin(key());
        queue.at(key(), Duration::ZERO);
        queue.fail(key());
        assert!(waits(&queue).unwrap() <= 1);
        assert_eq!(seen[1..], [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
