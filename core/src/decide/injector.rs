//! Tokens that a sidecar of somebody else's webhook holds: no identity lists them, a policy can.

use super::ceiling::Ceiling;
use super::credentials::Credential;
use super::image;
use super::pod::AgentPod;
use super::refusal::{Lacking, Reason};
use crate::api::Injector;

/// The longest life of such a token, in seconds. Istio asks for 12 hours and Linkerd for 24, and neither can be told
/// to ask for less; the kubelet replaces every token after 24 hours.
pub(super) const LONGEST_SECONDS: i64 = 86_400;

/// Whether an API server takes tokens for this audience: what identities list under `kubernetesAccess`, and what no
/// sidecar has by an injector. Offline only names that distributions give by default are known.
#[must_use]
pub(super) fn is_api_servers(audience: &str) -> bool {
    audience.is_empty()
        || audience.starts_with("https://kubernetes.default")
        || ["k3s", "rke2"].contains(&audience)
}

/// Whether every policy has an injector by which the container may hold this token.
///
/// # Errors
/// What a policy lacks that has the container as an injector; `None` where one has not, or there is no policy.
pub(super) fn covers(
    pod: &AgentPod,
    token: &Credential,
    audience: &str,
    ceiling: &Ceiling<'_>,
) -> Result<(), Option<Reason>> {
    let name = token.container.as_deref().ok_or(None)?;
    let mut injectors = Vec::new();
    for (policy, spec) in ceiling.policies() {
        injectors.push((policy, spec.injectors.iter().find(|i| i.name == name).ok_or(None)?));
    }
    let images = images(pod, name);
    if injectors.is_empty() || images.is_empty() || is_api_servers(audience) {
        return Err(None);
    }
    let volume = volume(pod, token);
    for (policy, injector) in injectors {
        if let Some(lacking) = lacking(injector, &images, volume, audience) {
            return Err(Some(Reason::InjectorLacks {
                injector: name.to_owned(),
                policy: policy.to_owned(),
                audience: audience.to_owned(),
                lacking,
            }));
        }
    }
    Ok(())
}

fn lacking(injector: &Injector, images: &[&str], volume: &str, audience: &str) -> Option<Lacking> {
    let lists = |image: &&&str| injector.images.iter().any(|prefix| image::matches(image, prefix));
    if let Some(other) = images.iter().find(|image| !lists(image)) {
        return Some(Lacking::Image((*other).to_owned()));
    }
    if !injector.volumes.iter().any(|v| v == volume) {
        return Some(Lacking::Volume(volume.to_owned()));
    }
    (!injector.audiences.iter().any(|a| a == audience)).then_some(Lacking::Audience)
}

/// Images of the containers of that name: one in what an API server takes, none where the name is an ephemeral
/// container's, which somebody adds by hand.
fn images<'a>(pod: &'a AgentPod, name: &str) -> Vec<&'a str> {
    if pod.spec.ephemeral_containers.iter().flatten().any(|c| c.name == name) {
        return Vec::new();
    }
    let containers = pod.spec.init_containers.iter().flatten().chain(&pod.spec.containers);
    containers.filter(|c| c.name == name).map(|c| c.image.as_deref().unwrap_or_default()).collect()
}

/// Name of the volume that a credential's path is in.
fn volume<'a>(pod: &'a AgentPod, token: &Credential) -> &'a str {
    let position =
        token.path.strip_prefix("spec.volumes[").and_then(|rest| rest.split(']').next()?.parse().ok());
    let volume = position.and_then(|at: usize| pod.spec.volumes.as_ref()?.get(at));
    volume.map(|v| v.name.as_str()).unwrap_or_default()
}
