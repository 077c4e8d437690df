//! Carries a plan out: one instance's steps in order, and what is said when one can't be made.

use super::pass::{Controller, World};
use super::recent::Recent;
use crate::cluster::refused;
use crate::runtime::metrics::METRICS;
use crate::snapshot::{Key, pod_facts};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use perpro_core::decide::lifecycle::{Chain, Step};
use perpro_core::decide::pod::AgentPod;
use perpro_core::decide::refusal::{Reason, Refusal, explained, summary};
use perpro_core::model::{Account, Identity, PodFacts};
use perpro_core::names;
use std::ops::ControlFlow;
use tokio::sync::Mutex;

/// What became of one instance's chain: done, or stopped short and to be looked at again, at a
/// certain time if there is one.
pub(super) type Outcome = ControlFlow<Option<Timestamp>>;

const DONE: Outcome = ControlFlow::Continue(());
const STOPPED: Outcome = ControlFlow::Break(None);

impl Controller {
    /// Applies the steps of one instance in order, until one stops the chain.
    pub(super) async fn apply_chain(&self, key: &Key, world: &World, chain: Chain) -> kube::Result<Outcome> {
        for step in chain {
            let waits = step.pod_that_waits().cloned();
            let outcome = self.apply(key, world, step).await;
            if let (Some(pod), Some(said)) = (waits, outcome.as_ref().err().and_then(refused)) {
                // A quota, or somebody's policy: only who reads this can mend it.
                let reason = Reason::WriteRefused { said };
                self.tell_of_pod(key, world, &pod, reason.code(), &told(&reason)).await;
            }
            let outcome = outcome?;
            if outcome.is_break() {
                return Ok(outcome);
            }
        }
        Ok(DONE)
    }

    /// Applies one step; `Break` ends its chain without an error: the world is not as it was seen.
    async fn apply(&self, key: &Key, world: &World, step: Step) -> kube::Result<Outcome> {
        let namespace = &key.namespace;
        let cluster = &self.cluster;
        let done = match step {
            Step::Claim { account, pod } => return self.claim(key, world, &account, &pod).await,
            Step::Reject { pod, refusal } => return self.reject(key, world, &pod, &[refusal]).await,
            Step::MarkStale { account, since } => {
                let done = cluster.mark_stale(namespace, &account, since).await?;
                if done && since.is_some() {
                    self.tell_of_stale(key, world, &account).await;
                }
                done
            }
            Step::Bind { account, pod } => {
                let Some(identity) = &world.identity else { return Ok(STOPPED) };
                return once(&self.bound, account.clone(), cluster.bind(identity, &account, &pod)).await;
            }
            Step::Ungate { pod } => {
                let outcome = once(&self.released, pod.uid.clone(), cluster.ungate(namespace, &pod)).await?;
                if outcome == DONE {
                    log(key, &pod, "pod released");
                }
                return Ok(outcome);
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
                        pod = account.claim.as_ref().map(|c| c.pod_name.as_str()),
                        pod_uid = account.claim.as_ref().map(|c| c.pod_uid.as_str()),
                        account = account.name,
                        "account ended"
                    );
                }
                done
            }
            Step::DeletePod { pod_name, pod_uid, account, grace_seconds } => {
                let live = cluster.pod(namespace, &pod_name).await?.as_ref().and_then(pod_facts);
                if live.is_some_and(|p| p.uid == pod_uid && p.account == account && p.outlasts(grace_seconds))
                {
                    cluster.delete_pod(namespace, &pod_name, &pod_uid, grace_seconds).await?;
                    tracing::info!(
                        namespace,
                        identity = key.identity,
                        pod = pod_name,
                        pod_uid,
                        account,
                        "pod ended"
                    );
                }
                true
            }
        };
        Ok(outcome(done))
    }

    /// Ties the account to the pod, if the live pod still is what its identity allows.
    async fn claim(
        &self,
        key: &Key,
        world: &World,
        account: &Account,
        pod: &PodFacts,
    ) -> kube::Result<Outcome> {
        let Some(live) = self.cluster.pod_text(&key.namespace, &pod.name).await? else { return Ok(STOPPED) };
        let refusals = match AgentPod::parse(&live).map(|live| world.refusals(key, &live, pod)) {
            Ok(Some(refusals)) => refusals,
            Ok(None) => return Ok(STOPPED),
            Err(refusal) => vec![refusal],
        };
        if !refusals.is_empty() {
            return self.reject(key, world, pod, &refusals).await;
        }
        let done = self.cluster.claim_account(&key.namespace, account, pod).await?;
        if done {
            self.rejected.lock().await.passed(key);
            log(key, pod, "account claimed");
        }
        Ok(outcome(done))
    }

    /// Says why a gated pod may not start, and deletes it when its time has come.
    async fn reject(
        &self,
        key: &Key,
        world: &World,
        pod: &PodFacts,
        refusals: &[Refusal],
    ) -> kube::Result<Outcome> {
        self.tell_of_pod(key, world, pod, refusals[0].code(), &summary(refusals)).await;
        if let Some(at) = self.rejected.lock().await.deleted_at(key, Timestamp::now()) {
            return Ok(ControlFlow::Break(Some(at)));
        }
        // It never ran, so it needs no grace.
        self.cluster.delete_pod(&key.namespace, &pod.name, &pod.uid, 0).await?;
        log(key, pod, "rejected pod deleted");
        Ok(STOPPED)
    }

    /// Tells whoever made the pod, since the pod goes; the pod itself where nobody did. And the identity.
    async fn tell_of_pod(&self, key: &Key, world: &World, pod: &PodFacts, code: &'static str, text: &str) {
        let (api_version, kind, name, uid) = match &pod.controller {
            Some(c) => (c.api_version.as_str(), c.kind.as_str(), c.name.as_str(), c.uid.as_str()),
            None => ("v1", "Pod", pod.name.as_str(), pod.uid.as_str()),
        };
        if self.tell(about(key, [api_version, kind, name, uid]), code, text).await {
            if let Some(identity) = &world.identity {
                self.tell_identity(key, identity, "IdentityRefused", code, text).await;
            }
            METRICS.claims_refused.inc([code]);
            tracing::warn!(
                namespace = key.namespace,
                identity = key.identity,
                pod = pod.name,
                pod_uid = pod.uid,
                account = pod.account,
                code,
                "gated pod can't start"
            );
        }
    }

    /// Tells who looks at the identity that a pod of it will end, while there is time to make new ones.
    async fn tell_of_stale(&self, key: &Key, world: &World, account: &Account) {
        let (Some(identity), Some(claim)) = (&world.identity, &account.claim) else { return };
        let text = format!(
            "pod \"{}\" holds a Secret key or a token that this AgentIdentity lists no more, and ends in {} s \
             (staleSeconds): restart its workload to have new pods first; \"perpro instances {}\" shows all such pods",
            claim.pod_name,
            world.ceiling(key).stale_seconds(),
            identity.name
        );
        self.tell_identity(key, identity, "PodStale", "PodStale", &text).await;
    }

    /// Tells who looks at the identity that its Role can't be written.
    pub(super) async fn tell_of_role(&self, key: &Key, identity: &Identity, said: &str) {
        let reason = Reason::WriteRefused { said: said.to_owned() };
        if self.tell(about_identity(key, identity), reason.code(), &told(&reason)).await {
            tracing::warn!(
                namespace = key.namespace,
                identity = key.identity,
                code = reason.code(),
                "the identity's Role can't be written"
            );
        }
    }

    /// Tells who looks at the identity what went wrong with it in this pass.
    pub(super) async fn tell_of_conditions(&self, key: &Key, identity: &Identity, news: &[Condition]) {
        for Condition { reason, message, .. } in news {
            self.tell_identity(key, identity, reason, reason, message).await;
        }
    }

    /// The same of one thing, at most once a minute.
    async fn tell_identity(&self, key: &Key, identity: &Identity, reason: &str, what: &str, text: &str) {
        if self.rejected.lock().await.is_due(&identity.uid, what, Timestamp::now()) {
            self.cluster.warn(&about_identity(key, identity), reason, what, text).await;
        }
    }

    /// Publishes what was not said about this object already; whether it did.
    async fn tell(&self, about: ObjectReference, code: &str, text: &str) -> bool {
        let uid = about.uid.clone().unwrap_or_default();
        let news = self.rejected.lock().await.is_news(&uid, text, Timestamp::now());
        if news {
            self.cluster.warn(&about, "IdentityRefused", code, text).await;
        }
        news
    }
}

/// Makes a write, unless it was made so lately that our watch may not show it yet.
async fn once(
    recent: &Mutex<Recent<String>>,
    key: String,
    write: impl Future<Output = kube::Result<bool>>,
) -> kube::Result<Outcome> {
    let now = Timestamp::now();
    if let Some(until) = recent.lock().await.until(&key, now) {
        return Ok(ControlFlow::Break(Some(until)));
    }
    let done = write.await?;
    if done {
        recent.lock().await.written(key, now);
    }
    Ok(outcome(done))
}

/// `done`: whether the write found the world as it was seen.
fn outcome(done: bool) -> Outcome {
    if done { DONE } else { STOPPED }
}

/// Logs what became of a pod.
fn log(key: &Key, pod: &PodFacts, what: &'static str) {
    tracing::info!(
        namespace = key.namespace,
        identity = key.identity,
        pod = pod.name,
        pod_uid = pod.uid,
        account = pod.account,
        "{what}"
    );
}

/// A reason that is no field's.
fn told(reason: &Reason) -> String {
    let code = reason.code();
    explained(format!("{code} {reason}"), code)
}

fn about_identity(key: &Key, identity: &Identity) -> ObjectReference {
    let api_version = format!("{}/{}", names::GROUP, names::VERSION);
    about(key, [&api_version, "AgentIdentity", &identity.name, &identity.uid])
}

fn about(key: &Key, [api_version, kind, name, uid]: [&str; 4]) -> ObjectReference {
    ObjectReference {
        api_version: Some(api_version.to_owned()),
        kind: Some(kind.to_owned()),
        namespace: Some(key.namespace.clone()),
        name: Some(name.to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}
