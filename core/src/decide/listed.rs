//! What a pod runs and holds, against what its identity lists for each of its containers.

use super::ceiling::Ceiling;
use super::container::ContainerView;
use super::credentials::{Credential, Place, What, env_paths};
use super::inject::{is_file, is_usual_token};
use super::pod::AgentPod;
use super::refusal::{Reason, Refusal};
use super::{image, injector};
use crate::api::{ContainerGrant, KubernetesAccess, SecretKeyGrant};
use crate::model::Identity;
use crate::names;

/// Images that the identity does not list for these containers, or the ceiling for any.
pub(super) fn images(
    containers: &[ContainerView<'_>],
    identity: &Identity,
    ceiling: &Ceiling<'_>,
) -> Vec<Refusal> {
    let mut found = Vec::new();
    for container in containers {
        let image = container.image.unwrap_or_default();
        let path = format!("{}.image", container.path);
        found.extend(over_ceiling(path, Some(container.name), image, ceiling));
        let Some(grant) = grant(identity, Some(container.name)) else { continue };
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

/// Images that the pod mounts as volumes, and the ceiling does not list: a program from there runs as well.
pub(super) fn mounted_images(pod: &AgentPod, ceiling: &Ceiling<'_>) -> Vec<Refusal> {
    let images = pod.volumes().filter_map(|(path, volume)| Some((path, volume.image.as_ref()?)));
    let judged = images.filter_map(|(path, image)| {
        let reference = image.reference.as_deref().unwrap_or_default();
        over_ceiling(format!("{path}.image.reference"), None, reference, ceiling)
    });
    judged.collect()
}

fn over_ceiling(
    path: String,
    container: Option<&str>,
    image: &str,
    ceiling: &Ceiling<'_>,
) -> Option<Refusal> {
    let policies = ceiling.allows_image(image).err()?;
    let (container, image) = (container.map(str::to_owned), image.to_owned());
    Some(Refusal::at(path, Reason::ImageOverCeiling { container, image, policies }))
}

/// Whether the pod still holds nothing but what the identity lists. Not whether it is admissible:
/// a running pod keeps a token that a later policy would make shorter, and that of a sidecar which no policy has as an
/// injector any more.
#[must_use]
pub fn is_covered(holds: &[Credential], identity: &Identity) -> bool {
    let of_an_injector = |c: &Credential| matches!(c.what, What::Token { audience: Some(_), .. });
    holds.iter().all(|c| of_an_injector(c) || unlisted(c, identity, i64::MAX).is_none())
}

/// Credentials that the pod holds, and that neither the identity lists nor an injector of the policies.
pub(super) fn extra(
    held: &[Credential],
    pod: &AgentPod,
    identity: &Identity,
    ceiling: &Ceiling<'_>,
) -> Vec<Refusal> {
    let limit = i64::from(ceiling.kubernetes_token_seconds());
    let found = held.iter().filter_map(|c| {
        let refusal = unlisted(c, identity, limit)?;
        let What::Token { audience: Some(audience), seconds, .. } = &c.what else { return Some(refusal) };
        let reason = match injector::covers(pod, c, audience, ceiling) {
            // Without a number the API server gives an hour.
            Ok(()) if seconds.unwrap_or(3600) <= injector::LONGEST_SECONDS => return None,
            Ok(()) => {
                Reason::TokenTooLong { container: c.container.clone(), limit: injector::LONGEST_SECONDS }
            }
            Err(lacking) => lacking.unwrap_or(refusal.reason),
        };
        Some(Refusal::at(refusal.path, reason))
    });
    found.collect()
}

fn unlisted(credential: &Credential, identity: &Identity, limit: i64) -> Option<Refusal> {
    let grant = grant(identity, credential.container.as_deref());
    let container = || credential.container.clone();
    let identity = || identity.name.clone();
    let reason = match &credential.what {
        What::SecretKey { secret, key, .. }
            if grant.is_some_and(|g| g.secret_keys.iter().any(|k| k.secret == *secret && k.key == *key)) =>
        {
            return None;
        }
        What::SecretKey { secret, key, .. } => Reason::UnlistedSecretKey {
            container: container(),
            secret: secret.clone(),
            key: key.clone(),
            identity: identity(),
        },
        What::WholeSecret { secret, by } => {
            Reason::WholeSecret { container: container(), secret: secret.clone(), by, identity: identity() }
        }
        What::Token { audience: None, seconds, .. }
            if grant.is_some_and(|g| g.kubernetes_access == KubernetesAccess::Token) =>
        {
            // Without a number the API server gives an hour.
            if seconds.unwrap_or(3600) <= limit {
                return None;
            }
            Reason::TokenTooLong { container: container(), limit }
        }
        What::Token { audience, .. } => {
            Reason::UnlistedToken { container: container(), audience: audience.clone(), identity: identity() }
        }
        What::PodCertificate => Reason::PodCertificate { container: container() },
        What::FromFile { env } => {
            Reason::FromFile { container: container().unwrap_or_default(), env: env.clone() }
        }
    };
    Some(Refusal::at(&credential.path, reason))
}

/// Credentials that the identity lists and a container of the pod lacks.
pub(super) fn missing(pod: &AgentPod, identity: &Identity, held: &[Credential]) -> Vec<Refusal> {
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
        // What is in its place, or that it is nowhere.
        let unmounted = |path: &str, what: &dyn Fn() -> Reason| {
            let at = container.mounts.iter().position(|m| m.mount_path.trim_end_matches('/') == path);
            let mounts = format!("{}.volumeMounts", container.path);
            match at {
                Some(at) => Refusal::at(
                    format!("{mounts}[{at}]"),
                    Reason::MountTaken { container: container.name.to_owned(), path: path.to_owned() },
                ),
                None => Refusal::at(mounts, what()),
            }
        };
        for key in &grant.secret_keys {
            let what = || lacks(format!("key \"{}\" of Secret \"{}\"", key.key, key.secret));
            if let Some(env) = &key.env
                && !holds(&|what| is_env(what, key, env))
            {
                found.push(match container.env.iter().position(|e| e.name == *env) {
                    Some(at) => {
                        let reason = Reason::EnvTaken {
                            container: container.name.to_owned(),
                            env: env.clone(),
                            secret: key.secret.clone(),
                            key: key.key.clone(),
                        };
                        Refusal::at(env_paths(&container)(at), reason)
                    }
                    None => Refusal::at(format!("{}.env", container.path), what()),
                });
            }
            if key.path.is_some() && !holds(&|what| is_file(what, key)) {
                found.push(unmounted(names::SECRETS_DIR, &what));
            }
        }
        if grant.kubernetes_access == KubernetesAccess::Token && !holds(&is_usual_token) {
            found.push(unmounted(names::TOKEN_DIR, &|| lacks("the Kubernetes token".to_owned())));
        }
    }
    found
}

fn is_env(what: &What, key: &SecretKeyGrant, env: &str) -> bool {
    matches!(what, What::SecretKey { secret, key: k, place: Place::Env(name) }
        if *secret == key.secret && *k == key.key && name == env)
}

/// What the identity lists for this container.
fn grant<'a>(identity: &'a Identity, container: Option<&str>) -> Option<&'a ContainerGrant> {
    identity.spec.containers.iter().find(|g| Some(g.name.as_str()) == container)
}
