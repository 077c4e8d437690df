//! What people are told of an instance: its pod and its account, seen together.

use crate::cluster::{Cluster, Selection, describe};
use anyhow::anyhow;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::ResourceExt;
use kube::api::PartialObjectMeta;
use perpro_core::names;
use serde::Serialize;
use std::collections::BTreeMap;

/// One agent pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Instance {
    pub(super) namespace: String,
    pub(super) identity: String,
    pub(super) pod: String,
    pub(super) pod_uid: String,
    /// The account that the pod runs under.
    pub(super) account: String,
    /// Whether that account is there and belongs to this pod: then its tokens count.
    pub(super) power: Power,
    /// Whether the account belongs to the pod, which may still wait at its gate.
    #[serde(skip)]
    pub(super) claimed: bool,
    /// The pod's phase, or what says more.
    pub(super) status: String,
    /// Why a container does not run, in the kubelet's words, of a pod that could.
    pub(super) waiting: Option<String>,
    /// Since when it holds a Secret key or a token that its identity lists no more, as marked on the account.
    pub(super) stale_since: Option<String>,
    pub(super) node: Option<String>,
    pub(super) created: Option<Timestamp>,
    /// As stamped on the account.
    pub(super) owner: Option<String>,
    /// As stamped on the account.
    pub(super) expires_at: Option<String>,
}

/// What an instance can do with its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Power {
    /// The account belongs to the pod: its tokens and its binding count.
    Live,
    /// The pod waits at its gate, until the account belongs to it and is bound.
    Waiting,
    /// The account is gone, or none of ours.
    None,
}

impl Power {
    /// As the column and the JSON say it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Live => "Live",
            Self::Waiting => "Waiting",
            Self::None => "None",
        }
    }
}

/// Instances, and accounts that no pod has.
#[derive(Debug, Default)]
pub(super) struct Instances {
    pub(super) instances: Vec<Instance>,
    /// Names of accounts minted for pods that are not there, with their namespaces.
    pub(super) without_pod: Vec<(String, String)>,
}

impl Instances {
    /// Reads both lists and joins them.
    pub(super) async fn read(cluster: &Cluster, which: &Selection<'_>) -> anyhow::Result<Self> {
        Self::list(cluster, which).await.map_err(|e| anyhow!("can't list instances: {}", describe(&e)))
    }

    /// The same, with the API server's own error.
    pub(super) async fn list(cluster: &Cluster, which: &Selection<'_>) -> kube::Result<Self> {
        let lists = tokio::try_join!(cluster.agent_pods(which), cluster.instance_accounts(which));
        lists.map(|(pods, accounts)| Self::join(&pods, &accounts))
    }

    fn join(pods: &[Pod], accounts: &[PartialObjectMeta<ServiceAccount>]) -> Self {
        let key = |namespace: Option<String>, name: String| (namespace.unwrap_or_default(), name);
        let mut left: BTreeMap<_, _> =
            accounts.iter().map(|a| (key(a.namespace(), a.name_any()), a)).collect();
        let mut instances: Vec<_> = pods
            .iter()
            .map(|pod| {
                let account = pod.spec.as_ref().and_then(|s| s.service_account_name.clone());
                let account = account.unwrap_or_default();
                let stored = left.remove(&key(pod.namespace(), account.clone()));
                instance(pod, account, stored)
            })
            .collect();
        instances
            .sort_by(|a, b| (&a.namespace, &a.identity, &a.pod).cmp(&(&b.namespace, &b.identity, &b.pod)));
        Self { instances, without_pod: left.into_keys().collect() }
    }
}

fn instance(pod: &Pod, account: String, stored: Option<&PartialObjectMeta<ServiceAccount>>) -> Instance {
    let uid = pod.uid().unwrap_or_default();
    let annotation = |key: &str| stored.and_then(|a| a.annotations().get(key)).cloned();
    let claimed_by = annotation(names::CLAIMED_BY_UID);
    let claimed = claimed_by.as_deref() == Some(uid.as_str());
    let power = match stored {
        // The gate goes last, when the account is bound: until then nothing runs that could use it.
        Some(_) if claimed && !is_gated(pod) => Power::Live,
        Some(_) if claimed || claimed_by.is_none() => Power::Waiting,
        _ => Power::None,
    };
    let (status, waiting) = status(pod);
    Instance {
        namespace: pod.namespace().unwrap_or_default(),
        identity: pod.labels().get(names::IDENTITY_LABEL).cloned().unwrap_or_default(),
        pod: pod.name_any(),
        pod_uid: uid,
        account,
        power,
        claimed,
        status,
        waiting,
        stale_since: annotation(names::STALE_SINCE),
        node: pod.spec.as_ref().and_then(|s| s.node_name.clone()),
        created: pod.creation_timestamp().map(|t| t.0),
        owner: annotation(names::OWNER),
        expires_at: annotation(names::EXPIRES_AT),
    }
}

fn is_gated(pod: &Pod) -> bool {
    let gates = pod.spec.iter().flat_map(|s| s.scheduling_gates.iter().flatten());
    gates.into_iter().any(|g| g.name == names::GATE)
}

/// The pod's phase, or what says more, and why a container of it does not run.
fn status(pod: &Pod) -> (String, Option<String>) {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    let plainly = |status: &str| (status.to_owned(), None);
    match phase {
        Some(done @ ("Succeeded" | "Failed")) => plainly(done),
        _ if pod.metadata.deletion_timestamp.is_some() => plainly("Terminating"),
        _ if is_gated(pod) => plainly("Gated"),
        phase => waiting(pod)
            .map_or_else(|| plainly(phase.unwrap_or("Unknown")), |(reason, why)| (reason, Some(why))),
    }
}

/// Of the first container that does not run, and is not merely being made: the reason, and the kubelet's words.
fn waiting(pod: &Pod) -> Option<(String, String)> {
    let status = pod.status.as_ref()?;
    let all = [&status.init_container_statuses, &status.container_statuses].into_iter().flatten().flatten();
    all.filter_map(|c| Some((c, c.state.as_ref()?.waiting.as_ref()?))).find_map(|(container, waiting)| {
        let reason = waiting.reason.clone()?;
        let message = waiting.message.as_ref().map(|m| format!(": {m}")).unwrap_or_default();
        let why = format!("container \"{}\": {reason}{message}", container.name);
        (!["ContainerCreating", "PodInitializing"].contains(&reason.as_str())).then_some((reason, why))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(name: &str, change: Value) -> Pod {
        let mut object = json!({
            "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}"), "labels": {names::IDENTITY_LABEL: "bot"}},
            "spec": {"serviceAccountName": format!("aid-bot-{name}"), "containers": []},
            "status": {"phase": "Running"}
        });
        json_patch::merge(&mut object, &change);
        serde_json::from_value(object).unwrap()
    }

    fn account(pod: &str, annotations: Value) -> PartialObjectMeta<ServiceAccount> {
        let object = json!({"metadata": {"name": format!("aid-bot-{pod}"), "namespace": "ns", "annotations": annotations}});
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_container_that_waits_is_told_with_the_words_of_the_kubelet() {
        let told = |change: Value| {
            let found = Instances::join(&[pod("p", change)], &[]).instances.remove(0);
            (found.status, found.waiting)
        };
        let waits = |name: &str, waiting: Value| {
            json!({"name": name, "image": "i", "imageID": "", "ready": false,
            "restartCount": 0, "state": {"waiting": waiting}})
        };
        let missing =
            json!({"reason": "CreateContainerConfigError", "message": "couldn't find key x in Secret ns/y"});
        let creating = json!({"reason": "ContainerCreating"});
        let statuses = json!([waits("tool", creating.clone()), waits("agent", missing)]);
        let pending = json!({"status": {"phase": "Pending", "containerStatuses": statuses}});
        let words =
            "container \"agent\": CreateContainerConfigError: couldn't find key x in Secret ns/y".to_owned();
        assert_eq!(told(pending.clone()), ("CreateContainerConfigError".to_owned(), Some(words)));
        let creating =
            json!({"status": {"phase": "Pending", "containerStatuses": [waits("tool", creating)]}});
        assert_eq!(told(creating), ("Pending".to_owned(), None));
        let crash = json!({"status": {"initContainerStatuses": [waits("first", json!({"reason": "CrashLoopBackOff"}))]}});
        let words = "container \"first\": CrashLoopBackOff".to_owned();
        assert_eq!(told(crash), ("CrashLoopBackOff".to_owned(), Some(words)));
        let mut ends = pending;
        ends["metadata"] = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        assert_eq!(told(ends), ("Terminating".to_owned(), None));
    }

    #[test]
    fn power_is_live_only_past_the_gate_under_an_account_that_this_pod_claimed() {
        let pods = [
            pod("live", json!({})),
            pod("waits", json!({"spec": {"schedulingGates": [{"name": names::GATE}]}})),
            pod("unbound", json!({"spec": {"schedulingGates": [{"name": names::GATE}]}})),
            pod("forged", json!({})),
            pod("ended", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})),
            pod("done", json!({"status": {"phase": "Succeeded"}})),
        ];
        let accounts = [
            account("live", json!({names::CLAIMED_BY_UID: "uid-live", names::OWNER: "User:jane"})),
            account("waits", json!({})),
            account("unbound", json!({names::CLAIMED_BY_UID: "uid-unbound"})),
            account("forged", json!({names::CLAIMED_BY_UID: "uid-other"})),
            account("nobody", json!({})),
        ];
        let found = Instances::join(&pods, &accounts);
        let told: Vec<_> =
            found.instances.iter().map(|i| (i.pod.as_str(), i.power, i.status.as_str())).collect();
        assert_eq!(
            told,
            [
                ("done", Power::None, "Succeeded"),
                ("ended", Power::None, "Terminating"),
                ("forged", Power::None, "Running"),
                ("live", Power::Live, "Running"),
                ("unbound", Power::Waiting, "Gated"),
                ("waits", Power::Waiting, "Gated"),
            ]
        );
        assert_eq!(found.instances[3].owner.as_deref(), Some("User:jane"));
        assert_eq!(found.without_pod, [("ns".to_owned(), "aid-bot-nobody".to_owned())]);
    }
}
