//! Pods: which identity, the decision, the account, the patch.

use super::Webhook;
use super::answer::Answer;
use super::excepted;
use super::review::{Request, Review, Subject};
use crate::cluster::{NewAccount, describe, is_conflict};
use crate::snapshot::Key;
use jiff::Timestamp;
use perpro_core::api::AgentPolicy;
use perpro_core::decide::admit::{self, Context, Verdict};
use perpro_core::decide::ceiling::Ceiling;
use perpro_core::decide::pod::AgentPod;
use perpro_core::decide::refusal::{Reason, Refusal};
use perpro_core::decide::rehearse;
use perpro_core::model::{Identity, SecretOwners};
use perpro_core::names;
use serde_json::Value;
use std::sync::Arc;

/// A name drawn at random collides less than once in 10^15; a second try is enough.
const MINT_TRIES: usize = 2;

/// Everything the decision on one pod needs.
struct Question {
    pod: AgentPod,
    identity: Arc<Identity>,
    owners: Arc<SecretOwners>,
    policies: Vec<Arc<AgentPolicy>>,
    now: Timestamp,
}

impl Question {
    fn ask<T>(&self, decide: impl FnOnce(Context<'_>) -> T) -> T {
        let policies = self.policies.iter().map(AsRef::as_ref);
        let ceiling = Ceiling::of(&self.identity.namespace, policies);
        decide(Context { identity: &self.identity, owners: &self.owners, ceiling: &ceiling, now: self.now })
    }

    /// The pod as it would be stored under `account`, and the verdict on that.
    fn rehearse(&self, raw: &Value, account: &str) -> (Value, Verdict) {
        self.ask(|context| rehearse::rehearse(raw, &self.pod, account, context))
    }
}

/// The creation of pods.
pub(super) const SUBJECT: Subject =
    Subject { groups: &[""], version: "v1", kinds: &["Pod"], namespaced: true, operations: &["CREATE"] };

impl Webhook {
    /// Decides, mints, patches; on a dry run decides only.
    pub(super) async fn mutate(&self, review: &Review<'_>) -> Answer {
        let request = &review.request;
        let pod = AgentPod::parse(request.object.text());
        let question = match self.question(request, pod).await {
            Ok(Some(question)) => question,
            Ok(None) => return Answer::default(),
            Err(refusal) => return logged(request, Answer::refuse(refusal)),
        };
        let cheap = self.cheap_refusals(&question);
        if !cheap.is_empty() {
            return logged(request, Answer { refusals: cheap, ..Answer::default() });
        }
        let account = match new_account_name(&question.identity.name) {
            Ok(name) => name,
            Err(refusal) => return logged(request, Answer::refuse(refusal)),
        };
        let (injected, verdict) = question.rehearse(&request.object, &account);
        let mut answer =
            Answer { refusals: verdict.refusals, warnings: verdict.warnings, ..Answer::default() };
        // What exceptions let pass is told by the last look, which sees all of it.
        answer.warnings.retain(|w| excepted::code(w).is_none());
        if !answer.refusals.is_empty() {
            return logged(request, answer);
        }
        answer.warnings.extend(rehearse::overwritten_account(&question.pod));
        if request.dry_run == Some(true) {
            // Nothing may be created, so there is no account that a patch could name.
            answer.warnings.push(Refusal::at("spec", Reason::DryRun));
            return answer;
        }
        match self.mint(&question, account, injected).await {
            Ok((account, patched)) => {
                answer.audit = vec![
                    ("identity", format!("{}/{}", question.identity.namespace, question.identity.name)),
                    ("account", account),
                ];
                answer.patch = Some(json_patch::diff(&request.object, &patched));
                logged(request, answer)
            }
            Err(refusal) => logged(request, Answer::refuse(refusal)),
        }
    }

    /// The whole decision on the pod as all webhooks left it.
    pub(super) async fn validate(&self, review: &Review<'_>, pod: Result<AgentPod, Refusal>) -> Answer {
        let request = &review.request;
        let mut question = match self.question(request, pod).await {
            Ok(Some(question)) => question,
            Ok(None) => return Answer::default(),
            Err(refusal) => return logged(request, Answer::refuse(refusal)),
        };
        if request.dry_run == Some(true) {
            let placeholder = rehearse::placeholder(&question.identity.name);
            let (_, verdict) = question.rehearse(&request.object, &placeholder);
            return excepted::last_look(verdict);
        }
        let stamp = (
            question.pod.annotation(names::IDENTITY_UID),
            question.pod.annotation(names::IDENTITY_GENERATION).and_then(|g| g.parse().ok()),
        );
        if stamp != (Some(question.identity.uid.as_str()), Some(question.identity.generation)) {
            // Another replica decided on a version that this one has not seen, or the other way round.
            match self.live_identity(request, &question.identity.name).await {
                Ok(identity) => question.identity = identity,
                Err(refusal) => return logged(request, Answer::refuse(refusal)),
            }
        }
        let verdict = question.ask(|context| admit::admit(&question.pod, context));
        let answer = excepted::last_look(verdict);
        excepted::count(&answer);
        if answer.refusals.is_empty() { answer } else { logged(request, answer) }
    }

    /// Finds the identity of a pod; `None` for a pod that is none of ours.
    async fn question(
        &self,
        request: &Request<'_>,
        pod: Result<AgentPod, Refusal>,
    ) -> Result<Option<Question>, Refusal> {
        let pod = pod?;
        if pod.annotation(names::MIRROR_POD).is_some()
            && request.user_info.groups.iter().any(|g| g == "system:nodes")
        {
            // The kubelet's picture of a static pod: NodeRestriction lets a node make only its own.
            tracing::warn!(
                namespace = request.namespace,
                pod = pod.metadata.name,
                "a static pod runs in a governed namespace, outside perpro"
            );
            return Ok(None);
        }
        let name = rehearse::named_identity(&pod)?.to_owned();
        if !self.readiness.get() {
            return Err(Refusal::at("metadata", self.not_ready()));
        }
        let key = Key { namespace: request.namespace.clone(), identity: name };
        let identity = match self.snapshot.identity(&key) {
            Some(identity) => identity,
            None => self.live_identity(request, &key.identity).await?,
        };
        Ok(Some(Question {
            pod,
            identity,
            owners: self.snapshot.secret_owners(&key.namespace),
            policies: self.snapshot.policies(),
            now: Timestamp::now(),
        }))
    }

    async fn live_identity(&self, request: &Request<'_>, name: &str) -> Result<Arc<Identity>, Refusal> {
        let path = format!("metadata.labels[{}]", names::IDENTITY_LABEL);
        match self.cluster.identity(&request.namespace, name).await {
            Ok(Some(identity)) => Ok(Arc::new(identity)),
            Ok(None) => {
                let reason = Reason::UnknownIdentity {
                    identity: name.to_owned(),
                    namespace: request.namespace.clone(),
                };
                Err(Refusal::at(path, reason))
            }
            Err(error) => {
                tracing::error!(
                    error = describe(&error),
                    namespace = request.namespace,
                    identity = name,
                    "can't read an identity"
                );
                let why = format!("AgentIdentity \"{name}\" could not be read");
                Err(Refusal::at(path, Reason::WebhookNotReady { why }))
            }
        }
    }

    /// What can be refused without looking at the pod.
    fn cheap_refusals(&self, question: &Question) -> Vec<Refusal> {
        let namespace = &question.identity.namespace;
        question.ask(|context| {
            let mut refusals = admit::identity_refusals(context);
            let limit = context.ceiling.max_instances();
            let count = self.snapshot.account_count(namespace);
            if count >= usize::try_from(limit).unwrap_or(usize::MAX) {
                let reason = Reason::TooManyInstances { namespace: namespace.clone(), limit };
                refusals.push(Refusal::at(format!("metadata.labels[{}]", names::IDENTITY_LABEL), reason));
            }
            refusals
        })
    }

    /// Creates the account; returns its name and the pod that runs under it.
    async fn mint(
        &self,
        question: &Question,
        first: String,
        injected: Value,
    ) -> Result<(String, Value), Refusal> {
        let (mut name, mut pod) = (first, injected);
        let mut tries = 1;
        loop {
            let account = NewAccount { name: &name, identity: &question.identity };
            match self.cluster.mint_account(account).await {
                Ok(()) => return Ok((name, pod)),
                Err(error) if is_conflict(&error) && tries < MINT_TRIES => {
                    tries += 1;
                    name = new_account_name(&question.identity.name)?;
                    pod = question.rehearse(&pod, &name).0;
                }
                Err(error) => {
                    tracing::error!(
                        error = describe(&error),
                        namespace = question.identity.namespace,
                        identity = question.identity.name,
                        account = name,
                        "can't mint an account"
                    );
                    let detail = mint_detail(&error);
                    return Err(Refusal::at("spec.serviceAccountName", Reason::MintFailed { detail }));
                }
            }
        }
    }
}

/// What the API server said, for the person who waits for the pod: a quota, most often.
fn mint_detail(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        _ => "the webhook can't reach the API server".to_owned(),
    }
}

fn new_account_name(identity: &str) -> Result<String, Refusal> {
    let mut random = [0; names::ACCOUNT_SUFFIX_LEN];
    getrandom::fill(&mut random).map_err(|error| {
        tracing::error!(%error, "no randomness");
        Refusal::at("spec.serviceAccountName", Reason::MintFailed { detail: "no randomness".to_owned() })
    })?;
    Ok(names::account_name(identity, random))
}

/// One line per decision.
fn logged(request: &Request<'_>, answer: Answer) -> Answer {
    let metadata = &request.object["metadata"];
    let pod = metadata["name"].as_str().or_else(|| metadata["generateName"].as_str()).unwrap_or_default();
    let identity = metadata["labels"][names::IDENTITY_LABEL].as_str();
    let namespace = &request.namespace;
    match answer.refusals.first() {
        Some(first) => {
            tracing::info!(namespace, identity, pod, code = first.code(), path = first.path, "pod refused");
        }
        None => {
            tracing::info!(namespace, identity, pod, account = answer.account(), "pod admitted");
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::super::behind::Behind;
    use super::*;
    use serde_json::json;

    /// Identity `bot` in a generation of its spec, with this key for its container.
    fn identity(generation: i64, key: &str) -> Value {
        json!([{"apiVersion": "perpro.dev/v1alpha1", "kind": "AgentIdentity",
            "metadata": {"name": "bot", "namespace": "ns", "uid": "u", "generation": generation,
                "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {names::AUTHOR: "jane", names::AUTHOR_GROUPS: ""}},
            "spec": {"owner": {"kind": "User", "name": "jane"}, "expiresAt": "2199-01-01T00:00:00Z",
                "justification": "Reads feedback", "secrets": [{"name": "crm", "rotateBy": "2199-01-01T00:00:00Z"}],
                "containers": [{"name": "agent", "secretKeys": [{"secret": "crm", "key": key, "env": "KEY"}]}]}}])
    }

    /// A pod as another replica left it, which knew the identity in this generation.
    fn stored(generation: i64, key: &str) -> Value {
        let source = json!({"secretKeyRef": {"name": "crm", "key": key}});
        json!({"metadata": {"name": "pod", "labels": {names::IDENTITY_LABEL: "bot"},
                "annotations": {names::IDENTITY_UID: "u", names::IDENTITY_GENERATION: generation.to_string()}},
            "spec": {"serviceAccountName": "aid-bot-0123456789", "serviceAccount": "aid-bot-0123456789",
                "automountServiceAccountToken": false, "schedulingGates": [{"name": names::GATE}],
                "containers": [{"name": "agent", "image": "i", "env": [{"name": "KEY", "valueFrom": source}]}]}})
    }

    /// The codes that the pod earns at the last look.
    async fn codes(behind: Behind, pod: Value) -> Vec<&'static str> {
        let webhook = behind.webhook().await;
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": "ns", "operation": "CREATE",
            "userInfo": {"username": "jane"}, "object": pod}});
        let review = serde_json::to_vec(&review).unwrap();
        let (review, pod) = Review::of_pod(&review, &SUBJECT).unwrap();
        let answer = webhook.validate(&review, pod).await;
        answer.refusals.iter().map(Refusal::code).collect()
    }

    #[tokio::test]
    async fn an_identity_that_the_watch_has_not_shown_yet_has_pods() {
        let new = || Behind { identities: identity(1, "a"), ..Behind::default() };
        assert_eq!(codes(new(), stored(1, "a")).await, Vec::<&str>::new());
        assert_eq!(codes(new(), stored(1, "b")).await, ["AID021", "AID024"]);
        assert_eq!(codes(Behind::default(), stored(1, "a")).await, ["AID002"]);
    }

    #[tokio::test]
    async fn a_pod_that_another_replica_wrote_is_judged_under_the_identity_as_it_is() {
        let edited = || Behind {
            seen_identities: identity(1, "a"),
            identities: identity(2, "b"),
            ..Behind::default()
        };
        assert_eq!(codes(edited(), stored(2, "b")).await, Vec::<&str>::new());
        assert_eq!(codes(edited(), stored(2, "a")).await, ["AID021", "AID024"], "what was listed once");
        // Both know it alike; the controller looks at it live before it has any power.
        assert_eq!(codes(edited(), stored(1, "a")).await, Vec::<&str>::new());
    }
}
