//! May this pod run under this identity? Asked by the webhook when the pod is created, and again
//! by the controller on the live pod before it gives the pod any power.

use super::ceiling::Ceiling;
use super::credentials::credentials;
use super::pod::AgentPod;
use super::refusal::{Reason, Refusal};
use super::{exception, isolation, listed, literal};
use crate::model::{Identity, IdentityEnd, SecretOwners};
use crate::names;
use jiff::Timestamp;

/// What bounds the pod.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The identity that the pod names.
    pub identity: &'a Identity,
    /// To whom the Secrets of the namespace belong.
    pub owners: &'a SecretOwners,
    /// The policies that bound the namespace.
    pub ceiling: &'a Ceiling<'a>,
    /// The time.
    pub now: Timestamp,
}

/// All that is wrong with a pod, and what its author should know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Every reason to refuse it; it is admitted when there is none.
    pub refusals: Vec<Refusal>,
    /// What is odd but harmless.
    pub warnings: Vec<Refusal>,
}

/// Whether `identity` can have new pods at all. Cheap: asked before a pod is looked at.
#[must_use]
pub fn identity_refusals(context: Context<'_>) -> Vec<Refusal> {
    let Context { identity, owners, now, .. } = context;
    let name = || identity.name.clone();
    let label = || format!("metadata.labels[{}]", names::IDENTITY_LABEL);
    let ended = context.ceiling.ended(identity, now).map(|end| match end {
        IdentityEnd::Deleted => Reason::BeingDeleted { identity: name() },
        IdentityEnd::Suspended => Reason::Suspended { identity: name() },
        IdentityEnd::Expired => {
            Reason::Expired { identity: name(), at: context.ceiling.expires_at(identity).to_string() }
        }
    });
    let overdue = identity.spec.secrets.iter().filter(|s| s.rotate_by.0 <= now).map(|s| {
        Reason::RotationOverdue { secret: s.name.clone(), identity: name(), at: s.rotate_by.0.to_string() }
    });
    let shared = identity.spec.secrets.iter().filter_map(|s| {
        let owner = owners.of(&s.name).filter(|owner| owner.precedes(identity))?;
        Some(Reason::SharedSecret { secret: s.name.clone(), identity: name(), owner: owner.identity.clone() })
    });
    let nobody = identity.author.is_none().then(|| Reason::NoAuthor { identity: name() });
    // What was not asked yet is no reason: no pod is claimed before it was.
    let unread = identity.authorized().into_iter().flat_map(|authorized| {
        let open = identity.spec.secrets.iter().filter(|s| !authorized.secrets.contains(&s.name));
        open.map(|s| Reason::AuthorCantRead { secret: s.name.clone() })
    });
    ended
        .into_iter()
        .chain(nobody)
        .chain(unread)
        .chain(overdue)
        .chain(shared)
        .map(|r| Refusal::at(label(), r))
        .collect()
}

/// The whole decision on a pod as it will be stored.
#[must_use]
pub fn admit(pod: &AgentPod, context: Context<'_>) -> Verdict {
    let identity = context.identity;
    let mut verdict = Verdict { refusals: identity_refusals(context), warnings: Vec::new() };
    let refusals = &mut verdict.refusals;
    refusals.extend(marks(pod, identity));
    refusals.extend(injected(pod, identity));
    refusals.extend(isolation::holes(pod));
    let containers = pod.containers();
    refusals.extend(listed::images(&containers, identity, context.ceiling));
    refusals.extend(listed::mounted_images(pod, context.ceiling));
    let held = credentials(pod);
    refusals.extend(listed::extra(&held, pod, identity, context.ceiling));
    refusals.extend(listed::missing(pod, identity, &held));
    refusals.extend(pull_secrets(pod, context));
    let literals = literal::literals(pod);
    if context.ceiling.refuses_literals() {
        refusals.extend(literals);
    } else {
        verdict.warnings.extend(literals);
    }
    for field in &pod.unknown {
        let into_container =
            ["spec.containers", "spec.initContainers", "spec.ephemeralContainers", "spec.volumes"]
                .iter()
                .any(|p| field.starts_with(p));
        let name = field.clone();
        if into_container {
            refusals.push(Refusal::at(field, Reason::UnknownField { field: name }));
        } else {
            verdict.warnings.push(Refusal::at(field, Reason::SkippedField { field: name }));
        }
    }
    for grant in &identity.spec.containers {
        if !containers.iter().any(|c| c.name == grant.name) {
            let reason = Reason::ListedContainerAbsent {
                container: grant.name.clone(),
                identity: identity.name.clone(),
            };
            verdict.warnings.push(Refusal::at("spec.containers", reason));
        }
    }
    exception::excuse(&mut verdict, pod, context);
    verdict
}

/// Labels and annotations under our prefix that are not exactly what we write.
fn marks(pod: &AgentPod, identity: &Identity) -> Vec<Refusal> {
    let meta = &pod.metadata;
    let foreign = |map: &'static str, key: &str| {
        Refusal::at(format!("metadata.{map}[{key}]"), Reason::ForgedMark { mark: key.to_owned() })
    };
    let labels = meta.labels.iter().flatten().filter(|(k, v)| match k.as_str() {
        names::IDENTITY_LABEL => **v != identity.name,
        names::AGENT_LABEL => false,
        k => k.starts_with(names::MARK_PREFIX),
    });
    let annotations = meta.annotations.iter().flatten().filter(|(k, v)| match k.as_str() {
        names::IDENTITY_UID => **v != identity.uid,
        // Which generation was decided on is recorded; the decision itself is made anew.
        names::IDENTITY_GENERATION => v.parse::<i64>().is_err(),
        k => k.starts_with(names::MARK_PREFIX),
    });
    let mirror = pod
        .annotation(names::MIRROR_POD)
        .map(|_| Refusal::at(format!("metadata.annotations[{}]", names::MIRROR_POD), Reason::ForgedMirror));
    labels
        .map(|(k, _)| foreign("labels", k))
        .chain(annotations.map(|(k, _)| foreign("annotations", k)))
        .chain(mirror)
        .collect()
}

/// What inject writes on every pod.
fn injected(pod: &AgentPod, identity: &Identity) -> Vec<Refusal> {
    let spec = &pod.spec;
    let mut found = Vec::new();
    let accounts = [
        ("spec.serviceAccountName", spec.service_account_name.as_deref()),
        // The deprecated alias may be absent, but never name another account.
        ("spec.serviceAccount", spec.service_account.as_deref().or(spec.service_account_name.as_deref())),
    ];
    for (path, account) in accounts {
        let account = account.unwrap_or("default");
        if !names::is_account_of(account, &identity.name) {
            let reason =
                Reason::ForeignAccount { account: account.to_owned(), identity: identity.name.clone() };
            found.push(Refusal::at(path, reason));
        }
    }
    if spec.service_account.is_some() && spec.service_account != spec.service_account_name {
        let account = spec.service_account.clone().unwrap_or_default();
        let reason = Reason::ForeignAccount { account, identity: identity.name.clone() };
        found.push(Refusal::at("spec.serviceAccount", reason));
    }
    let what = "automountServiceAccountToken: false";
    if spec.automount_service_account_token != Some(false) {
        found.push(Refusal::at("spec.automountServiceAccountToken", Reason::NotInjected { what }));
    }
    if !spec.scheduling_gates.iter().flatten().any(|g| g.name == names::GATE) {
        found.push(Refusal::at("spec.schedulingGates", Reason::NotInjected { what: "its scheduling gate" }));
    }
    if pod.annotation(names::IDENTITY_UID).is_none() || pod.annotation(names::IDENTITY_GENERATION).is_none() {
        found.push(Refusal::at(
            "metadata.annotations",
            Reason::NotInjected { what: "the stamp of its identity" },
        ));
    }
    found
}

/// Pull Secrets are the kubelet's, no container sees them; but one that an identity owns would
/// be shared by that use.
fn pull_secrets(pod: &AgentPod, context: Context<'_>) -> Vec<Refusal> {
    let mut found = Vec::new();
    for (i, secret) in pod.spec.image_pull_secrets.iter().flatten().enumerate() {
        let path = format!("spec.imagePullSecrets[{i}]");
        let name = secret.name.clone();
        let own = || context.identity.lists_secret(&name).then_some(&context.identity.name);
        if let Some(owner) = context.owners.of(&name).map(|o| &o.identity).or_else(own) {
            let reason = Reason::PullSecretOwned { secret: name.clone(), identity: owner.clone() };
            found.push(Refusal::at(path.clone(), reason));
        }
        if !context.ceiling.allows_pull_secret(&name) {
            found.push(Refusal::at(path, Reason::PullSecretNotAllowed { secret: name }));
        }
    }
    found
}
