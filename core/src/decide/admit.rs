//! May this pod run under this identity? Asked by the webhook when the pod is created, and again
//! by the controller on the live pod before it gives the pod any power.

use super::ceiling::Ceiling;
use super::credentials::{Place, What, credentials};
use super::inject::{is_file, is_usual_token};
use super::pod::AgentPod;
use super::refusal::{Reason, Refusal};
use super::{image, isolation};
use crate::api::{ContainerGrant, KubernetesAccess, SecretKeyGrant};
use crate::model::{Identity, IdentityEnd};
use crate::names;
use jiff::Timestamp;

/// What bounds the pod.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The identity that the pod names.
    pub identity: &'a Identity,
    /// All identities of the namespace; itself may be among them.
    pub siblings: &'a [Identity],
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
    let Context { identity, siblings, now, .. } = context;
    let name = || identity.name.clone();
    let label = format!("metadata.labels[{}]", names::IDENTITY_LABEL);
    let ended = identity.ended(now).map(|end| match end {
        IdentityEnd::Deleted => {
            Reason::UnknownIdentity { identity: name(), namespace: identity.namespace.clone() }
        }
        IdentityEnd::Suspended => Reason::Suspended { identity: name() },
        IdentityEnd::Expired => {
            Reason::Expired { identity: name(), at: identity.spec.expires_at.0.to_string() }
        }
    });
    let overdue = identity.spec.secrets.iter().filter(|s| s.rotate_by.0 <= now).map(|s| {
        Reason::RotationOverdue { secret: s.name.clone(), identity: name(), at: s.rotate_by.0.to_string() }
    });
    let shared = identity.spec.secrets.iter().filter_map(|s| {
        let owner = secret_owner(identity, siblings, &s.name)?;
        Some(Reason::SharedSecret { secret: s.name.clone(), identity: name(), owner: owner.name.clone() })
    });
    ended.into_iter().chain(overdue).chain(shared).map(|r| Refusal::at(label.clone(), r)).collect()
}

/// The older identity to which a Secret that `identity` lists belongs, if there is one.
#[must_use]
pub fn secret_owner<'a>(identity: &Identity, siblings: &'a [Identity], secret: &str) -> Option<&'a Identity> {
    siblings
        .iter()
        .filter(|s| s.uid != identity.uid && s.lists_secret(secret) && s.precedes(identity))
        .min_by(|a, b| (a.created, &a.uid).cmp(&(b.created, &b.uid)))
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
    refusals.extend(images(pod, identity));
    refusals.extend(extra(pod, context));
    refusals.extend(missing(pod, identity));
    refusals.extend(pull_secrets(pod, context));
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
        if !pod.containers().iter().any(|c| c.name == grant.name) {
            let reason = Reason::ListedContainerAbsent {
                container: grant.name.clone(),
                identity: identity.name.clone(),
            };
            verdict.warnings.push(Refusal::at("spec.containers", reason));
        }
    }
    verdict
}

/// Labels and annotations under our prefix that are not exactly what we write.
fn marks(pod: &AgentPod, identity: &Identity) -> Vec<Refusal> {
    let meta = &pod.pod.metadata;
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

fn grant<'a>(identity: &'a Identity, container: Option<&str>) -> Option<&'a ContainerGrant> {
    identity.spec.containers.iter().find(|g| Some(g.name.as_str()) == container)
}

fn images(pod: &AgentPod, identity: &Identity) -> Vec<Refusal> {
    let mut found = Vec::new();
    for container in pod.containers() {
        let Some(grant) = grant(identity, Some(container.name)) else { continue };
        let image = container.image.unwrap_or_default();
        if !grant.images.is_empty() && !grant.images.iter().any(|p| image::matches(image, p)) {
            let reason = Reason::ImageNotAllowed {
                container: container.name.to_owned(),
                image: image.to_owned(),
                identity: identity.name.clone(),
            };
            found.push(Refusal::at(format!("{}.image", container.path), reason));
        }
    }
    found
}

/// Credentials that the pod holds and the identity does not list.
fn extra(pod: &AgentPod, context: Context<'_>) -> Vec<Refusal> {
    let identity = context.identity;
    let limit = i64::from(context.ceiling.kubernetes_token_seconds());
    let verdict = |container: Option<String>, what: What| -> Option<Reason> {
        let grant = grant(identity, container.as_deref());
        let identity = identity.name.clone();
        match what {
            What::SecretKey { secret, key, place: _ } => {
                let listed =
                    grant.is_some_and(|g| g.secret_keys.iter().any(|k| k.secret == secret && k.key == key));
                (!listed).then_some(Reason::UnlistedSecretKey { container, secret, key, identity })
            }
            What::WholeSecret { secret, by } => Some(Reason::WholeSecret { container, secret, by, identity }),
            What::Token { audience: None, seconds, .. }
                if grant.is_some_and(|g| g.kubernetes_access == KubernetesAccess::Token) =>
            {
                // Without a number the API server gives an hour.
                (seconds.unwrap_or(3600) > limit).then_some(Reason::TokenTooLong { container, limit })
            }
            What::Token { audience, .. } => Some(Reason::UnlistedToken { container, audience, identity }),
            What::PodCertificate => Some(Reason::PodCertificate { container }),
            What::FromFile { env } => {
                Some(Reason::FromFile { container: container.unwrap_or_default(), env })
            }
        }
    };
    credentials(pod)
        .into_iter()
        .filter_map(|c| verdict(c.container, c.what).map(|reason| Refusal::at(c.path, reason)))
        .collect()
}

/// Credentials that the identity lists and a container of the pod lacks.
fn missing(pod: &AgentPod, identity: &Identity) -> Vec<Refusal> {
    let held = credentials(pod);
    let mut found = Vec::new();
    for container in pod.containers() {
        let Some(grant) = grant(identity, Some(container.name)) else { continue };
        let holds = |test: &dyn Fn(&What) -> bool| {
            held.iter().any(|c| c.container.as_deref() == Some(container.name) && test(&c.what))
        };
        let lacks = |what: String| Reason::ListedMissing {
            container: container.name.to_owned(),
            what,
            identity: identity.name.clone(),
        };
        let mounted = |at: &str| container.mounts.iter().any(|m| m.mount_path.trim_end_matches('/') == at);
        let taken =
            |path: &str| Reason::MountTaken { container: container.name.to_owned(), path: path.to_owned() };
        for key in &grant.secret_keys {
            let what = || lacks(format!("key \"{}\" of Secret \"{}\"", key.key, key.secret));
            if let Some(env) = &key.env
                && !holds(&|what| is_env(what, key, env))
            {
                let reason = if container.env.iter().any(|e| e.name == *env) {
                    Reason::EnvTaken {
                        container: container.name.to_owned(),
                        env: env.clone(),
                        secret: key.secret.clone(),
                        key: key.key.clone(),
                    }
                } else {
                    what()
                };
                found.push(Refusal::at(format!("{}.env", container.path), reason));
            }
            if key.path.is_some() && !holds(&|what| is_file(what, key)) {
                let reason = if mounted(names::SECRETS_DIR) { taken(names::SECRETS_DIR) } else { what() };
                found.push(Refusal::at(format!("{}.volumeMounts", container.path), reason));
            }
        }
        if grant.kubernetes_access == KubernetesAccess::Token && !holds(&is_usual_token) {
            let reason = if mounted(names::TOKEN_DIR) {
                taken(names::TOKEN_DIR)
            } else {
                lacks("the Kubernetes token".to_owned())
            };
            found.push(Refusal::at(format!("{}.volumeMounts", container.path), reason));
        }
    }
    found
}

fn is_env(what: &What, key: &SecretKeyGrant, env: &str) -> bool {
    matches!(what, What::SecretKey { secret, key: k, place: Place::Env(name) }
        if *secret == key.secret && *k == key.key && name == env)
}

/// Pull Secrets are the kubelet's, no container sees them; but one that an identity owns would
/// be shared by that use.
fn pull_secrets(pod: &AgentPod, context: Context<'_>) -> Vec<Refusal> {
    let mut found = Vec::new();
    for (i, secret) in pod.spec.image_pull_secrets.iter().flatten().enumerate() {
        let path = format!("spec.imagePullSecrets[{i}]");
        let name = secret.name.clone();
        let owners = context.siblings.iter().chain([context.identity]);
        if let Some(owner) = owners.into_iter().find(|s| s.lists_secret(&name)) {
            let reason = Reason::PullSecretOwned { secret: name.clone(), identity: owner.name.clone() };
            found.push(Refusal::at(path.clone(), reason));
        }
        if !context.ceiling.allows_pull_secret(&name) {
            found.push(Refusal::at(path, Reason::PullSecretNotAllowed { secret: name }));
        }
    }
    found
}
