//! The life of an identity's instances: what to do next, given what is there.
//!
//! [`plan`] looks at the world as it is and names the writes that are missing. It remembers
//! nothing, so it is safe to run twice, to die half way, and to run beside another. Each
//! [`Chain`] is one instance's writes, in an order in which every prefix is safe: power ends
//! before the account, the account before the pod; and power comes last.

mod step;

pub use step::{Chain, Plan, Step};

use super::ceiling::Ceiling;
use super::listed;
use super::refusal::{Reason, Refusal};
use super::times::later;
use crate::api::PermissionRule;
use crate::model::{Account, Binding, Claim, Identity, PodFacts};
use jiff::{SignedDuration, Timestamp};
use std::collections::{HashMap, HashSet};

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
    pub pods: Vec<&'a PodFacts>,
    /// Accounts minted for it.
    pub accounts: Vec<&'a Account>,
    /// Bindings of those accounts.
    pub bindings: Vec<&'a Binding>,
}

/// An account, and what goes with it.
struct Instance<'a> {
    account: &'a Account,
    /// Pods that run under it, or would. A claim is of one.
    pods: &'a [&'a PodFacts],
    /// Its binding, unless that is being deleted.
    binding: Option<&'a Binding>,
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
    // By name, since an identity may have thousands of instances.
    let mut pods = HashMap::<&str, Vec<&PodFacts>>::new();
    observed.pods.iter().for_each(|pod| pods.entry(&pod.account).or_default().push(pod));
    let bindings: HashMap<&str, &Binding> =
        observed.bindings.iter().filter(|b| !b.deleting).map(|b| (b.name.as_str(), *b)).collect();
    for account in observed.accounts.iter().filter(|a| !a.deleting) {
        let name = account.name.as_str();
        let pods = pods.get(name).map_or(&[][..], Vec::as_slice);
        let instance = Instance { account, pods, binding: bindings.get(name).copied() };
        match &account.claim {
            Some(claim) => claimed(observed, &instance, claim, now, &mut plan),
            None => unclaimed(observed, &instance, now, &mut plan),
        }
    }
    let accounts: HashSet<&str> = observed.accounts.iter().map(|a| a.name.as_str()).collect();
    for pod in observed.pods.iter().filter(|p| !accounts.contains(p.account.as_str())) {
        without_account(observed, pod, now, &mut plan);
    }
    plan
}

fn claimed(observed: &Observed<'_>, instance: &Instance<'_>, claim: &Claim, now: Timestamp, plan: &mut Plan) {
    let Instance { account, pods, binding } = *instance;
    let unbind = || binding.cloned().map(Step::Unbind);
    let end_account = || unbind().into_iter().chain([Step::DeleteAccount(account.clone())]);
    let Some(&pod) = pods.iter().find(|p| p.uid == claim.pod_uid) else {
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

fn unclaimed(observed: &Observed<'_>, instance: &Instance<'_>, now: Timestamp, plan: &mut Plan) {
    let account = instance.account;
    let Some(&pod) = instance.pods.iter().find(|p| !p.finished && p.deletion.is_none()) else {
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
    if !observed.governed || pod.finished || !pod.is_instance_of(observed.name) {
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
