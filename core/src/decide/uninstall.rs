//! The end of an installation: the writes that leave nothing of any instance behind.

use super::lifecycle::{Chain, Step};
use crate::model::{Account, Binding, PodFacts};
use std::collections::BTreeSet;

/// Ends all instances of a namespace: binding, then account, then a pod that still waits at its
/// gate, which nobody would open any more. Pods that run go on without power: to end them is
/// their owner's decision.
#[must_use]
pub fn end_all(pods: &[PodFacts], accounts: &[Account], bindings: &[Binding]) -> Vec<Chain> {
    let gated = || pods.iter().filter(|p| p.gated && p.deletion.is_none());
    let names = bindings.iter().map(|b| &b.name).chain(accounts.iter().map(|a| &a.name));
    let names: BTreeSet<_> = names.chain(gated().map(|p| &p.account)).collect();
    let chain = |name: &String| -> Chain {
        let binding = bindings.iter().filter(|b| &b.name == name && !b.deleting).cloned().map(Step::Unbind);
        let account = accounts.iter().filter(|a| &a.name == name && !a.deleting).cloned();
        let pods = gated().filter(|p| &p.account == name).map(|pod| Step::DeletePod {
            pod_name: pod.name.clone(),
            pod_uid: pod.uid.clone(),
            account: pod.account.clone(),
            grace_seconds: 0,
        });
        binding.chain(account.map(Step::DeleteAccount)).chain(pods).collect()
    };
    names.into_iter().map(chain).filter(|steps| !steps.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn pod(account: &str, gated: bool) -> PodFacts {
        PodFacts {
            name: format!("pod-of-{account}"),
            uid: "pod-uid".into(),
            created: Timestamp::UNIX_EPOCH,
            identity_uid: None,
            account: account.into(),
            gated,
            finished: false,
            deletion: None,
            grace_seconds: 30,
            holds: Vec::new(),
            controller: None,
        }
    }

    fn account(name: &str) -> Account {
        Account {
            name: name.into(),
            uid: "account-uid".into(),
            resource_version: "1".into(),
            created: Timestamp::UNIX_EPOCH,
            identity_uid: None,
            claim: None,
            owned: false,
            stale_since: None,
            deleting: false,
        }
    }

    fn binding(name: &str) -> Binding {
        Binding {
            name: name.into(),
            uid: "binding-uid".into(),
            resource_version: "2".into(),
            deleting: false,
        }
    }

    fn steps(chains: &[Chain]) -> Vec<Vec<&'static str>> {
        let name = |step: &Step| match step {
            Step::Unbind(_) => "unbind",
            Step::DeleteAccount(_) => "delete account",
            Step::DeletePod { grace_seconds: 0, .. } => "delete pod at once",
            _ => "something else",
        };
        chains.iter().map(|chain| chain.iter().map(name).collect()).collect()
    }

    #[test]
    fn power_ends_before_the_account_and_the_account_before_the_gated_pod() {
        let chains = end_all(&[pod("a", true)], &[account("a")], &[binding("a")]);
        assert_eq!(steps(&chains), [["unbind", "delete account", "delete pod at once"]]);
    }

    #[test]
    fn a_pod_that_runs_goes_on() {
        let chains = end_all(&[pod("a", false)], &[account("a")], &[]);
        assert_eq!(steps(&chains), [["delete account"]]);
    }

    #[test]
    fn each_remainder_is_ended_whatever_else_is_gone() {
        let chains = end_all(&[pod("a", true), pod("d", false)], &[account("b")], &[binding("c")]);
        assert_eq!(steps(&chains), [["delete pod at once"], ["delete account"], ["unbind"]]);
    }

    #[test]
    fn what_is_being_deleted_is_not_deleted_again() {
        let gone = (Account { deleting: true, ..account("a") }, Binding { deleting: true, ..binding("a") });
        assert!(end_all(&[], &[gone.0], &[gone.1]).is_empty());
    }
}
