//! One look at a governed namespace: whose its Secrets are, and what people see of it, in its GovernedNamespace.
//!
//! Pods without identity are listed when there is something to find out, not watched: a watch would bring each change
//! of each pod of the cluster to every replica, or be one connection for each namespace. A list is a moment; so whoever
//! comes in between it and the claim is looked for afterwards, and their Secret is claimed no more.

use super::pass::Controller;
use crate::cluster::{Record, describe};
use crate::snapshot::{Key, Touched};
use jiff::{SignedDuration, Timestamp};
use perpro_core::api::{GovernedNamespaceSpec, GovernedNamespaceStatus};
use perpro_core::decide::exclusive::{self, Claims};
use perpro_core::model::SecretOwners;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A namespace is looked at this often at most, unless its Secrets have other owners: numbers can wait.
const MOMENT: SignedDuration = SignedDuration::from_secs(5);
/// How long after a claim pods may come in that were admitted before it: API servers ask webhooks, which may take 30 s,
/// after policies, and learn of a claim by a watch.
const SETTLES: SignedDuration = SignedDuration::from_secs(60);
/// How often pods are listed while some name a Secret of an identity: they may be gone.
const IN_USE: SignedDuration = SignedDuration::from_secs(15);
/// How often while none does. The policy keeps them off, so only what came in without it is found.
const SETTLED: SignedDuration = SignedDuration::from_mins(10);

/// What is known of namespaces that have a GovernedNamespace, or should.
#[derive(Default)]
pub(super) struct Namespaces(Mutex<HashMap<String, Known>>);

#[derive(Clone, Default)]
struct Known {
    /// What its GovernedNamespace says.
    record: Arc<Record>,
    look: Option<Look>,
}

/// When pods were listed, and for what.
#[derive(Clone)]
struct Look {
    /// The last pass, which may have listed nothing.
    at: Timestamp,
    owners: Arc<SecretOwners>,
    /// When what is claimed last changed.
    changed: Timestamp,
    /// When pods are to be listed again.
    due: Timestamp,
}

impl Namespaces {
    fn locked(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, namespace: &str) -> Option<Known> {
        self.locked().get(namespace).cloned()
    }

    fn forget(&self, namespace: &str) {
        self.locked().remove(namespace);
    }

    fn learn(&self, namespace: &str, known: Known) {
        self.locked().insert(namespace.to_owned(), known);
    }
}

impl Controller {
    /// Governed namespaces, and those that were and still have a GovernedNamespace.
    pub(super) async fn namespaces(&self) -> Vec<String> {
        let mut all = self.instances.all_governed();
        let recorded = self.cluster.recorded_namespaces().await;
        let recorded = recorded.unwrap_or_else(|error| {
            tracing::warn!(
                error = describe(&error),
                "can't list GovernedNamespaces: is their definition there?"
            );
            Vec::new()
        });
        for namespace in recorded.into_iter().filter(|n| !self.instances.governed(n)) {
            self.known.learn(&namespace, Known::default());
            all.push(namespace);
        }
        all
    }

    /// Whether there is anything to do about a namespace itself.
    pub(super) fn minds(&self, namespace: &str) -> bool {
        self.instances.governed(namespace) || self.known.locked().contains_key(namespace)
    }

    /// Whose the Secrets of a namespace are, as its GovernedNamespace says.
    ///
    /// # Errors
    /// When it can't be read.
    pub(super) async fn claims(&self, namespace: &str) -> kube::Result<Claims> {
        Ok(self.known(namespace).await?.record.claims())
    }

    async fn known(&self, namespace: &str) -> kube::Result<Known> {
        if let Some(known) = self.known.get(namespace) {
            return Ok(known);
        }
        let record = Arc::new(self.cluster.record(namespace).await?.unwrap_or_default());
        let known = Known { record, look: None };
        // A pass may have been faster, and knows more.
        Ok(self.known.locked().entry(namespace.to_owned()).or_insert(known).clone())
    }

    /// Brings the GovernedNamespace of a namespace up to date; says when to look again.
    ///
    /// # Errors
    /// When pods can't be listed, or the write fails.
    pub(super) async fn pass_namespace(&self, namespace: &str) -> kube::Result<Option<Timestamp>> {
        if self.instances.terminating(namespace) {
            self.known.forget(namespace);
            return Ok(None);
        }
        let Some(enforce) = self.instances.enforces(namespace) else {
            if self.known.get(namespace).is_some() {
                self.cluster.release_secrets(namespace).await?;
                self.known.forget(namespace);
            }
            return Ok(None);
        };
        let now = Timestamp::now();
        let owners = self.snapshot.secret_owners(namespace);
        let Known { mut record, look: last } = self.known(namespace).await?;
        let changed = last.as_ref().map(|look| look.changed);
        let same = last.filter(|look| look.owners == owners && look.at <= now);
        if let Some(look) = &same
            && now < look.at + MOMENT
        {
            return Ok(Some(look.at + MOMENT));
        }
        let (claims, look) = match same.filter(|look| now < look.due) {
            Some(look) => (record.claims(), Look { at: now, ..look }),
            None => {
                // Somebody may have written it who got past the policies.
                record = Arc::new(self.cluster.record(namespace).await?.unwrap_or_default());
                let nobodys = owners.all().next().is_none();
                let pods = if nobodys { Vec::new() } else { self.cluster.plain_pods(namespace).await? };
                let claims = exclusive::claims(&owners, &pods);
                let same = claims.claimed == record.spec.claimed_secrets;
                let changed = changed.filter(|_| same).unwrap_or(now);
                let due = due(changed, !claims.in_use.is_empty(), now);
                (claims, Look { at: now, owners, changed, due })
            }
        };
        let differ = claims.differ(&record.claims(), &look.owners);
        let due = look.due;
        let fresh = self.describe(namespace, enforce, claims);
        if *record != fresh {
            self.cluster.claim_secrets(namespace, &fresh).await?;
            record = Arc::new(fresh);
        }
        self.known.learn(namespace, Known { record, look: Some(look) });
        for identity in differ {
            // Nobody listens any more only at shutdown.
            let _ = self.touch.send(Touched::Identity(Key { namespace: namespace.to_owned(), identity }));
        }
        Ok(Some(due))
    }

    fn describe(&self, namespace: &str, enforce: String, claims: Claims) -> Record {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (instances, gated) = self.instances.count(namespace);
        Record {
            spec: GovernedNamespaceSpec { claimed_secrets: claims.claimed },
            status: GovernedNamespaceStatus {
                enforce,
                identities: number(self.snapshot.identity_count(namespace)),
                instances: number(instances),
                gated: number(gated),
                secrets_in_use: claims.in_use,
            },
        }
    }
}

/// When pods are listed again that were listed now, the claims having `changed` then.
fn due(changed: Timestamp, in_use: bool, now: Timestamp) -> Timestamp {
    let settled = changed + SETTLES;
    let again = if changed == now {
        now + MOMENT
    } else if now < settled {
        settled
    } else {
        now + SETTLED
    };
    if in_use { again.min(now + IN_USE) } else { again }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_claim_pods_are_listed_until_none_can_come_in_that_was_admitted_before_it() {
        let at = |seconds: i64| Timestamp::from_second(1_000_000 + seconds).unwrap();
        assert_eq!(due(at(0), false, at(0)), at(5));
        assert_eq!(due(at(0), false, at(5)), at(60));
        assert_eq!(due(at(0), false, at(60)), at(660));
        for now in [5, 60, 5000] {
            assert_eq!(due(at(0), true, at(now)), at(now + 15), "they may be gone");
        }
    }
}
