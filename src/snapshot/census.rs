//! What the watches see, as numbers: brought up to date whenever somebody reads the metrics.

use super::{Instances, Key, Snapshot};
use crate::runtime::metrics::METRICS;
use jiff::Timestamp;
use perpro_core::api::{AgentIdentity, AgentPolicy};
use perpro_core::decide::ceiling::Ceiling;
use perpro_core::model::{Account, Identity, IdentityEnd, PodFacts};
use std::sync::Arc;

/// States of an identity, by what ended it.
const IDENTITY_STATES: [&str; 5] = ["live", "suspended", "expired", "deleting", "unreadable"];
/// States of an agent pod under an account of its own.
const INSTANCE_STATES: [&str; 4] = ["gated", "released", "ending", "finished"];

impl Snapshot {
    /// Counts identities and unclaimed accounts.
    pub(crate) fn census(&self) {
        let now = Timestamp::now();
        let identities = self.identities.state();
        let policies = self.policies();
        let state = |object: &AgentIdentity| identity_state(object, &policies, now);
        let states = identities.iter().map(|i| i.object().map_or("unreadable", state));
        let states: Vec<_> = states.collect();
        for state in IDENTITY_STATES {
            METRICS.identities.set([state], count(&states, state));
        }
        let accounts = self.accounts.all(None);
        let unclaimed = |a: &&Arc<Account>| !a.deleting && a.claim.is_none();
        let unclaimed = accounts.iter().flat_map(|(_, accounts)| accounts).filter(unclaimed);
        let ages: Vec<_> = unclaimed.map(|a| age(a.created, now)).collect();
        METRICS.unclaimed_accounts.set([], ages.len() as f64);
        METRICS.oldest_unclaimed_account.set([], oldest(&ages));
    }
}

impl Instances {
    /// Counts agent pods.
    pub(crate) fn census(&self) {
        let now = Timestamp::now();
        let pods = self.pods.all(None);
        let ours = states(&pods);
        let names: Vec<_> = ours.iter().map(|(_, state)| *state).collect();
        for state in INSTANCE_STATES {
            METRICS.instances.set([state], count(&names, state));
        }
        let gated = ours.iter().filter(|(_, state)| *state == "gated");
        let ages: Vec<_> = gated.map(|(pod, _)| age(pod.created, now)).collect();
        METRICS.oldest_gated_pod.set([], oldest(&ages));
    }
}

fn identity_state(object: &AgentIdentity, policies: &[Arc<AgentPolicy>], now: Timestamp) -> &'static str {
    let Some(identity) = Identity::from_object(object) else { return "unreadable" };
    match Ceiling::of(&identity.namespace, policies.iter().map(AsRef::as_ref)).ended(&identity, now) {
        None => "live",
        Some(IdentityEnd::Suspended) => "suspended",
        Some(IdentityEnd::Expired) => "expired",
        Some(IdentityEnd::Deleted) => "deleting",
    }
}

/// Those of these pods that are instances, and where they are on their way.
fn states(pods: &[(Key, Vec<Arc<PodFacts>>)]) -> Vec<(&PodFacts, &'static str)> {
    let all = pods.iter().flat_map(|(key, pods)| pods.iter().map(move |pod| (key, pod)));
    all.filter_map(|(key, pod)| Some((pod.as_ref(), instance_state(key, pod)?))).collect()
}

/// `None` for a pod that wears the label and runs under an account that perpro did not mint.
fn instance_state(key: &Key, pod: &PodFacts) -> Option<&'static str> {
    pod.is_instance_of(&key.identity).then_some(match (pod.finished, pod.deletion.is_some(), pod.gated) {
        (true, _, _) => "finished",
        (_, true, _) => "ending",
        (_, _, true) => "gated",
        _ => "released",
    })
}

/// How many of these pods are instances that neither finished nor were told to end, and how many of them wait at their
/// gate.
pub(super) fn live(pods: &[(Key, Vec<Arc<PodFacts>>)]) -> (usize, usize) {
    let states = states(pods);
    let count = |state: &str| states.iter().filter(|(_, s)| *s == state).count();
    (count("gated") + count("released"), count("gated"))
}

/// Whether a live pod wears the label of an identity and runs under another account than one of ours.
pub(super) fn has_no_account(key: &Key, pod: &PodFacts) -> bool {
    !pod.is_instance_of(&key.identity) && !pod.finished
}

fn count(states: &[&str], state: &str) -> f64 {
    states.iter().filter(|s| **s == state).count() as f64
}

/// Age in seconds; never negative, whatever the two clocks say.
fn age(created: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(created).as_secs_f64().max(0.0)
}

fn oldest(ages: &[f64]) -> f64 {
    ages.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::convert;
    use perpro_core::names;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn pod(change: impl FnOnce(&mut Value)) -> (Key, PodFacts) {
        let mut pod = json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u", "creationTimestamp": "2026-01-01T00:00:10Z",
                "labels": {names::IDENTITY_LABEL: "bot"}},
            "spec": {"containers": [], "serviceAccountName": "aid-bot-0123456789"}, "status": {"phase": "Running"}
        });
        change(&mut pod);
        convert::labelled_pod(&serde_json::from_value(pod).unwrap()).unwrap()
    }

    #[rstest]
    #[case::running(|_: &mut Value| (), Some("released"))]
    #[case::at_its_gate(|p: &mut Value| p["spec"]["schedulingGates"] = json!([{"name": names::GATE}]), Some("gated"))]
    #[case::at_the_gate_of_others(|p: &mut Value| p["spec"]["schedulingGates"] = json!([{"name": "a.b/c"}]), Some("released"))]
    #[case::deleted(|p: &mut Value| p["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"), Some("ending"))]
    #[case::done(|p: &mut Value| p["status"]["phase"] = json!("Failed"), Some("finished"))]
    #[case::older_than_perpro(|p: &mut Value| p["spec"]["serviceAccountName"] = json!("default"), None)]
    fn a_pod_counts_by_where_it_is_on_its_way(
        #[case] change: impl FnOnce(&mut Value),
        #[case] expected: Option<&str>,
    ) {
        let (key, pod) = pod(change);
        assert_eq!(instance_state(&key, &pod), expected);
        assert_eq!(has_no_account(&key, &pod), expected.is_none());
    }

    #[test]
    fn a_pod_that_ends_is_none_of_those_that_live() {
        let gate = |p: &mut Value| p["spec"]["schedulingGates"] = json!([{"name": names::GATE}]);
        let ending = |p: &mut Value| p["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let pods = [pod(|_| ()), pod(gate), pod(ending), pod(|p| p["status"]["phase"] = json!("Failed"))];
        let pods = pods.into_iter().map(|(key, pod)| (key, vec![Arc::new(pod)]));
        assert_eq!(live(&pods.collect::<Vec<_>>()), (2, 1));
    }

    #[test]
    fn every_state_is_one_that_is_exported() {
        for (key, pod) in [pod(|_| ()), pod(|p| p["status"]["phase"] = json!("Succeeded"))] {
            assert!(INSTANCE_STATES.contains(&instance_state(&key, &pod).unwrap()));
        }
        let unstored = AgentIdentity::new("bot", serde_json::from_value(json!({
            "owner": {"kind": "User", "name": "jane"}, "expiresAt": "2036-01-01T00:00:00Z", "justification": "Reads feedback"
        })).unwrap());
        assert!(IDENTITY_STATES.contains(&identity_state(&unstored, &[], Timestamp::now())));
    }

    #[test]
    fn nothing_waits_when_there_is_none_and_clocks_may_differ() {
        assert_eq!(oldest(&[]), 0.0);
        assert_eq!(oldest(&[3.0, 8.0]), 8.0);
        let (_, pod) = pod(|_| ());
        assert_eq!(age(pod.created, "2026-01-01T00:00:12Z".parse().unwrap()), 2.0);
        assert_eq!(age(pod.created, "2026-01-01T00:00:00Z".parse().unwrap()), 0.0);
    }
}
