//! Which identity is looked at next: each at most once at a time, again when it was touched
//! meanwhile, later when something is due or failed. Namespaces take turns, so that one with
//! thousands of identities does not keep a revocation in another waiting.

use super::pass::Controller;
use crate::cluster::describe;
use crate::runtime::metrics::METRICS;
use crate::snapshot::{Key, Touched};
use futures::StreamExt;
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
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
/// Of these, most that are about namespaces. Each lists pods, as many and as large as a tenant likes; whose namespaces
/// are many must not keep a revocation waiting.
const NAMESPACES: usize = 2;
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
            Some(expired) = queue.later.next() => queue.is_due(expired.into_inner()),
            Some(done) = running.join_next_with_id() => {
                let id = done.as_ref().map_or_else(tokio::task::JoinError::id, |(id, _)| *id);
                let Some(about) = names.remove(&id) else { continue };
                // A bug in one pass must not stop the others, nor make a busy loop.
                let outcome = done.map_err(|panic| panic.to_string()).and_then(|(_, r)| r.map_err(|e| describe(&e)));
                match outcome {
                    Ok(wake_at) => queue.finish(about, wake_at.map_or(RESYNC, |at| until(at).min(RESYNC))),
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

/// What a pass is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum About {
    /// An identity and its instances.
    Identity(Key),
    /// A namespace: its GovernedNamespace.
    Namespace(String),
}

impl About {
    fn namespace(&self) -> &str {
        match self {
            Self::Identity(key) => &key.namespace,
            Self::Namespace(namespace) => namespace,
        }
    }

    fn identity(&self) -> Option<&str> {
        match self {
            Self::Identity(key) => Some(&key.identity),
            Self::Namespace(_) => None,
        }
    }
}

fn until(at: Timestamp) -> Duration {
    // A little after, so that what is due is due by then.
    Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default() + Duration::from_millis(5)
}

#[derive(Default)]
struct Queue {
    identities: Turns,
    namespaces: Turns,
    later: DelayQueue<About>,
    waiting: HashMap<About, (delay_queue::Key, tokio::time::Instant)>,
    running: HashSet<About>,
    touched_meanwhile: HashSet<About>,
    failures: HashMap<About, u32>,
}

impl Queue {
    /// Looks at `key` after `wait`, or earlier if that was said before.
    fn at(&mut self, key: About, wait: Duration) {
        if self.running.contains(&key) {
            self.touched_meanwhile.insert(key);
            return;
        }
        if self.now(&key).contains(&key) {
            return;
        }
        if wait.is_zero() {
            if let Some((slot, _)) = self.waiting.remove(&key) {
                self.later.remove(&slot);
            }
            self.now(&key).push(key);
            return;
        }
        let at = tokio::time::Instant::now() + wait;
        match self.waiting.get_mut(&key) {
            Some((_, earlier)) if *earlier <= at => {}
            Some((slot, when)) => {
                self.later.reset_at(slot, at);
                *when = at;
            }
            None => {
                let slot = self.later.insert_at(key.clone(), at);
                self.waiting.insert(key, (slot, at));
            }
        }
    }

    /// The time that `key` waited for has come.
    fn is_due(&mut self, key: About) {
        self.waiting.remove(&key);
        self.now(&key).push(key);
    }

    /// How many are to be looked at and no pass has begun to since.
    fn depth(&self) -> usize {
        self.identities.len() + self.namespaces.len() + self.touched_meanwhile.len()
    }

    fn begin(&mut self) -> Option<About> {
        let namespaces = self.running.iter().filter(|about| about.identity().is_none()).count();
        let namespace = if namespaces < NAMESPACES { self.namespaces.pop() } else { None };
        let key = namespace.or_else(|| self.identities.pop())?;
        self.running.insert(key.clone());
        Some(key)
    }

    /// What is to be looked at now of this kind.
    fn now(&mut self, about: &About) -> &mut Turns {
        match about {
            About::Identity(_) => &mut self.identities,
            About::Namespace(_) => &mut self.namespaces,
        }
    }

    fn finish(&mut self, key: About, wait: Duration) {
        self.failures.remove(&key);
        self.end(key, wait);
    }

    fn fail(&mut self, key: About) {
        let failures = self.failures.entry(key.clone()).or_default();
        *failures = (*failures + 1).min(16);
        // What changed meanwhile may be what it failed for, or a suspension: that waits only once.
        let changed = self.touched_meanwhile.remove(&key);
        let wait = if changed { BACKOFF.0 } else { (BACKOFF.0 * 2_u32.pow(*failures - 1)).min(BACKOFF.1) };
        self.end(key, wait);
    }

    fn end(&mut self, key: About, wait: Duration) {
        self.running.remove(&key);
        let touched = self.touched_meanwhile.remove(&key);
        self.at(key, if touched { Duration::ZERO } else { wait });
    }
}

/// Abouts in the order in which they came, but that namespaces take turns.
#[derive(Default)]
struct Turns {
    /// Never an empty one.
    lanes: HashMap<String, VecDeque<About>>,
    namespaces: VecDeque<String>,
    all: HashSet<About>,
}

impl Turns {
    fn contains(&self, key: &About) -> bool {
        self.all.contains(key)
    }

    fn len(&self) -> usize {
        self.all.len()
    }

    fn push(&mut self, key: About) {
        if !self.all.insert(key.clone()) {
            return;
        }
        let lane = self.lanes.entry(key.namespace().to_owned()).or_default();
        if lane.is_empty() {
            self.namespaces.push_back(key.namespace().to_owned());
        }
        lane.push_back(key);
    }

    fn pop(&mut self) -> Option<About> {
        let namespace = self.namespaces.pop_front()?;
        let lane = self.lanes.get_mut(&namespace)?;
        let key = lane.pop_front()?;
        if lane.is_empty() {
            self.lanes.remove(&namespace);
        } else {
            self.namespaces.push_back(namespace);
        }
        self.all.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(namespace: &str, identity: &str) -> About {
        About::Identity(Key { namespace: namespace.to_owned(), identity: identity.to_owned() })
    }

    fn key() -> About {
        key_of("ns", "a")
    }

    /// How long until the key is due, in whole seconds.
    fn waits(queue: &Queue) -> Option<u64> {
        if queue.identities.contains(&key()) {
            return Some(0);
        }
        let due = queue.waiting.get(&key())?.1;
        Some(due.saturating_duration_since(tokio::time::Instant::now()).as_secs_f64().round() as u64)
    }

    #[tokio::test]
    async fn a_key_touched_while_it_runs_runs_once_more() {
        let mut queue = Queue::default();
        queue.at(key(), Duration::ZERO);
        queue.at(key(), Duration::ZERO);
        assert_eq!(queue.depth(), 1);
        assert_eq!(queue.begin(), Some(key()));
        assert_eq!((queue.depth(), queue.begin()), (0, None));
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
        assert_eq!((queue.later.len(), queue.depth()), (1, 0));
        queue.at(key(), Duration::ZERO);
        queue.at(key(), RESYNC);
        assert_eq!((waits(&queue), queue.later.len(), queue.depth()), (Some(0), 0, 1));
    }

    #[tokio::test]
    async fn what_is_due_is_looked_at() {
        let mut queue = Queue::default();
        queue.at(key(), Duration::from_millis(1));
        assert_eq!(queue.begin(), None);
        let due = queue.later.next().await.unwrap().into_inner();
        queue.is_due(due);
        assert_eq!((queue.begin(), waits(&queue)), (Some(key()), None));
    }

    #[tokio::test]
    async fn a_namespace_with_very_many_keeps_no_other_waiting() {
        let mut queue = Queue::default();
        for i in 0..1000 {
            queue.at(key_of("many", &format!("bot-{i}")), Duration::ZERO);
        }
        for (namespace, identity) in [("few", "a"), ("few", "b"), ("one", "a")] {
            queue.at(key_of(namespace, identity), Duration::ZERO);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.begin()).collect();
        assert_eq!(order.len(), 1003);
        let first: Vec<_> = order[..7].iter().map(|k| k.namespace()).collect();
        assert_eq!(first, ["many", "few", "one", "many", "few", "many", "many"]);
        let many = order.iter().filter(|k| k.namespace() == "many");
        assert!(
            many.enumerate().all(|(i, k)| k.identity() == Some(format!("bot-{i}").as_str())),
            "in the order in which they came"
        );
    }

    #[tokio::test]
    async fn very_many_namespaces_keep_no_identity_waiting() {
        let mut queue = Queue::default();
        for i in 0..100 {
            queue.at(About::Namespace(format!("ns-{i}")), Duration::ZERO);
        }
        queue.at(key(), Duration::ZERO);
        let begun: Vec<_> = std::iter::from_fn(|| queue.begin()).collect();
        assert_eq!(begun.len(), NAMESPACES + 1);
        assert!(begun.contains(&key()));
        queue.finish(begun[0].clone(), RESYNC);
        assert!(matches!(queue.begin(), Some(About::Namespace(_))), "the next, when one is done");
    }

    #[tokio::test]
    async fn failures_wait_longer_each_time_unless_something_changed() {
        let mut queue = Queue::default();
        let mut seen = Vec::new();
        let again = |queue: &mut Queue| {
            queue.at(key(), Duration::ZERO);
            assert_eq!(queue.begin(), Some(key()));
        };
        for _ in 0..9 {
            again(&mut queue);
            queue.fail(key());
            seen.push(waits(&queue).unwrap());
        }
        again(&mut queue);
        queue.at(key(), Duration::ZERO);
        queue.fail(key());
        assert!(waits(&queue).unwrap() <= 1);
        assert_eq!(seen[1..], [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
