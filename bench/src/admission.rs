//! `admission`: how long the creation of a pod takes through an API server, with perpro and with what people have
//! anyway: three admission policies.
//!
//! Two API servers, one of which never heard of perpro, are asked by turns.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{self, ApiServer};
use crate::objects::{self, SIZES};
use crate::report::{Finding, Limit, Report, median};
use perpro_e2e::cache::Cache;
use perpro_e2e::wait::Probe;
use perpro_e2e::{install, progress, wait};

/// What the policies of careful people look like.
const POLICIES: &str = include_str!("policies.yaml");

/// Multiple of what the policies cost, of a pod that is no agent, where agents are governed.
const OTHERS: Limit = Limit::AtMost(1.15);
/// The same of an agent.
const AGENTS: Limit = Limit::AtMost(2.5);

/// Namespaces. `free`, on both API servers, asks nothing of a pod.
const FREE: &str = "free";
const CAREFUL: &str = "careful";
const GOVERNED: &str = "governed";

/// Pods of one kind in a round, whose median counts.
const IN_A_ROUND: usize = 20;

/// Runs the benchmark.
///
/// # Errors
/// When something does not work.
pub(super) async fn run(cache: &Cache, smoke: bool) -> Result<Report> {
    let (without, with) = (crate::cluster(cache, "without")?, crate::cluster(cache, "with")?);
    let findings = crate::on_clusters(&[&without, &with], async {
        install::into_ours(cache, &with).await?;
        let without = ApiServer { client: without.client().await? };
        let with = ApiServer { client: with.client().await? };
        let servers = Servers { without, with };
        progress::step("create policies and identities", servers.populate()).await?;
        servers.measure(if smoke { 1 } else { 10 }).await
    })
    .await?;
    Ok(Report { bench: "admission", smoke, findings })
}

struct Servers {
    without: ApiServer,
    with: ApiServer,
}

/// Where pods are created.
#[derive(Clone, Copy)]
struct Place<'a> {
    api: &'a ApiServer,
    namespace: &'static str,
}

impl Servers {
    async fn populate(&self) -> Result<()> {
        self.without.namespace(FREE, "").await?;
        self.without.namespace(CAREFUL, "").await?;
        install_policies(&self.without, CAREFUL).await?;
        self.with.namespace(FREE, "").await?;
        self.with.namespace(GOVERNED, "agents").await?;
        self.with.create("/apis/perpro.dev/v1alpha1/agentpolicies", &objects::policy()).await?;
        self.with.create(&api::identities(GOVERNED), &objects::identity(objects::IDENTITY)).await?;
        // Until then the policy that keeps other pods off agents' Secrets has nothing to compare.
        let governed = format!("/apis/perpro.dev/v1alpha1/namespaces/{GOVERNED}/governednamespaces/perpro");
        wait::until("the Secrets of the identity should be claimed", crate::SOON, async || {
            match self.with.get(&governed).await {
                Ok(object) if object["spec"]["claimedSecrets"].as_object().is_some_and(|s| !s.is_empty()) => {
                    wait::ready(())
                }
                other => wait::not_yet(format!("{other:?}")),
            }
        })
        .await?;
        // Also the account by which the API server itself admits pods is made by a controller.
        for place in self.places() {
            wait::until("a pod should be admitted", crate::SOON, async || {
                let pod = objects::pod("probe");
                match place.api.create(&format!("{}?dryRun=All", api::pods(place.namespace)), &pod).await {
                    Ok(_) => wait::ready(()),
                    Err(error) => wait::not_yet(format!("{error:#}")),
                }
            })
            .await?;
        }
        Ok(())
    }

    fn places(&self) -> [Place<'_>; 4] {
        let (without, with) = (&self.without, &self.with);
        [
            Place { api: without, namespace: FREE },
            Place { api: without, namespace: CAREFUL },
            Place { api: with, namespace: FREE },
            Place { api: with, namespace: GOVERNED },
        ]
    }

    async fn measure(&self, rounds: usize) -> Result<Vec<Finding>> {
        let before = webhook_calls(&self.with).await?;
        let mut others = Vec::new();
        for _ in 0..rounds {
            others.push(self.others().await?);
        }
        let calls = webhook_calls(&self.with).await? - before;
        let mut agents = Vec::new();
        for nth in 0..rounds {
            agents.push(self.agents(nth).await?);
        }
        let calls_of_agents = webhook_calls(&self.with).await? - before - calls;
        let pair = |ours: usize, floor: usize| -> Vec<(f64, f64)> {
            others.iter().map(|round| (round[ours], round[floor])).collect()
        };
        let made = (rounds * IN_A_ROUND) as f64;
        Ok(vec![
            Finding::ratio("no agent, governed / three policies", "ms", &pair(3, 1), OTHERS),
            Finding::ratio("no agent, not governed / nothing", "ms", &pair(2, 0), Limit::None),
            Finding::ratio("three policies / nothing", "ms", &pair(1, 0), Limit::None),
            Finding::ratio("agent / three policies, stored", "ms", &agents, AGENTS),
            Finding::value("webhook calls for pods of no agent", "calls", vec![calls], Limit::AtMost(0.0)),
            // What shows that calls are counted at all.
            Finding::value(
                "webhook calls for an agent",
                "calls",
                vec![calls_of_agents / made],
                Limit::AtLeast(2.0),
            ),
        ])
    }

    /// Median milliseconds at each place, of pods that are no agents and are not stored.
    async fn others(&self) -> Result<[f64; 4]> {
        let places = self.places();
        let mut times: [Vec<Duration>; 4] = Default::default();
        let pod = objects::pod("pod");
        for turn in 0..IN_A_ROUND {
            // Nobody is always the one who comes after somebody else.
            for nth in (0..places.len()).map(|nth| (nth + turn) % places.len()) {
                let Place { api, namespace } = places[nth];
                times[nth]
                    .push(api.timed_create(&format!("{}?dryRun=All", api::pods(namespace)), &pod).await?);
            }
        }
        Ok(times.map(median))
    }

    /// Median milliseconds of an agent, and of the same pod under three policies. They are stored, as an account is
    /// only made for a pod that will be.
    async fn agents(&self, round: usize) -> Result<(f64, f64)> {
        let (mut ours, mut floor) = (Vec::new(), Vec::new());
        let (agents, pods) = (api::pods(GOVERNED), api::pods(CAREFUL));
        for nth in 0..IN_A_ROUND {
            let name = format!("pod-{round}-{nth}");
            // What controllers and schedulers do about a pod is not part of the next one's admission.
            floor.push(self.without.timed_create(&pods, &objects::pod(&name)).await?);
            looked_at(&self.without, &format!("{pods}/{name}")).await?;
            let agent = objects::agent(&name, objects::IDENTITY, SIZES[0]);
            ours.push(self.with.timed_create(&agents, &agent).await?);
            looked_at(&self.with, &format!("{agents}/{name}")).await?;
        }
        self.without.delete(&pods).await?;
        self.with.delete(&agents).await?;
        self.with.until_none(&crate::accounts(GOVERNED)).await?;
        Ok((median(ours), median(floor)))
    }
}

/// Waits until a pod has lost its gate, if it had one, and the scheduler has found no node for it: there is none.
async fn looked_at(api: &ApiServer, pod: &str) -> Result<()> {
    wait::until("the scheduler should look at the pod", crate::SOON, async || match api.get(pod).await {
        Ok(pod) if is_unschedulable(&pod) => wait::ready(()),
        Ok(pod) => wait::not_yet(pod["status"].to_string()),
        Err(error) => Probe::Break(Err(error)),
    })
    .await
}

fn is_unschedulable(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions
        .is_some_and(|c| c.iter().any(|c| c["type"] == "PodScheduled" && c["reason"] == "Unschedulable"))
}

/// Creates the policies, binds them in one namespace, and waits until each refuses.
async fn install_policies(api: &ApiServer, namespace: &str) -> Result<()> {
    const PATH: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
    let mut names = Vec::new();
    for document in serde_yaml::Deserializer::from_str(POLICIES) {
        let policy = Value::deserialize(document)?;
        let name = policy["metadata"]["name"].as_str().context("a policy without name")?.to_owned();
        api.create(PATH, &policy).await?;
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
            },
        });
        api.create("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings", &binding)
            .await?;
        names.push(name);
    }
    ensure!(names.len() == 3, "there are {} policies", names.len());
    let broken = |change: fn(&mut Value)| {
        let mut pod = objects::pod("probe");
        change(&mut pod);
        pod
    };
    for pod in [
        broken(|pod| pod["metadata"]["labels"] = json!({})),
        broken(|pod| pod["spec"]["containers"][0]["image"] = json!("ghcr.io/acme/agent:latest")),
        broken(|pod| pod["spec"]["containers"][0]["resources"] = json!({})),
    ] {
        api.refuses(namespace, &pod).await?;
    }
    Ok(())
}

/// How often the API server called a webhook of perpro, as it counts itself.
async fn webhook_calls(api: &ApiServer) -> Result<f64> {
    let metrics = api.text("/metrics").await?;
    Ok(parse_webhook_calls(&metrics))
}

fn parse_webhook_calls(metrics: &str) -> f64 {
    let calls = metrics.lines().filter(|line| {
        line.starts_with("apiserver_admission_webhook_request_total{") && line.contains(".perpro.dev\"")
    });
    calls.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_of_our_webhooks_are_counted() {
        let metrics = "# TYPE apiserver_admission_webhook_request_total counter\n\
            apiserver_admission_webhook_request_total{code=\"200\",name=\"all.pods.perpro.dev\",type=\"admit\"} 3\n\
            apiserver_admission_webhook_request_total{code=\"200\",name=\"all.pods.perpro.dev\",type=\"validating\"} 2\n\
            apiserver_admission_webhook_request_total{code=\"200\",name=\"x.example.com\",type=\"admit\"} 7\n\
            apiserver_admission_webhook_rejection_count{name=\"all.pods.perpro.dev\"} 9\n";
        assert_eq!(parse_webhook_calls(metrics), 5.0);
        assert_eq!(parse_webhook_calls(""), 0.0);
    }
}
