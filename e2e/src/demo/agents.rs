//! Step 1: two agents come up, and each pod has an account of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::Stage;
use super::story::Story;
use crate::cluster::Cluster;
use crate::command::{TAIL, output, tail};
use crate::install::kubectl;

/// One agent of the examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agent {
    /// Its namespace.
    pub(crate) namespace: &'static str,
    /// Name of its AgentIdentity, its Deployment and its program.
    pub(crate) name: &'static str,
    /// Its pods.
    pub(crate) replicas: usize,
    /// The one ConfigMap that it may read.
    pub(crate) config_map: &'static str,
}

/// Reads what customers say, with a tool beside it.
pub(crate) const READER: Agent =
    Agent { namespace: "support", name: "feedback-reader", replicas: 3, config_map: "feedback" };

/// Looks for invoices that are overdue.
pub(crate) const BOT: Agent =
    Agent { namespace: "billing", name: "invoice-bot", replicas: 1, config_map: "invoices" };

/// A pod of an agent, and its account.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) agent: Agent,
    pub(crate) pod: String,
    pub(crate) uid: String,
    pub(crate) account: String,
}

/// Waits until an agent's pods are those that its Deployment asks for.
pub(crate) async fn roll_out(cluster: &Cluster, agent: Agent, limit: Duration) -> Result<()> {
    let deployment = format!("deployment/{}", agent.name);
    let mut wait = kubectl(cluster);
    wait.args(["rollout", "status", &deployment, "--namespace", agent.namespace]);
    wait.arg(format!("--timeout={}s", limit.as_secs()));
    let Err(error) = output(&mut wait).await else { return Ok(()) };
    let mut events = kubectl(cluster);
    events.args(["get", "events", "--namespace", agent.namespace, "--sort-by=.lastTimestamp"]);
    let events = output(&mut events).await.unwrap_or_else(|error| format!("{error:#}"));
    Err(error.context(format!("the pods of {} do not run:\n{}", agent.name, tail(&events, TAIL))))
}

/// Tells step 1.
pub(crate) async fn come_up(stage: &Stage<'_>, story: &mut Story) -> Result<Vec<Instance>> {
    let mut instances = Vec::new();
    let mut owners = Vec::new();
    for agent in [READER, BOT] {
        let (found, owner) =
            found(stage, agent).await.with_context(|| format!("the pods of {}", agent.name))?;
        instances.extend(found);
        owners.push(owner);
    }
    let accounts: BTreeSet<_> = instances.iter().map(|instance| &instance.account).collect();
    ensure!(accounts.len() == instances.len(), "pods share an account: {instances:?}");

    let counts = [READER, BOT].map(|agent| format!("{}/{} x{}", agent.namespace, agent.name, agent.replicas));
    story.step("Two agents come up", &counts.join(", "));
    let pinned = |one: &Instance| format!("{:<30}  pinned to pod UID {:.8}...", one.account, one.uid);
    let lines: Vec<_> = instances.iter().map(pinned).collect();
    story.and("four pods, four accounts", &lines.join("\n"));
    story.and("that say whose they are", &owners.join("\n"));
    Ok(instances)
}

/// The live pods of an agent, each with an account that belongs to nobody else, and what the accounts say of the
/// agent's owner.
async fn found(stage: &Stage<'_>, agent: Agent) -> Result<(Vec<Instance>, String)> {
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), agent.namespace);
    let of_agent = ListParams::default().labels(&format!("perpro.dev/identity={}", agent.name));
    let listed = pods.list(&of_agent).await?;
    let live = listed.items.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let (mut instances, mut owners) = (Vec::new(), BTreeSet::new());
    for pod in live {
        let (instance, owner) = with_account(stage, agent, &pod).await?;
        instances.push(instance);
        owners.insert(owner);
    }
    ensure!(instances.len() == agent.replicas, "{} pods, not {}", instances.len(), agent.replicas);
    ensure!(owners.len() == 1, "their accounts name different owners: {owners:?}");
    Ok((instances, owners.into_iter().collect()))
}

async fn with_account(stage: &Stage<'_>, agent: Agent, pod: &Pod) -> Result<(Instance, String)> {
    let name = pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
    let name = name.with_context(|| format!("pod {} has no account", pod.name_any()))?;
    ensure!(name.starts_with(&format!("aid-{}-", agent.name)), "pod {} runs as {name}", pod.name_any());
    let accounts: Api<ServiceAccount> = Api::namespaced(stage.client.clone(), agent.namespace);
    let account = accounts.get(&name).await?;
    let uid = pod.uid().context("a pod has a UID")?;
    let owned = account.owner_references().iter().any(|owner| owner.kind == "Pod" && owner.uid == uid);
    let says = |what| account.annotations().get(what).map(String::as_str);
    ensure!(
        owned && says("perpro.dev/pod-uid") == Some(&uid),
        "account {name} is not that of pod {} ({uid}): {:?}",
        pod.name_any(),
        account.metadata
    );
    let owner = says("perpro.dev/owner").context("an account names its owner")?;
    let until = says("perpro.dev/expires-at").context("an account says when it ends")?;
    let owner = format!("{:<17}{owner}, until {until}", agent.name);
    Ok((Instance { agent, pod: pod.name_any(), uid, account: name }, owner))
}
