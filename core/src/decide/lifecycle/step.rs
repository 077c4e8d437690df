//! What a plan says: which writes, in which order.

use crate::api::PermissionRule;
use crate::decide::ceiling::Clipped;
use crate::decide::refusal::Refusal;
use crate::model::{Account, Binding, PodFacts};
use jiff::Timestamp;

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

impl Plan {
    /// Leaves out what brings instances closer to running; what ends them stays.
    pub fn give_nothing(&mut self) {
        self.chains.retain(|chain| !chain.iter().any(Step::gives_power));
    }

    /// Looks again then at the latest.
    pub(super) fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |w| w.min(at)));
    }
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
