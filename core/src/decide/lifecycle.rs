//! The life of an identity's instances: what to do next, given what is there.
//!
//! [`plan`] looks at the world as it is and names the writes that are missing. It remembers
//! nothing, so it is safe to run twice, to die half way, and to run beside another. Each
//! [`Chain`] is one instance's writes, in an order in which every prefix is safe: power ends
//! before the account, the account before the pod; and power comes last.

use super::ceiling::{Ceiling, Clipped};
use super::listed;
use super::refusal::{Reason, Refusal};
use super::times::later;
use crate::api::PermissionRule;
use crate::model::{Account, Binding, Claim, Identity, PodFacts};
use jiff::{SignedDuration, Timestamp};

/// How long an account that no pod claimed may live: an API server may still be busy with the
/// pod that it was minted for.
pub const UNCLAIMED_GRACE: SignedDuration = SignedDuration::from_mins(5);

/// Longest grace, in seconds, for a pod that loses its identity.
pub const REVOKED_POD_GRACE: i64 = 30;

/// What is there of one identity: by name, since it may be gone or made anew.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether the namespace enforces identities.
    pub governed: bool,
    /// The identity of that name, if there is one.
    pub identity: Option<&'a Identity>,
    /// The policies that bound its namespace.
    pub ceiling: &'a Ceiling<'a>,
    /// Rules of the identity's Role, if it has one.
    pub role: Option<&'a [PermissionRule]>,
    /// Pods that carry its label.
    pub pods: &'a [PodFacts],
    /// Accounts minted for it.
    pub accounts: &'a [Account],
    /// Bindings of those accounts.
    pub bindings: &'a [Binding],
}

/// What to do, and when to look again although nothing changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The identity's permissions, clipped by the ceiling.
    pub clipped: Clipped,
    /// Rules that the Role must be given, before anything else. None for an identity that is
    /// over: emptying one Role ends the power of all its instances at once.
    pub role: Option<Vec<PermissionRule>>,
    /// Independent of each other; steps of one chain run in order, and stop at the first failure.
    pub chains: Vec<Chain>,
    /// Next time at which something is due.
    pub wake_at: Option<Timestamp>,
    /// Live instances: claimed accounts whose pod still has its power.
    pub instances: usize,
    /// What the API server said when it refused the Role, if it did.
    pub role_refused: Option<String>,
}

/// One instance's writes.
pub type Chain = Vec<Step>;

/// One write, or the look that must come before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ties the account to the pod, after the whole decision on the live pod and identity.
    Claim {
        /// The account to claim, at the version seen.
        account: Account,
        /// The pod that claims it.
        pod: PodFacts,
    },
    /// Binds the account to the identity's Role, owned by the pod.
    Bind {
        /// Name of the account and of the binding.
        account: String,
        /// The pod that owns the binding.
        pod: PodFacts,
    },
    /// Removes the scheduling gate.
    Ungate {
        /// The gated pod.
        pod: PodFacts,
    },
    /// Tells why a gated pod can't start, and deletes it after a while: what made it makes another.
    Reject {
        /// The gated pod.
        pod: PodFacts,
        /// Why.
        refusal: Refusal,
    },
    /// Writes on the account since when its pod holds what the identity lists no more.
    MarkStale {
        /// The claimed account, at the version seen.
        account: Account,
        /// Since when; `None` takes the mark away.
        since: Option<Timestamp>,
    },
    /// Asks the API server whether the pod is really gone, has lost its label, or never ran under
    /// the account; ends the chain when it is none of these, since then only our watch is behind.
    ConfirmLost {
        /// Name of the pod.
        pod_name: String,
        /// UID that must not be there any more.
        pod_uid: String,
        /// Account that it must not run under any more.
        account: String,
    },
    /// Asks the API server whether the account is really gone; ends the chain when it is not.
    ConfirmNoAccount {
        /// Name of the account.
        account: String,
    },
    /// Deletes a binding, by UID and version.
    Unbind(Binding),
    /// Deletes an account, by UID and version.
    DeleteAccount(Account),
    /// Deletes a pod, by UID, with at most this grace in seconds, if it runs under the account:
    /// a forged claim must not point us at a foreign pod.
    DeletePod {
        /// Name of the pod.
        pod_name: String,
        /// UID of the pod.
        pod_uid: String,
        /// Account that it runs under.
        account: String,
        /// Grace period in seconds.
        grace_seconds: i64,
    },
}

impl Step {
    /// The gated pod that can't start before this step is done.
    #[must_use]
    pub fn pod_that_waits(&self) -> Option<&PodFacts> {
        match self {
            Self::Claim { pod, .. } | Self::Bind { pod, .. } | Self::Ungate { pod } => Some(pod),
            _ => None,
        }
    }

    /// Whether the step brings an instance closer to running.
    fn gives_power(&self) -> bool {
        matches!(self, Self::Claim { .. } | Self::Bind { .. } | Self::Ungate { .. })
    }
}

/// The writes that are missing at `now`.
#[must_use]
pub fn plan(observed: &Observed<'_>, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    if let Some(identity) = observed.identity.filter(|i| !i.deleting) {
        plan.clipped = observed.ceiling.clip(identity);
        let over = observed.ceiling.ended(identity, now).is_some();
        let wanted = if over { &[] } else { plan.clipped.rules.as_slice() };
        if observed.role.unwrap_or_default() != wanted {
            plan.role = Some(wanted.to_vec());
        }
        let rotations = identity.spec.secrets.iter().map(|s| s.rotate_by.0);
        rotations
            .chain([observed.ceiling.expires_at(identity)])
            .filter(|at| *at > now)
            .for_each(|at| plan.wake(at));
    }
    for account in observed.accounts.iter().filter(|a| !a.deleting) {
        match &account.claim {
            Some(claim) => claimed(observed, account, claim, now, &mut plan),
            None => unclaimed(observed, account, now, &mut plan),
        }
    }
    for pod in observed.pods {
        without_account(observed, pod, now, &mut plan);
    }
    plan
}

fn claimed(observed: &Observed<'_>, account: &Account, claim: &Claim, now: Timestamp, plan: &mut Plan) {
    let binding = observed.bindings.iter().find(|b| b.name == account.name && !b.deleting);
    let unbind = || binding.cloned().map(Step::Unbind);
    let end_account = || unbind().into_iter().chain([Step::DeleteAccount(account.clone())]);
    let pod = observed.pods.iter().find(|p| p.uid == claim.pod_uid && p.account == account.name);
    let Some(pod) = pod else {
        // Its own end comes first: a pod that has lost its label is found by its claim.
        let confirm = (!is_over(observed, account.identity_uid.as_ref(), now)).then(|| Step::ConfirmLost {
            pod_name: claim.pod_name.clone(),
            pod_uid: claim.pod_uid.clone(),
            account: account.name.clone(),
        });
        let delete_pod = Step::DeletePod {
            pod_name: claim.pod_name.clone(),
            pod_uid: claim.pod_uid.clone(),
            account: account.name.clone(),
            grace_seconds: REVOKED_POD_GRACE,
        };
        plan.chains.push(confirm.into_iter().chain(end_account()).chain([delete_pod]).collect());
        return;
    };
    if is_over(observed, account.identity_uid.as_ref(), now) {
        plan.chains.push(end_account().chain(delete_pod(pod)).collect());
        return;
    }
    if let Some(stale) = stale(observed, account, pod, now, plan) {
        let end = || end_account().chain(delete_pod(pod)).collect();
        plan.chains.push(stale.map_or_else(end, |mark| vec![mark]));
        return;
    }
    match power_ends(pod, observed.ceiling) {
        Some(end) if end <= now => {
            plan.chains.push(end_account().collect());
            return;
        }
        Some(end) => plan.wake(end),
        None => {}
    }
    if !observed.governed {
        plan.chains.extend(unbind().map(|step| vec![step]));
        return;
    }
    plan.instances += 1;
    if binding.is_none() && !plan.clipped.rules.is_empty() {
        plan.chains.push(vec![Step::Bind { account: account.name.clone(), pod: pod.clone() }]);
    } else if pod.gated {
        // Our own watch has shown the binding, so the pod starts with its permissions.
        plan.chains.push(vec![Step::Ungate { pod: pod.clone() }]);
    }
}

fn unclaimed(observed: &Observed<'_>, account: &Account, now: Timestamp, plan: &mut Plan) {
    let mut waiting = observed.pods.iter().filter(|p| p.account == account.name);
    let Some(pod) = waiting.find(|p| !p.finished && p.deletion.is_none()) else {
        let due = later(account.created, UNCLAIMED_GRACE);
        if due <= now {
            plan.chains.push(vec![Step::DeleteAccount(account.clone())]);
        } else {
            plan.wake(due);
        }
        return;
    };
    if is_over(observed, account.identity_uid.as_ref(), now) {
        let steps = [Some(Step::DeleteAccount(account.clone())), delete_pod(pod)];
        plan.chains.push(steps.into_iter().flatten().collect());
    } else if pod.gated && !observed.governed {
        let namespace = observed.identity.map(|i| i.namespace.clone()).unwrap_or_default();
        let refusal = Refusal::at("metadata.namespace", Reason::NotGoverned { namespace });
        plan.chains.push(vec![Step::Reject { pod: pod.clone(), refusal }]);
    } else if pod.gated && account.owned {
        // Not as the webhook mints it: somebody made it, or prepared it for another pod.
        let reason =
            Reason::ForeignAccount { account: account.name.clone(), identity: observed.name.to_owned() };
        let refusal = Refusal::at("spec.serviceAccountName", reason);
        plan.chains.push(vec![Step::Reject { pod: pod.clone(), refusal }]);
    } else if pod.gated {
        // What follows rests on the decision that the claim has just made. A binding is waited for
        // in our own watch, so the pod starts with its permissions.
        let next = if plan.clipped.rules.is_empty() {
            Step::Ungate { pod: pod.clone() }
        } else {
            Step::Bind { account: account.name.clone(), pod: pod.clone() }
        };
        plan.chains.push(vec![Step::Claim { account: account.clone(), pod: pod.clone() }, next]);
    }
}

/// What to do about a pod that holds what its identity lists no more: mark it (`Some(Some)`), end
/// it (`Some(None)`), or nothing yet.
fn stale(
    observed: &Observed<'_>,
    account: &Account,
    pod: &PodFacts,
    now: Timestamp,
    plan: &mut Plan,
) -> Option<Option<Step>> {
    let covered = is_covered(observed, pod);
    if !covered && pod.gated {
        // Nothing is lost: it never ran.
        return Some(None);
    }
    let mark = |since| Some(Some(Step::MarkStale { account: account.clone(), since }));
    match (covered, account.stale_since) {
        (true, None) => None,
        (true, Some(_)) => mark(None),
        (false, None) => mark(Some(now)),
        (false, Some(since)) => {
            let due = stale_ends(observed, since);
            if due <= now {
                return Some(None);
            }
            plan.wake(due);
            None
        }
    }
}

/// Ends a pod of ours whose account is gone: we died between the two, or somebody deleted it.
fn without_account(observed: &Observed<'_>, pod: &PodFacts, now: Timestamp, plan: &mut Plan) {
    let has_account = observed.accounts.iter().any(|a| a.name == pod.account);
    if has_account || !observed.governed || pod.finished || !pod.is_instance_of(observed.name) {
        return;
    }
    let Some(delete_pod) = delete_pod(pod) else { return };
    if let Some(deletion) = pod.deletion
        && !is_over(observed, pod.identity_uid.as_ref(), now)
    {
        if is_covered(observed, pod) {
            // It has the time that it was given.
            return;
        }
        // The mark has gone with the account, so the time counts from what took that.
        let due = stale_ends(observed, deletion.requested);
        if due > now {
            plan.wake(due);
            return;
        }
    }
    // Our watch of accounts may be behind that of pods.
    plan.chains.push(vec![Step::ConfirmNoAccount { account: pod.account.clone() }, delete_pod]);
}

/// Whether the pod holds nothing but what its identity, if there is one, still lists.
fn is_covered(observed: &Observed<'_>, pod: &PodFacts) -> bool {
    observed.identity.is_none_or(|i| listed::is_covered(&pod.holds, i))
}

/// Until when a pod may hold what is listed no more.
fn stale_ends(observed: &Observed<'_>, since: Timestamp) -> Timestamp {
    later(since, SignedDuration::from_secs(i64::from(observed.ceiling.stale_seconds())))
}

/// Whether the identity of this UID, which the account or the pod was made for, is over: ended, gone,
/// or another one under its name.
fn is_over(observed: &Observed<'_>, uid: Option<&String>, now: Timestamp) -> bool {
    observed.identity.is_none_or(|i| uid != Some(&i.uid) || observed.ceiling.ended(i, now).is_some())
}

/// When the pod's own end takes its power: at once when finished; for a deleted one after the
/// drain, or when its grace ends if that is earlier.
fn power_ends(pod: &PodFacts, ceiling: &Ceiling<'_>) -> Option<Timestamp> {
    if pod.finished {
        return Some(Timestamp::MIN);
    }
    let deletion = pod.deletion?;
    let drain = SignedDuration::from_secs(i64::from(ceiling.drain_seconds()));
    Some(later(deletion.requested, drain).min(deletion.due))
}

fn delete_pod(pod: &PodFacts) -> Option<Step> {
    pod.outlasts(REVOKED_POD_GRACE).then(|| Step::DeletePod {
        pod_name: pod.name.clone(),
        pod_uid: pod.uid.clone(),
        account: pod.account.clone(),
        grace_seconds: pod.grace_seconds.min(REVOKED_POD_GRACE),
    })
}

impl Plan {
    /// Leaves out what brings instances closer to running; what ends them stays.
    pub fn give_nothing(&mut self) {
        self.chains.retain(|chain| !chain.iter().any(Step::gives_power));
    }

    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |w| w.min(at)));
    }
}
