//! Pods: which identity, the decision, the account, the patch.

use super::Webhook;
use super::review::{Answer, Request, Review};
use crate::cluster::{NewAccount, describe, is_conflict};
use crate::snapshot::Key;
use jiff::Timestamp;
use perpro_core::api::AgentPolicy;
use perpro_core::decide::admit::{self, Context, Verdict};
use perpro_core::decide::ceiling::Ceiling;
use perpro_core::decide::inject::{Instance, inject};
use perpro_core::decide::pod::AgentPod;
use perpro_core::decide::refusal::{Reason, Refusal};
use perpro_core::model::Identity;
use perpro_core::names;
use serde_json::Value;
use std::sync::Arc;

/// A name drawn at random collides less than once in 10^15; a second try is enough.
const MINT_TRIES: usize = 2;

/// Everything the decision on one pod needs.
struct Question {
    pod: AgentPod,
    identity: Identity,
    siblings: Vec<Identity>,
    policies: Vec<Arc<AgentPolicy>>,
    now: Timestamp,
}

impl Question {
    fn ask<T>(&self, decide: impl FnOnce(Context<'_>) -> T) -> T {
        let policies = self.policies.iter().map(AsRef::as_ref);
        let ceiling = Ceiling::of(&self.identity.namespace, policies);
        decide(Context {
            identity: &self.identity,
            siblings: &self.siblings,
            ceiling: &ceiling,
            now: self.now,
        })
    }

    /// The pod as it would be stored under `account`, and the verdict on that.
    fn rehearse(&self, raw: &Value, account: &str) -> (Value, Verdict) {
        self.ask(|context| {
            let token_seconds = context.ceiling.kubernetes_token_seconds();
            let injected = inject(raw, Instance { identity: context.identity, account, token_seconds });
            let verdict = match AgentPod::parse(&injected) {
                Ok(pod) => admit::admit(&pod, context),
                Err(refusal) => Verdict { refusals: vec![refusal], warnings: Vec::new() },
            };
            (injected, verdict)
        })
    }
}

impl Webhook {
    /// Decides, mints, patches; on a dry run decides only.
    pub(super) async fn mutate(&self, review: &Review) -> Answer {
        let request = &review.request;
        let question = match self.question(request).await {
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
        if !answer.refusals.is_empty() {
            return logged(request, answer);
        }
        answer.warnings.extend(overwritten_account(&question.pod));
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
    pub(super) async fn validate(&self, review: &Review) -> Answer {
        let request = &review.request;
        let mut question = match self.question(request).await {
            Ok(Some(question)) => question,
            Ok(None) => return Answer::default(),
            Err(refusal) => return logged(request, Answer::refuse(refusal)),
        };
        if request.dry_run == Some(true) {
            let placeholder = names::account_name(&question.identity.name, [0; names::ACCOUNT_SUFFIX_LEN]);
            let (_, verdict) = question.rehearse(&request.object, &placeholder);
            return Answer { refusals: verdict.refusals, ..Answer::default() };
        }
        let stamp = (
            question.pod.annotation(names::IDENTITY_UID).map(str::to_owned),
            question.pod.annotation(names::IDENTITY_GENERATION).and_then(|g| g.parse().ok()),
        );
        if stamp != (Some(question.identity.uid.clone()), Some(question.identity.generation)) {
            // Another replica decided on a version that this one has not seen, or the other way round.
            match self.live_identity(request, &question.identity.name).await {
                Ok(identity) => question.identity = identity,
                Err(refusal) => return logged(request, Answer::refuse(refusal)),
            }
        }
        let verdict = question.ask(|context| admit::admit(&question.pod, context));
        let answer = Answer { refusals: verdict.refusals, ..Answer::default() };
        if answer.refusals.is_empty() { answer } else { logged(request, answer) }
    }

    /// Reads the pod and finds its identity; `None` for a pod that is none of ours.
    async fn question(&self, request: &Request) -> Result<Option<Question>, Refusal> {
        let pod = AgentPod::parse(&request.object)?;
        if pod.annotation(names::MIRROR_POD).is_some()
            && request.user_info.groups.iter().any(|g| g == "system:nodes")
        {
            // The kubelet's picture of a static pod: NodeRestriction lets a node make only its own.
            tracing::warn!(
                namespace = request.namespace,
                "a static pod runs in a governed namespace, outside perpro"
            );
            return Ok(None);
        }
        let Some(name) = pod.identity().map(str::to_owned) else {
            let path = format!("metadata.labels[{}]", names::IDENTITY_LABEL);
            return Err(Refusal::at(path, Reason::NoIdentity));
        };
        if !names::is_identity_name(&name) {
            let path = format!("metadata.labels[{}]", names::IDENTITY_LABEL);
            return Err(Refusal::at(path, Reason::BadIdentityName { name: name.chars().take(63).collect() }));
        }
        if !self.readiness.get() {
            return Err(Refusal::at("metadata", Reason::WebhookNotReady));
        }
        let key = Key { namespace: request.namespace.clone(), identity: name };
        let identity = match self.snapshot.identity(&key) {
            Some(identity) => identity,
            None => self.live_identity(request, &key.identity).await?,
        };
        Ok(Some(Question {
            pod,
            identity,
            siblings: self.snapshot.siblings(&key.namespace),
            policies: self.snapshot.policies(),
            now: Timestamp::now(),
        }))
    }

    async fn live_identity(&self, request: &Request, name: &str) -> Result<Identity, Refusal> {
        let path = format!("metadata.labels[{}]", names::IDENTITY_LABEL);
        match self.cluster.identity(&request.namespace, name).await {
            Ok(Some(identity)) => Ok(identity),
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
                Err(Refusal::at(path, Reason::WebhookNotReady))
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
                        identity = question.identity.name,
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

fn overwritten_account(pod: &AgentPod) -> Option<Refusal> {
    let account = pod.spec.service_account_name.clone()?;
    (account != "default")
        .then(|| Refusal::at("spec.serviceAccountName", Reason::AccountOverwritten { account }))
}

/// One line per decision.
fn logged(request: &Request, answer: Answer) -> Answer {
    let metadata = &request.object["metadata"];
    let pod = metadata["name"].as_str().or_else(|| metadata["generateName"].as_str()).unwrap_or_default();
    let identity = metadata["labels"][names::IDENTITY_LABEL].as_str().unwrap_or_default();
    let namespace = &request.namespace;
    match answer.refusals.first() {
        Some(first) => {
            tracing::info!(namespace, identity, pod, code = first.code(), path = first.path, "pod refused");
        }
        None => {
            let account = answer.audit.iter().find(|(k, _)| *k == "account").map(|(_, v)| v.as_str());
            tracing::info!(namespace, identity, pod, account, "pod admitted");
        }
    }
    answer
}
