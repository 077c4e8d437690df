//! Gated pods that may not start: whom to tell, and when to delete them. Kept in memory; what is
//! forgotten at a restart is said, or waited for, once more.

use crate::snapshot::Key;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

/// Shortest and longest wait before the next pod of an identity is deleted. ReplicaSets make
/// another at once, without any backoff of their own.
const BACKOFF: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(10), SignedDuration::from_mins(5));
/// When the same is said again. Events live for an hour.
const SAID_AGAIN: SignedDuration = SignedDuration::from_mins(10);
/// When an identity is told again of the same code or condition, of whatever pod.
const IDENTITY_AGAIN: SignedDuration = SignedDuration::from_mins(1);
/// Most that is remembered.
const MOST: usize = 1000;

#[derive(Default)]
pub(super) struct Rejected {
    told: HashMap<String, (String, Timestamp)>,
    identities: HashMap<(String, String), Timestamp>,
    waits: HashMap<Key, (SignedDuration, Timestamp)>,
}

impl Rejected {
    /// Whether `text` about the object with this UID was not said before, or long ago.
    pub(super) fn is_news(&mut self, uid: &str, text: &str, now: Timestamp) -> bool {
        if self.told.len() >= MOST {
            self.told.clear();
        }
        let old = |(before, at): &(String, Timestamp)| before == text && now.duration_since(*at) < SAID_AGAIN;
        if self.told.get(uid).is_some_and(old) {
            return false;
        }
        self.told.insert(uid.to_owned(), (text.to_owned(), now));
        true
    }

    /// Whether the identity with this UID was told nothing of `what` for a minute.
    pub(super) fn is_due(&mut self, uid: &str, what: &str, now: Timestamp) -> bool {
        if self.identities.len() >= MOST {
            self.identities.clear();
        }
        let key = (uid.to_owned(), what.to_owned());
        let due = self.identities.get(&key).is_none_or(|at| now.duration_since(*at) >= IDENTITY_AGAIN);
        if due {
            self.identities.insert(key, now);
        }
        due
    }

    /// `None` when a rejected pod of this identity is to be deleted now, else when.
    pub(super) fn deleted_at(&mut self, key: &Key, now: Timestamp) -> Option<Timestamp> {
        if self.waits.len() >= MOST {
            self.waits.clear();
        }
        let after = |wait| now.checked_add(wait).unwrap_or(Timestamp::MAX);
        let (wait, due) = self.waits.entry(key.clone()).or_insert((BACKOFF.0, after(BACKOFF.0)));
        if now < *due {
            return Some(*due);
        }
        *wait = wait.saturating_mul(2).min(BACKOFF.1);
        *due = after(*wait);
        None
    }

    /// A pod of this identity was fine.
    pub(super) fn passed(&mut self, key: &Key) {
        self.waits.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_reason_is_told_once_and_again_when_it_changes_or_is_old() {
        let mut rejected = Rejected::default();
        assert!(rejected.is_news("pod-1", "expired", at(0)));
        assert!(!rejected.is_news("pod-1", "expired", at(599)));
        assert!(rejected.is_news("pod-2", "expired", at(0)));
        assert!(rejected.is_news("pod-1", "suspended", at(1)));
        assert!(rejected.is_news("pod-1", "suspended", at(601)));
        (0..2 * MOST).for_each(|i| assert!(rejected.is_news(&format!("other-{i}"), "expired", at(0))));
        assert!(rejected.told.len() <= MOST);
    }

    #[test]
    fn an_identity_is_told_of_a_code_at_most_once_a_minute() {
        let mut rejected = Rejected::default();
        assert!(rejected.is_due("u", "AID012", at(0)) && rejected.is_due("u", "AID004", at(1)));
        assert!(rejected.is_due("v", "AID012", at(2)));
        assert!(!rejected.is_due("u", "AID012", at(59)) && rejected.is_due("u", "AID012", at(60)));
        assert!(!rejected.is_due("u", "AID012", at(61)));
        (0..2 * MOST).for_each(|i| assert!(rejected.is_due("u", &i.to_string(), at(0))));
        assert!(rejected.identities.len() <= MOST);
    }

    #[test]
    fn pods_are_deleted_ever_more_slowly_until_one_passes() {
        let key = Key { namespace: "ns".to_owned(), identity: "bot".to_owned() };
        let mut rejected = Rejected::default();
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..7 {
            let due = rejected.deleted_at(&key, at(now)).unwrap().as_second();
            waits.push(due - now);
            now = due;
            assert_eq!(rejected.deleted_at(&key, at(now)), None, "now");
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
        rejected.passed(&key);
        assert_eq!(rejected.deleted_at(&key, at(now)), Some(at(now + 10)));
    }
}
