//! What `perpro status` sees of an installation.

use super::super::instance::{Instances, Power};
use super::admission::Admission;
use crate::cluster::{Cluster, LeaseRecord, Selection, describe};
use anyhow::anyhow;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::ResourceExt;
use perpro_core::decide::check::Governance;
use perpro_core::names;
use serde::Serialize;
use std::collections::BTreeMap;
use x509_parser::pem::parse_x509_pem;

/// Namespaces whose pods are read at once.
const AT_ONCE: usize = 8;

/// Something that this person may not be allowed to read; then, why.
pub(super) type Readable<T> = Result<T, String>;

/// Everything that the report speaks of.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) release: String,
    pub(super) kubernetes: String,
    pub(super) webhook: Readable<Option<Replicas>>,
    pub(super) controller: Readable<Option<Replicas>>,
    pub(super) leader: Readable<Option<LeaseRecord>>,
    /// When the webhook's certificate ends; `None` when it has none.
    pub(super) certificate_ends: Readable<Option<Timestamp>>,
    /// Webhook configurations and policies.
    pub(super) admission: Readable<Admission>,
    pub(super) namespaces: Readable<Namespaces>,
    pub(super) instances: Readable<Counts>,
}

/// Replicas of a Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replicas {
    /// Its name, from which the chart makes other names.
    pub(super) name: String,
    pub(super) wanted: i32,
    pub(super) ready: i32,
    /// Of the chart's label `app.kubernetes.io/version`.
    pub(super) version: String,
}

/// Governed namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Namespaces {
    pub(super) all: Vec<String>,
    pub(super) agents: Vec<String>,
    /// Those that warn of more than they enforce.
    pub(super) warned: Vec<String>,
    /// Those that have more audited than they enforce.
    pub(super) audited: Vec<String>,
    /// Those with a label whose value says nothing, the label, and the value.
    #[serde(skip)]
    pub(super) mistyped: Vec<(String, &'static str, String)>,
    /// Pods there that would need an identity today and have no account of ours.
    pub(super) older_pods: usize,
}

/// Instances in all namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub(super) live: usize,
    pub(super) gated: usize,
    /// Accounts whose pod is not there.
    pub(super) unclaimed: usize,
}

impl Seen {
    /// Reads it.
    ///
    /// # Errors
    /// When the API server does not answer at all.
    pub(super) async fn read(cluster: &Cluster, release: &str) -> anyhow::Result<Self> {
        let kubernetes = cluster.kubernetes_version().await;
        let kubernetes =
            kubernetes.map_err(|e| anyhow!("the API server does not answer: {}", describe(&e)))?;
        let deployments = readable(cluster.deployments(release).await);
        let component = |name| deployments.as_ref().map(|d| replicas(d, name)).map_err(Clone::clone);
        let [webhook, controller] = ["webhook", "controller"].map(component);
        let name = |found: &Readable<Option<Replicas>>, usual: &str| match found {
            Ok(Some(found)) => found.name.clone(),
            _ => usual.to_owned(),
        };
        let tls = format!("{}-tls", name(&webhook, "perpro-webhook"));
        let tls = readable(cluster.certificate_secret(release, &tls).await);
        let lease = name(&controller, "perpro-controller");
        let certificate = |secret: k8s_openapi::api::core::v1::Secret| {
            let pem = secret.data?.remove("tls.crt")?;
            ends(&pem.0)
        };
        Ok(Self {
            release: release.to_owned(),
            kubernetes,
            webhook,
            controller,
            leader: readable(cluster.lease(release, &lease).await),
            certificate_ends: tls.map(|secret| secret.and_then(certificate)),
            admission: readable(cluster.admission_objects().await).map(|objects| Admission::of(&objects)),
            namespaces: namespaces(cluster).await,
            instances: instances(cluster).await,
        })
    }

    /// Whether anything of the chart is there; `None` where nobody knows. An installation in another namespace has the
    /// same admission objects.
    pub(super) fn installed(&self) -> Option<bool> {
        let (webhook, controller) = (self.webhook.as_ref().ok()?, self.controller.as_ref().ok()?);
        let admission = self.admission.as_ref().ok()?;
        Some(webhook.is_some() || controller.is_some() || *admission != Admission::default())
    }
}

fn readable<T>(result: kube::Result<T>) -> Readable<T> {
    result.map_err(|e| describe(&e))
}

fn replicas(deployments: &[Deployment], component: &str) -> Option<Replicas> {
    let label = |d: &Deployment, key: &str| d.labels().get(key).cloned().unwrap_or_default();
    let found = deployments.iter().find(|d| label(d, "app.kubernetes.io/component") == component)?;
    Some(Replicas {
        name: found.name_any(),
        // The API server's default.
        wanted: found.spec.replicas.unwrap_or(1),
        ready: found.status.as_ref().and_then(|s| s.ready_replicas).unwrap_or(0),
        version: label(found, "app.kubernetes.io/version"),
    })
}

fn ends(pem: &[u8]) -> Option<Timestamp> {
    let (_, pem) = parse_x509_pem(pem).ok()?;
    let certificate = pem.parse_x509().ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

async fn namespaces(cluster: &Cluster) -> Readable<Namespaces> {
    let mut found = Namespaces::of(&readable(cluster.labelled_namespaces().await)?);
    let governed = found.all.iter().map(|n| (n, true)).chain(found.agents.iter().map(|n| (n, false)));
    let counted: Vec<_> = stream::iter(governed.collect::<Vec<_>>())
        .map(async |(name, all)| {
            let pods = readable(cluster.pods(name).await)?;
            Ok::<_, String>(pods.iter().filter(|pod| is_older(pod, all)).count())
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    found.older_pods = counted.into_iter().sum::<Readable<usize>>()?;
    Ok(found)
}

impl Namespaces {
    /// Sorts them by their labels.
    fn of(labelled: &BTreeMap<String, Namespace>) -> Self {
        let mut found = Self::default();
        for (name, namespace) in labelled {
            let [enforce, warn, audit] =
                [names::ENFORCE_LABEL, names::WARN_LABEL, names::AUDIT_LABEL].map(|label| {
                    let value = namespace.labels().get(label);
                    let says = Governance::of(value.map(String::as_str));
                    if let Some(value) = value.filter(|_| says == Governance::Nobody) {
                        found.mistyped.push((name.clone(), label, value.clone()));
                    }
                    says
                });
            match enforce {
                Governance::All => found.all.push(name.clone()),
                Governance::Agents => found.agents.push(name.clone()),
                Governance::Nobody => {}
            }
            if rank(warn) > rank(enforce) {
                found.warned.push(name.clone());
            }
            if rank(audit) > rank(enforce) {
                found.audited.push(name.clone());
            }
        }
        found
    }
}

fn rank(governance: Governance) -> u8 {
    match governance {
        Governance::Nobody => 0,
        Governance::Agents => 1,
        Governance::All => 2,
    }
}

/// Whether a pod would need an identity if it were created today, and runs without an account of ours.
fn is_older(pod: &Pod, all: bool) -> bool {
    let identity = pod.labels().get(names::IDENTITY_LABEL);
    let agent = pod.labels().get(names::AGENT_LABEL).is_some_and(|v| v == "true");
    let account = pod.spec.as_ref().and_then(|s| s.service_account_name.as_deref()).unwrap_or_default();
    let instance = identity.is_some_and(|identity| names::is_account_of(account, identity));
    let finished =
        matches!(pod.status.as_ref().and_then(|s| s.phase.as_deref()), Some("Succeeded" | "Failed"));
    // A static pod is its node's, and never refused.
    let mirror = pod.annotations().contains_key(names::MIRROR_POD);
    (all || identity.is_some() || agent) && !instance && !finished && !mirror
}

async fn instances(cluster: &Cluster) -> Readable<Counts> {
    let found = Instances::read(cluster, &Selection::default()).await.map_err(|e| format!("{e:#}"))?;
    Ok(Counts {
        live: found.instances.iter().filter(|i| i.power == Power::Live).count(),
        gated: found.instances.iter().filter(|i| i.status == "Gated").count(),
        unclaimed: found.without_pod.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn pod(change: Value) -> Pod {
        let mut object =
            json!({"metadata": {"name": "p"}, "spec": {"containers": [], "serviceAccountName": "default"}});
        json_patch::merge(&mut object, &change);
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_namespace_counts_by_what_it_enforces_and_by_what_it_tells_beyond_that() {
        let labels = [
            (
                "enforced",
                json!({"perpro.dev/enforce": "all", "perpro.dev/warn": "all", "perpro.dev/audit": "agents"}),
            ),
            (
                "half",
                json!({"perpro.dev/enforce": "agents", "perpro.dev/warn": "all", "perpro.dev/audit": "agents"}),
            ),
            ("watched", json!({"perpro.dev/audit": "agents"})),
            ("typo", json!({"perpro.dev/warn": "al"})),
        ];
        let labelled = labels.map(|(name, labels)| {
            let namespace = json!({"metadata": {"name": name, "labels": labels}});
            (name.to_owned(), serde_json::from_value(namespace).unwrap())
        });
        let found = Namespaces::of(&labelled.into());
        let Namespaces { all, agents, warned, audited, mistyped, .. } = found;
        assert_eq!((all, agents), (vec!["enforced".to_owned()], vec!["half".to_owned()]));
        assert_eq!((warned, audited), (vec!["half".to_owned()], vec!["watched".to_owned()]));
        assert_eq!(mistyped, [("typo".to_owned(), names::WARN_LABEL, "al".to_owned())]);
    }

    #[rstest]
    #[case::plain(json!({}), true, false)]
    #[case::declared(json!({"metadata": {"labels": {"perpro.dev/agent": "true"}}}), true, true)]
    #[case::labelled(json!({"metadata": {"labels": {"perpro.dev/identity": "bot"}}}), true, true)]
    #[case::an_instance(json!({"metadata": {"labels": {"perpro.dev/identity": "bot"}}, "spec": {"serviceAccountName": "aid-bot-0123456789"}}), false, false)]
    #[case::finished(json!({"status": {"phase": "Succeeded"}}), false, false)]
    #[case::a_static_pod(json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}}), false, false)]
    fn a_pod_is_older_than_the_label_if_it_would_need_an_identity_today(
        #[case] change: Value,
        #[case] in_all: bool,
        #[case] in_agents: bool,
    ) {
        let pod = pod(change);
        assert_eq!((is_older(&pod, true), is_older(&pod, false)), (in_all, in_agents));
    }
}
