//! Who leads: a Lease that expires by itself.
//!
//! A candidate trusts no clock but its own: it takes over when it has seen the same record for
//! as long as the record says it holds. A leader that can't renew stops before that.

use crate::cluster::{Cluster, LeaseRecord, describe, is_conflict};
use anyhow::Context;
use jiff::Timestamp;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long the Lease holds without being renewed, in seconds.
pub(super) const HOLDS_SECONDS: i32 = 15;
/// How often it is renewed, or looked at.
const EVERY: Duration = Duration::from_secs(3);
/// A leader that has not renewed for so long no longer is one.
const GIVES_UP_AFTER: Duration = Duration::from_secs(10);

/// One who would lead.
pub(super) struct Candidate {
    cluster: Cluster,
    lease: LeaseName,
    me: String,
}

/// Where the Lease is.
#[derive(Clone, Debug)]
pub(crate) struct LeaseName {
    /// Namespace.
    pub(crate) namespace: String,
    /// Name.
    pub(crate) name: String,
}

/// What to do about the Lease.
#[derive(Debug, PartialEq, Eq)]
enum Move {
    /// Write this record: take or renew it.
    Hold(LeaseRecord),
    /// Another leads.
    Wait,
}

/// Decides on the Lease; `unchanged` is how long we have seen this very record.
fn decide(seen: Option<&LeaseRecord>, me: &str, unchanged: Duration, now: Timestamp) -> Move {
    let (transitions, resource_version) = match seen {
        None => (0, None),
        Some(record) => {
            let holds = Duration::from_secs(u64::try_from(record.seconds).unwrap_or(0));
            let mine = record.holder == me;
            if !mine && !record.holder.is_empty() && unchanged < holds {
                return Move::Wait;
            }
            (record.transitions + i32::from(!mine), record.resource_version.clone())
        }
    };
    Move::Hold(LeaseRecord {
        holder: me.to_owned(),
        renewed: now,
        seconds: HOLDS_SECONDS,
        transitions,
        resource_version,
    })
}

impl Candidate {
    /// A candidate; without a name of its own it gets a random one.
    pub(super) fn new(cluster: Cluster, lease: LeaseName, replica: Option<String>) -> anyhow::Result<Self> {
        let mut random = [0; 4];
        getrandom::fill(&mut random).context("no randomness")?;
        let me = format!("{}-{:08x}", replica.as_deref().unwrap_or("perpro"), u32::from_be_bytes(random));
        Ok(Self { cluster, lease, me })
    }

    /// Waits until this candidate leads; `None` when `stop` comes first.
    pub(super) async fn elected(self, stop: &CancellationToken) -> Option<Term> {
        let mut seen = None;
        let mut since = Instant::now();
        loop {
            match self.cluster.lease(&self.lease.namespace, &self.lease.name).await {
                Ok(record) => {
                    if record != seen {
                        (seen, since) = (record, Instant::now());
                    }
                    let asked = Instant::now();
                    if let Move::Hold(record) =
                        decide(seen.as_ref(), &self.me, since.elapsed(), Timestamp::now())
                        && self.hold(&record).await
                    {
                        tracing::info!(replica = self.me, "leading");
                        return Some(Term { candidate: self, renewed: asked });
                    }
                }
                Err(error) => tracing::warn!(error = describe(&error), "can't read the leader's Lease"),
            }
            stop.run_until_cancelled(tokio::time::sleep(EVERY)).await?;
        }
    }

    async fn hold(&self, record: &LeaseRecord) -> bool {
        match self.cluster.hold_lease(&self.lease.namespace, &self.lease.name, record, None).await {
            Ok(()) => true,
            Err(error) if is_conflict(&error) => false,
            Err(error) => {
                tracing::warn!(error = describe(&error), "can't write the leader's Lease");
                false
            }
        }
    }
}

/// The time in which a candidate leads.
pub(super) struct Term {
    candidate: Candidate,
    renewed: Instant,
}

impl Term {
    /// Renews the Lease; resolves when it is lost.
    pub(super) async fn lost(&self) -> anyhow::Error {
        let Candidate { cluster, lease, me } = &self.candidate;
        let mut renewed = self.renewed;
        while renewed.elapsed() < GIVES_UP_AFTER {
            tokio::time::sleep(EVERY).await;
            let asked = Instant::now();
            let left = GIVES_UP_AFTER.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(left, cluster.lease(&lease.namespace, &lease.name)).await {
                Ok(Ok(Some(record))) if record.holder != *me => {
                    return anyhow::anyhow!("another replica leads: {}", record.holder);
                }
                Ok(Ok(record)) => {
                    if let Move::Hold(record) = decide(record.as_ref(), me, Duration::ZERO, Timestamp::now())
                        && tokio::time::timeout(left, self.candidate.hold(&record)).await == Ok(true)
                    {
                        renewed = asked;
                    }
                }
                Ok(Err(error)) => tracing::warn!(error = describe(&error), "can't read the leader's Lease"),
                Err(_) => {}
            }
        }
        anyhow::anyhow!("the leader's Lease was not renewed for {} s", GIVES_UP_AFTER.as_secs())
    }

    /// Gives the Lease up, so that another need not wait for it to expire.
    pub(super) async fn resign(&self) -> anyhow::Result<()> {
        let Candidate { cluster, lease, me } = &self.candidate;
        if let Some(record) = cluster.lease(&lease.namespace, &lease.name).await?.filter(|r| r.holder == *me)
        {
            self.candidate.hold(&LeaseRecord { holder: String::new(), ..record }).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(holder: &str) -> LeaseRecord {
        LeaseRecord {
            holder: holder.to_owned(),
            renewed: Timestamp::UNIX_EPOCH,
            seconds: 15,
            transitions: 4,
            resource_version: Some("7".to_owned()),
        }
    }

    fn held(seen: Option<&LeaseRecord>, unchanged: u64) -> Option<LeaseRecord> {
        match decide(seen, "me", Duration::from_secs(unchanged), Timestamp::UNIX_EPOCH) {
            Move::Hold(record) => Some(record),
            Move::Wait => None,
        }
    }

    #[test]
    fn a_lease_that_nobody_has_is_taken() {
        assert_eq!(held(None, 0).unwrap().resource_version, None);
        assert_eq!(held(Some(&record("")), 0).unwrap().transitions, 5);
    }

    #[test]
    fn a_lease_of_another_is_taken_only_after_it_was_seen_unchanged_for_its_time() {
        assert_eq!(held(Some(&record("other")), 14), None);
        let taken = held(Some(&record("other")), 15).unwrap();
        assert_eq!(
            (taken.holder.as_str(), taken.transitions, taken.resource_version.as_deref()),
            ("me", 5, Some("7"))
        );
    }

    #[test]
    fn renewing_is_no_transition() {
        assert_eq!(held(Some(&record("me")), 0).unwrap().transitions, 4);
    }
}
