//! Sums of times that can't overflow: users may put them at the end of time.

use jiff::{SignedDuration, Timestamp};

/// `wait` after `at`, or the end of time.
pub(super) fn later(at: Timestamp, wait: SignedDuration) -> Timestamp {
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// `days` after `from`, or the end of time.
pub(super) fn lives_until(from: Timestamp, days: u32) -> Timestamp {
    later(from, SignedDuration::from_hours(24 * i64::from(days)))
}
