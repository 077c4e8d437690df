//! What the watches see, as numbers: brought up to date whenever somebody reads the metrics.

use super::{Instances, Snapshot, convert};
use crate::runtime::metrics::METRICS;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Resource, ResourceExt};
use perpro_core::api::{AgentIdentity, AgentPolicy};
use perpro_core::decide::ceiling::Ceiling;
use perpro_core::model::{Identity, IdentityEnd};
use perpro_core::names;
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
        let accounts = self.accounts.state();
        let unclaimed = accounts.iter().filter(|a| {
            a.labels().get(names::MANAGED_BY).is_some_and(|m| m == names::MANAGER)
                && a.metadata.deletion_timestamp.is_none()
                && !a.annotations().contains_key(names::CLAIMED_BY_UID)
        });
        let ages: Vec<_> = unclaimed.filter_map(|a| age(a.as_ref(), now)).collect();
        METRICS.unclaimed_accounts.set([], ages.len() as f64);
        METRICS.oldest_unclaimed_account.set([], oldest(&ages));
    }
}

impl Instances {
    /// Counts agent pods.
    pub(crate) fn census(&self) {
        let now = Timestamp::now();
        let pods = self.pods.state();
        let ours: Vec<_> = pods.iter().filter_map(|p| Some((p, instance_state(p)?))).collect();
        let states: Vec<_> = ours.iter().map(|(_, state)| *state).collect();
        for state in INSTANCE_STATES {
            METRICS.instances.set([state], count(&states, state));
        }
        let gated = ours.iter().filter(|(_, state)| *state == "gated");
        let ages: Vec<_> = gated.filter_map(|(p, _)| age(p.as_ref(), now)).collect();
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

/// `None` for a pod that wears the label and runs under an account that perpro did not mint.
pub(super) fn instance_state(pod: &Pod) -> Option<&'static str> {
    let identity = pod.labels().get(names::IDENTITY_LABEL)?;
    let facts = convert::pod_facts(pod).filter(|p| p.is_instance_of(identity))?;
    Some(match (facts.finished, facts.deletion.is_some(), facts.gated) {
        (true, _, _) => "finished",
        (_, true, _) => "ending",
        (_, _, true) => "gated",
        _ => "released",
    })
}

/// How many of these pods are instances that neither finished nor were told to end, and how many of them wait at their
/// gate.
pub(super) fn live<'a>(pods: impl Iterator<Item = &'a Pod>) -> (usize, usize) {
    let states: Vec<_> = pods.filter_map(instance_state).collect();
    let count = |state: &str| states.iter().filter(|s| **s == state).count();
    (count("gated") + count("released"), count("gated"))
}

/// Whether a live pod wears the label of an identity and runs under another account than one of ours.
pub(super) fn has_no_account(pod: &Pod) -> bool {
    instance_state(pod).is_none() && convert::pod_facts(pod).is_some_and(|p| !p.finished)
}

fn count(states: &[&str], state: &str) -> f64 {
    states.iter().filter(|s| **s == state).count() as f64
}

/// Age in seconds; never negative, whatever the two clocks say.
fn age(object: &impl Resource, now: Timestamp) -> Option<f64> {
    let created = object.meta().creation_timestamp.as_ref()?.0;
    Some(now.duration_since(created).as_secs_f64().max(0.0))
}

fn oldest(ages: &[f64]) -> f64 {
    ages.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn pod(change: impl FnOnce(&mut Value)) -> Pod {
        let mut pod = json!({
            "metadata": {"name": "p", "uid": "u", "labels": {names::IDENTITY_LABEL: "bot"}},
            "spec": {"containers": [], "serviceAccountName": "aid-bot-0123456789"}, "status": {"phase": "Running"}
        });
        change(&mut pod);
        serde_json::from_value(pod).unwrap()
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
        let pod = pod(change);
        assert_eq!(instance_state(&pod), expected);
        assert_eq!(has_no_account(&pod), expected.is_none());
    }

    #[test]
    fn a_pod_that_ends_is_none_of_those_that_live() {
        let gate = |p: &mut Value| p["spec"]["schedulingGates"] = json!([{"name": names::GATE}]);
        let ending = |p: &mut Value| p["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let pods = [pod(|_| ()), pod(gate), pod(ending), pod(|p| p["status"]["phase"] = json!("Failed"))];
        assert_eq!(live(pods.iter()), (2, 1));
    }

    #[test]
    fn every_state_is_one_that_is_exported() {
        for state in [pod(|_| ()), pod(|p| p["status"]["phase"] = json!("Succeeded"))]
            .iter()
            .filter_map(instance_state)
        {
            assert!(INSTANCE_STATES.contains(&state));
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
        let mut pod = pod(|_| ());
        pod.metadata.creation_timestamp = serde_json::from_value(json!("2026-01-01T00:00:10Z")).unwrap();
        assert_eq!(age(&pod, "2026-01-01T00:00:12Z".parse().unwrap()), Some(2.0));
        assert_eq!(age(&pod, "2026-01-01T00:00:00Z".parse().unwrap()), Some(0.0));
    }
}
