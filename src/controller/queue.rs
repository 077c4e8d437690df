//! Which identity is looked at next: each at most once at a time, again when it was touched
//! meanwhile, later when something is due or failed. Namespaces take turns, so that one with
//! thousands of identities does not keep a revocation in another waiting.

use crate::snapshot::Key;
use futures::{FutureExt, StreamExt};
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;
use tokio::task::unconstrained;
use tokio_util::time::{DelayQueue, delay_queue};

/// Most passes at once that are about namespaces. Each lists pods, as many and as large as a tenant likes; whose namespaces
/// are many must not keep a revocation waiting.
const NAMESPACES: usize = 2;
/// How long after news a pass begins. News come in company (an account and its pod, the echoes of our own writes), and
/// a pass for each would look at the same things again.
const SETTLE: Duration = Duration::from_millis(10);
/// First and longest pause after a pass that failed.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// What a pass is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum About {
    /// An identity and its instances.
    Identity(Key),
    /// A namespace: its GovernedNamespace.
    Namespace(String),
}

impl About {
    pub(super) fn namespace(&self) -> &str {
        match self {
            Self::Identity(key) => &key.namespace,
            Self::Namespace(namespace) => namespace,
        }
    }

    pub(super) fn identity(&self) -> Option<&str> {
        match self {
            Self::Identity(key) => Some(&key.identity),
            Self::Namespace(_) => None,
        }
    }
}

/// What is to be looked at, and when.
#[derive(Default)]
pub(super) struct Queue {
    identities: Turns,
    namespaces: Turns,
    later: DelayQueue<About>,
    waiting: HashMap<About, (delay_queue::Key, tokio::time::Instant)>,
    running: HashSet<About>,
    touched_meanwhile: HashSet<About>,
    failures: HashMap<About, u32>,
}

impl Queue {
    /// Something of `key` changed.
    pub(super) fn touch(&mut self, key: About) {
        self.at(key, SETTLE);
    }

    /// Looks at `key` after `wait`, or earlier if that was said before.
    pub(super) fn at(&mut self, key: About, wait: Duration) {
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

    /// Waits until something that was to be looked at later is due; `None` when nothing is. May be dropped while it waits.
    pub(super) async fn comes_due(&mut self) -> Option<()> {
        let mut due = Some(self.later.next().await?);
        // All of them, so that namespaces take turns, and not as many as a task may do at a time.
        while let Some(key) = due.map(delay_queue::Expired::into_inner) {
            self.waiting.remove(&key);
            self.now(&key).push(key);
            due = unconstrained(self.later.next()).now_or_never().flatten();
        }
        Some(())
    }

    /// How many are to be looked at and no pass has begun to since.
    pub(super) fn depth(&self) -> usize {
        self.identities.len() + self.namespaces.len() + self.touched_meanwhile.len()
    }

    /// What a pass is to begin about now.
    pub(super) fn begin(&mut self) -> Option<About> {
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

    /// A pass is over; the next one begins after `wait`, if there is to be one, unless something happens before.
    pub(super) fn finish(&mut self, key: About, wait: Option<Duration>) {
        self.failures.remove(&key);
        self.end(key, wait);
    }

    /// A pass failed and is tried again.
    pub(super) fn fail(&mut self, key: About) {
        let failures = self.failures.entry(key.clone()).or_default();
        *failures = (*failures + 1).min(16);
        // What changed meanwhile may be what it failed for, or a suspension: that waits only once.
        let changed = self.touched_meanwhile.remove(&key);
        let wait = if changed { BACKOFF.0 } else { (BACKOFF.0 * 2_u32.pow(*failures - 1)).min(BACKOFF.1) };
        self.end(key, Some(wait));
    }

    fn end(&mut self, key: About, wait: Option<Duration>) {
        self.running.remove(&key);
        let touched = self.touched_meanwhile.remove(&key);
        if let Some(wait) = if touched { Some(SETTLE) } else { wait } {
            self.at(key, wait);
        }
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

    const RESYNC: Duration = Duration::from_secs(600);

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
        queue.touch(key());
        assert_eq!((waits(&queue), queue.depth()), (None, 1), "not while it runs");
        queue.finish(key(), Some(RESYNC));
        assert_eq!(waits(&queue), Some(0));
    }

    #[tokio::test]
    async fn news_that_come_together_are_looked_at_once_and_soon() {
        let mut queue = Queue::default();
        for _ in 0..3 {
            queue.touch(key());
        }
        assert_eq!(queue.begin(), None);
        queue.comes_due().await.unwrap();
        assert_eq!((queue.begin(), queue.begin()), (Some(key()), None));
        queue.finish(key(), None);
        // What is due at once does not wait for the company of news, nor is it looked at twice.
        queue.touch(key());
        queue.at(key(), Duration::ZERO);
        assert_eq!((queue.begin(), queue.later.len()), (Some(key()), 0));
    }

    #[tokio::test]
    async fn what_is_gone_is_forgotten_unless_it_was_touched_meanwhile() {
        let mut queue = Queue::default();
        for (touched, waits_then) in [(true, Some(0)), (false, None)] {
            queue.at(key(), Duration::ZERO);
            assert_eq!(queue.begin(), Some(key()));
            if touched {
                queue.touch(key());
            }
            queue.finish(key(), None);
            assert_eq!(waits(&queue), waits_then);
            queue.at(key(), Duration::ZERO);
            assert_eq!(queue.begin(), Some(key()));
            queue.finish(key(), None);
        }
        assert!(queue.waiting.is_empty() && queue.later.is_empty() && queue.running.is_empty());
        assert!(queue.failures.is_empty() && queue.identities.lanes.is_empty());
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
        queue.comes_due().await.unwrap();
        assert_eq!((queue.begin(), waits(&queue)), (Some(key()), None));
    }

    #[tokio::test]
    async fn what_is_due_together_takes_turns() {
        let mut queue = Queue::default();
        queue.touch(key_of("few", "a"));
        for i in 0..1000 {
            queue.touch(key_of("many", &format!("bot-{i}")));
        }
        let last = queue.waiting.values().map(|(_, due)| *due).max().unwrap();
        // Due times are rounded up to milliseconds.
        tokio::time::sleep_until(last + Duration::from_millis(2)).await;
        queue.comes_due().await.unwrap();
        assert_eq!(queue.depth(), 1001);
        let first = [queue.begin().unwrap(), queue.begin().unwrap()];
        assert!(first.iter().any(|about| about.namespace() == "few"), "{first:?}");
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
        queue.finish(begun[0].clone(), Some(RESYNC));
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
