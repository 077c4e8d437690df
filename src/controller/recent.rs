//! What was written a moment ago and need not be written again at once: a burst of pods would pay
//! for it with every pod.

use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::hash::Hash;

/// How long it is remembered.
const MOMENT: SignedDuration = SignedDuration::from_secs(5);
/// Most that is remembered; what is forgotten is written once more.
const MOST: usize = 1000;

pub(super) struct Recent<K>(HashMap<K, Timestamp>);

impl<K> Default for Recent<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Recent<K> {
    /// Until when it is not to be written, if it was a moment ago.
    pub(super) fn until(&self, key: &K, now: Timestamp) -> Option<Timestamp> {
        let until = self.0.get(key)?.checked_add(MOMENT).unwrap_or(Timestamp::MAX);
        // A clock that was set back holds nothing up.
        (now < until && until.duration_since(now) <= MOMENT).then_some(until)
    }

    /// It was written.
    pub(super) fn written(&mut self, key: K, now: Timestamp) {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(key, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_waits_five_seconds_and_what_was_not_does_not() {
        let at = |millis: i64| Timestamp::from_millisecond(1_000_000 + millis).unwrap();
        let mut recent = Recent::default();
        assert_eq!(recent.until(&"a", at(0)), None);
        recent.written("a", at(0));
        assert_eq!((recent.until(&"a", at(1)), recent.until(&"b", at(1))), (Some(at(5000)), None));
        assert_eq!(recent.until(&"a", at(5000)), None);
        assert_eq!(recent.until(&"a", at(-9000)), None, "the clock was set back");
    }
}
