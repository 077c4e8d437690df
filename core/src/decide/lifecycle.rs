//! The life of an identity's instances: what to do next, given what is there.
//!
//! [`plan`] looks at the world as it is and names the writes that are missing. It remembers
//! nothing, so it is safe to run twice, to die half way, and to run beside another. Each
//! [`Chain`] is one instance's writes, in an order in which every prefix is safe: power ends
//! before the account, the account before the pod; and power comes last.

use super::ceiling::{Ceiling, Clipped};
use crate::api::PermissionRule;
use crate::model::{Account, Binding, Identity, IdentityEnd, PodFacts};
use jiff::{SignedDuration, Timestamp};

/// How long an account that no pod claimed may live: an API server may still be busy with the
/// pod that it was minted for.
pub const UNCLAIMED_GRACE: SignedDuration = SignedDuration::from_mins(5);

/// Longest grace, in seconds, for a pod that loses its identity.
pub const REVOKED_POD_GRACE: i64 = 30;

/// What is there of one identity: by name, since it may be gone or made anew.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
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
    /// The identity's permissions, clipped: its Role.
    pub clipped: Clipped,
    /// Whether the Role must be written, before anything else.
    pub role_differs: bool,
    /// Independent of each other; steps of one chain run in order, and stop at the first failure.
    pub chains: Vec<Chain>,
    /// Next time at which something is due.
    pub wake_at: Option<Timestamp>,
    /// Live instances: claimed accounts whose pod still has its power.
    pub instances: usize,
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
    /// Asks the API server whether the pod is really gone; ends the chain when it is not.
    ConfirmGone {
        /// Name of the pod.
        pod_name: String,
        /// UID that must not be there any more.
        pod_uid: String,
    },
    /// Deletes a binding, by UID and version.
    Unbind(Binding),
    /// Deletes an account, by UID and version.
    DeleteAccount(Account),
    /// Deletes a pod, by UID, with at most this grace in seconds.
    DeletePod {
        /// Name of the pod.
        pod_name: String,
        /// UID of the pod.
        pod_uid: String,
        /// Grace period in seconds.
        grace_seconds: i64,
    },
}

/// The writes that are missing at `now`.
#[must_use]
pub fn plan(observed: &Observed<'_>, now: Timestamp) -> Plan {
    let live = observed.identity.filter(|i| i.ended(now).is_none());
    let mut plan = Plan {
        clipped: live.map(|i| observed.ceiling.clip(&i.spec.permissions)).unwrap_or_default(),
        ..Plan::default()
    };
    if let Some(identity) = live {
        let wanted = plan.clipped.rules.as_slice();
        plan.role_differs = observed.role.map_or(!wanted.is_empty(), |rules| rules != wanted);
        plan.wake(identity.spec.expires_at.0);
        for secret in &identity.spec.secrets {
            plan.wake_if_future(secret.rotate_by.0, now);
        }
    }
    for account in observed.accounts.iter().filter(|a| !a.deleting) {
        match &account.claim {
            Some(_) => claimed(observed, account, now, &mut plan),
            None => unclaimed(observed, account, now, &mut plan),
        }
    }
    plan
}

fn claimed(observed: &Observed<'_>, account: &Account, now: Timestamp, plan: &mut Plan) {
    let Some(claim) = &account.claim else { return };
    let binding = observed.bindings.iter().find(|b| b.name == account.name && !b.deleting);
    let unbind = || binding.cloned().map(Step::Unbind);
    let delete_account = || Step::DeleteAccount(account.clone());
    let Some(pod) = observed.pods.iter().find(|p| p.uid == claim.pod_uid) else {
        let confirm = Step::ConfirmGone { pod_name: claim.pod_name.clone(), pod_uid: claim.pod_uid.clone() };
        plan.chains.push([Some(confirm), unbind(), Some(delete_account())].into_iter().flatten().collect());
        return;
    };
    if identity_over(observed, account, now).is_some() {
        let steps = [unbind(), Some(delete_account()), delete_pod(pod)];
        plan.chains.push(steps.into_iter().flatten().collect());
        return;
    }
    match power_ends(pod, observed.ceiling) {
        Some(end) if end <= now => {
            plan.chains.push(unbind().into_iter().chain([delete_account()]).collect());
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
    let pod = observed.pods.iter().find(|p| p.account == account.name && !p.finished);
    let Some(pod) = pod.filter(|p| p.deletion.is_none()) else {
        let due = account.created + UNCLAIMED_GRACE;
        if due <= now {
            plan.chains.push(vec![Step::DeleteAccount(account.clone())]);
        } else {
            plan.wake(due);
        }
        return;
    };
    if identity_over(observed, account, now).is_some() {
        let steps = [Some(Step::DeleteAccount(account.clone())), delete_pod(pod)];
        plan.chains.push(steps.into_iter().flatten().collect());
    } else if observed.governed && pod.gated {
        plan.chains.push(vec![Step::Claim { account: account.clone(), pod: pod.clone() }]);
    }
}

/// Why the identity that the account was minted for is over.
fn identity_over(observed: &Observed<'_>, account: &Account, now: Timestamp) -> Option<IdentityEnd> {
    match observed.identity {
        Some(identity) if account.identity_uid.as_ref() == Some(&identity.uid) => identity.ended(now),
        // Gone, or another one under its name.
        _ => Some(IdentityEnd::Deleted),
    }
}

/// When the pod's own end takes its power: at once when finished; for a deleted one after the
/// drain, or when its grace ends if that is earlier.
fn power_ends(pod: &PodFacts, ceiling: &Ceiling<'_>) -> Option<Timestamp> {
    if pod.finished {
        return Some(Timestamp::MIN);
    }
    let deletion = pod.deletion?;
    let drained = deletion.requested + SignedDuration::from_secs(i64::from(ceiling.drain_seconds()));
    Some(drained.min(deletion.due))
}

fn delete_pod(pod: &PodFacts) -> Option<Step> {
    pod.deletion.is_none().then(|| Step::DeletePod {
        pod_name: pod.name.clone(),
        pod_uid: pod.uid.clone(),
        grace_seconds: pod.grace_seconds.min(REVOKED_POD_GRACE),
    })
}

impl Plan {
    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |w| w.min(at)));
    }

    fn wake_if_future(&mut self, at: Timestamp, now: Timestamp) {
        if at > now {
            self.wake(at);
        }
    }
}
