//! The verdict on a pod that has no account yet: what will be said of it once it has one.

use super::admit::{self, Context, Verdict};
use super::inject::{Instance, inject};
use super::pod::AgentPod;
use super::refusal::{Reason, Refusal};
use crate::names;
use serde_json::Value;

/// The pod as it would be stored under `account`, and the verdict on that. `read`: the same pod as it was read.
#[must_use]
pub fn rehearse(raw: &Value, read: &AgentPod, account: &str, context: Context<'_>) -> (Value, Verdict) {
    let token_seconds = context.ceiling.kubernetes_token_seconds();
    let injected = inject(raw, read, Instance { identity: context.identity, account, token_seconds });
    let verdict = match AgentPod::parse(&injected.to_string()) {
        Ok(pod) => admit::admit(&pod, context),
        Err(refusal) => Verdict { refusals: vec![refusal], warnings: Vec::new() },
    };
    (injected, verdict)
}

/// An account of `identity` that nobody has, for a pod that gets none.
#[must_use]
pub fn placeholder(identity: &str) -> String {
    names::account_name(identity, [0; names::ACCOUNT_SUFFIX_LEN])
}

/// The name of the identity that a pod must have.
///
/// # Errors
/// That it names none, or that no identity can have the name.
pub fn named_identity(pod: &AgentPod) -> Result<&str, Refusal> {
    let at_label = |reason| Refusal::at(format!("metadata.labels[{}]", names::IDENTITY_LABEL), reason);
    let name = pod.identity().ok_or_else(|| at_label(Reason::NoIdentity))?;
    if !names::is_identity_name(name) {
        return Err(at_label(Reason::BadIdentityName { name: name.chars().take(63).collect() }));
    }
    Ok(name)
}

/// That the pod will run on another account than it says, in the field of today or in the one of old, which an API server
/// reads where the other is empty.
#[must_use]
pub fn overwritten_account(pod: &AgentPod) -> Option<Refusal> {
    let spec = &pod.spec;
    let fields = [
        ("spec.serviceAccountName", &spec.service_account_name),
        ("spec.serviceAccount", &spec.service_account),
    ];
    let named =
        |(path, account): (_, &Option<String>)| Some((path, account.clone().filter(|a| !a.is_empty())?));
    let (path, account) = fields.into_iter().find_map(named)?;
    (account != "default").then(|| Refusal::at(path, Reason::AccountOverwritten { account }))
}
