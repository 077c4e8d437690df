//! One pass over one identity: observe, plan, apply.

use crate::cluster::Cluster;
use crate::snapshot::{Instances, Key, Snapshot, pod_facts};
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::ResourceExt;
use perpro_core::api::AgentPolicy;
use perpro_core::decide::admit::{self, Context};
use perpro_core::decide::ceiling::Ceiling;
use perpro_core::decide::lifecycle::{self, Chain, Observed, Plan, Step};
use perpro_core::decide::pod::AgentPod;
use perpro_core::decide::refusal::{Refusal, summary};
use perpro_core::decide::status;
use perpro_core::model::{Account, Binding, Identity, PodFacts};
use perpro_core::names;
use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Chains of one pass that are applied at once.
const CHAINS: usize = 16;
/// When a gated pod that was refused is looked at again: its pod or identity may change.
const REFUSED_AGAIN: SignedDuration = SignedDuration::from_secs(30);

/// Everything a pass needs.
pub(super) struct Controller {
    cluster: Cluster,
    snapshot: Snapshot,
    instances: Instances,
    told: Mutex<Told>,
}

/// What was said about refused pods, by UID. It may forget: then something is said twice.
#[derive(Default)]
struct Told(HashMap<String, String>);

impl Told {
    const MOST: usize = 1000;

    fn is_news(&mut self, pod_uid: &str, text: &str) -> bool {
        if self.0.len() >= Self::MOST {
            self.0.clear();
        }
        self.0.insert(pod_uid.to_owned(), text.to_owned()).is_none_or(|before| before != text)
    }
}

/// What a pass saw, owned.
struct World {
    governed: bool,
    identity: Option<Identity>,
    siblings: Vec<Identity>,
    policies: Vec<Arc<AgentPolicy>>,
    pods: Vec<PodFacts>,
    accounts: Vec<Account>,
    bindings: Vec<Binding>,
    now: Timestamp,
}

impl Controller {
    pub(super) fn new(cluster: Cluster, snapshot: Snapshot, instances: Instances) -> Self {
        Self { cluster, snapshot, instances, told: Mutex::default() }
    }

    /// Every identity that is there or has left something behind.
    pub(super) fn keys(&self) -> BTreeSet<Key> {
        self.snapshot.keys().into_iter().chain(self.instances.keys()).collect()
    }

    /// Brings the instances of one identity one step on; says when to look again.
    ///
    /// # Errors
    /// The first write or read that failed; independent ones have been tried.
    pub(super) async fn pass(&self, key: &Key) -> kube::Result<Option<Timestamp>> {
        let mut world = self.observe(key);
        let mut plan = self.plan(key, &world);
        if !plan.chains.is_empty() {
            // Whatever gives or takes power is decided on the identity as it is, not as a watch
            // last saw it.
            world.identity = self.cluster.identity(&key.namespace, &key.identity).await?;
            plan = self.plan(key, &world);
        }
        if self.instances.terminating(&key.namespace) {
            // Nothing can be created there, and the namespace controller deletes the rest.
            plan.role = None;
            plan.chains.retain(|chain| !chain.iter().any(Step::gives_power));
        }
        let world = &world;
        let role = match (&world.identity, plan.role.take()) {
            (Some(identity), Some(rules)) => self.cluster.apply_role(identity, &rules).await,
            _ => Ok(()),
        };
        if role.is_err() {
            // Nobody starts with a Role that is not written; ends never wait for it.
            plan.chains.retain(|chain| !chain.iter().any(Step::gives_power));
        }
        let chains = plan.chains.drain(..).map(|chain| self.apply_chain(key, world, chain));
        let outcomes: Vec<_> = futures::stream::iter(chains).buffer_unordered(CHAINS).collect().await;
        let status = self.write_status(key, world, &plan).await;
        let mut wake_at = plan.wake_at;
        for outcome in outcomes {
            if outcome?.is_break() {
                let again = world.now + REFUSED_AGAIN;
                wake_at = Some(wake_at.map_or(again, |w| w.min(again)));
            }
        }
        role.and(status).map(|()| wake_at)
    }

    fn observe(&self, key: &Key) -> World {
        World {
            governed: self.instances.governed(&key.namespace),
            identity: self.snapshot.identity(key),
            siblings: self.snapshot.siblings(&key.namespace),
            policies: self.snapshot.policies(),
            pods: self.instances.pods(key),
            accounts: self.snapshot.accounts(key),
            bindings: self.instances.bindings(key),
            now: Timestamp::now(),
        }
    }

    fn plan(&self, key: &Key, world: &World) -> Plan {
        let role = world.identity.as_ref().and_then(|i| self.instances.role_rules(i));
        let observed = Observed {
            name: &key.identity,
            governed: world.governed,
            identity: world.identity.as_ref(),
            ceiling: &world.ceiling(key),
            role: role.as_deref(),
            pods: &world.pods,
            accounts: &world.accounts,
            bindings: &world.bindings,
        };
        lifecycle::plan(&observed, world.now)
    }

    /// Applies the steps of one instance in order; `Break` when it stopped short of the end.
    async fn apply_chain(&self, key: &Key, world: &World, chain: Chain) -> kube::Result<ControlFlow<()>> {
        for step in chain {
            if self.apply(key, world, step).await?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Applies one step; `Break` ends its chain without an error: the world is not as it was seen.
    async fn apply(&self, key: &Key, world: &World, step: Step) -> kube::Result<ControlFlow<()>> {
        let namespace = &key.namespace;
        let cluster = &self.cluster;
        let done = match step {
            Step::Claim { account, pod } => self.claim(key, world, &account, &pod).await?,
            Step::Bind { account, pod } => match &world.identity {
                Some(identity) => cluster.bind(identity, &account, &pod).await?,
                None => false,
            },
            Step::Ungate { pod } => {
                let done = cluster.ungate(namespace, &pod).await?;
                if done {
                    tracing::info!(
                        namespace,
                        identity = key.identity,
                        pod = pod.name,
                        pod_uid = pod.uid,
                        account = pod.account,
                        "pod released"
                    );
                }
                done
            }
            Step::ConfirmLost { pod_name, pod_uid, account } => {
                let label = |p: &Pod| p.labels().get(names::IDENTITY_LABEL) == Some(&key.identity);
                let live = cluster.pod(namespace, &pod_name).await?.filter(label);
                !live.as_ref().and_then(pod_facts).is_some_and(|p| p.uid == pod_uid && p.account == account)
            }
            Step::ConfirmNoAccount { account } => !cluster.account_exists(namespace, &account).await?,
            Step::Unbind(binding) => cluster.unbind(namespace, &binding).await?,
            Step::DeleteAccount(account) => {
                let done = cluster.delete_account(namespace, &account).await?;
                if done {
                    tracing::info!(
                        namespace,
                        identity = key.identity,
                        account = account.name,
                        "account ended"
                    );
                }
                done
            }
            Step::DeletePod { pod_name, pod_uid, account, grace_seconds } => {
                let live = cluster.pod(namespace, &pod_name).await?.as_ref().and_then(pod_facts);
                if live.is_some_and(|p| p.uid == pod_uid && p.account == account && p.deletion.is_none()) {
                    cluster.delete_pod(namespace, &pod_name, &pod_uid, grace_seconds).await?;
                    tracing::info!(namespace, identity = key.identity, pod = pod_name, pod_uid, "pod ended");
                }
                true
            }
        };
        Ok(if done { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    }

    /// Ties the account to the pod, if the live pod still is what its identity allows.
    async fn claim(&self, key: &Key, world: &World, account: &Account, pod: &PodFacts) -> kube::Result<bool> {
        let Some(live) = self.cluster.raw_pod(&key.namespace, &pod.name).await? else { return Ok(false) };
        let refusals = match AgentPod::parse(&live).map(|live| world.refusals(key, &live, pod)) {
            Ok(Some(refusals)) => refusals,
            Ok(None) => return Ok(false),
            Err(refusal) => vec![refusal],
        };
        if !refusals.is_empty() {
            self.tell_refused(key, pod, &refusals).await;
            return Ok(false);
        }
        let done = self.cluster.claim_account(&key.namespace, account, pod).await?;
        if done {
            tracing::info!(
                namespace = key.namespace,
                identity = key.identity,
                pod = pod.name,
                pod_uid = pod.uid,
                account = account.name,
                "account claimed"
            );
        }
        Ok(done)
    }

    /// Says once why a gated pod is refused, and again only when the reason changes.
    async fn tell_refused(&self, key: &Key, pod: &PodFacts, refusals: &[Refusal]) {
        let text = summary(refusals);
        if !self.told.lock().await.is_news(&pod.uid, &text) {
            return;
        }
        tracing::warn!(
            namespace = key.namespace,
            identity = key.identity,
            pod = pod.name,
            pod_uid = pod.uid,
            code = refusals[0].code(),
            "gated pod refused"
        );
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(key.namespace.clone()),
            name: Some(pod.name.clone()),
            uid: Some(pod.uid.clone()),
            ..ObjectReference::default()
        };
        self.cluster.warn(&about, "IdentityRefused", "Claim", &text).await;
    }

    async fn write_status(&self, key: &Key, world: &World, plan: &Plan) -> kube::Result<()> {
        let Some(identity) = world.identity.as_ref().filter(|i| !i.deleting) else { return Ok(()) };
        let previous = self.snapshot.status(key);
        let ceiling = world.ceiling(key);
        let status =
            status::status(world.context(identity, &ceiling), world.governed, plan, previous.as_ref());
        if previous.as_ref() == Some(&status) {
            return Ok(());
        }
        self.cluster.write_status(identity, &status).await.map(drop)
    }
}

impl World {
    fn ceiling(&self, key: &Key) -> Ceiling<'_> {
        Ceiling::of(&key.namespace, self.policies.iter().map(AsRef::as_ref))
    }

    fn context<'a>(&'a self, identity: &'a Identity, ceiling: &'a Ceiling<'a>) -> Context<'a> {
        Context { identity, siblings: &self.siblings, ceiling, now: self.now }
    }

    /// The webhook's decision, on the live pod; `None` when pod or identity are not those that
    /// were planned for, and the next pass is to look again.
    fn refusals(&self, key: &Key, live: &AgentPod, planned: &PodFacts) -> Option<Vec<Refusal>> {
        let identity = self.identity.as_ref()?;
        let facts = pod_facts(&live.pod)?;
        if (&facts.uid, &facts.account) != (&planned.uid, &planned.account) {
            return None;
        }
        let ceiling = self.ceiling(key);
        Some(admit::admit(live, self.context(identity, &ceiling)).refusals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_once_and_again_when_its_reason_changes() {
        let mut told = Told::default();
        assert!(told.is_news("pod-1", "expired"));
        assert!(!told.is_news("pod-1", "expired"));
        assert!(told.is_news("pod-2", "expired"));
        assert!(told.is_news("pod-1", "suspended"));
        (0..2 * Told::MOST).for_each(|i| assert!(told.is_news(&format!("other-{i}"), "expired")));
        assert!(told.0.len() <= Told::MOST);
    }
}
