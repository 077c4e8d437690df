//! What is no agent, and concerns agents: what would be said of it where agents are governed.

use super::{Governance, Pod, World, says_agent};
use crate::api::{AgentIdentitySpec, SecretKeyGrant};
use crate::decide::named::naming;
use crate::decide::pod::AgentPod;
use crate::decide::refusal::{Reason, Refusal};
use crate::names;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What a pod without identity is to know: that it names a Secret of an identity. It is refused for that once no such
/// pod is left from before, which no manifest says, so this is a warning.
#[must_use]
pub fn plain(pod: Pod<'_>, world: &World) -> Vec<Refusal> {
    if pod.governance == Governance::Nobody || !world.has_owned_secrets(pod.namespace) {
        return Vec::new();
    }
    let owners = world.owners(pod.namespace);
    // One that can't be read is refused by every API server.
    let Ok(read) = AgentPod::parse(&pod.written.to_string()) else { return Vec::new() };
    let owned = naming(&read).into_iter().filter_map(|(secret, path)| {
        let identity = owners.of(&secret)?.identity.clone();
        Some(Refusal::at(path, Reason::NamesOwned { secret, identity }))
    });
    owned.collect()
}

/// What an identity lists of Secrets that have no such key: a container is not started with one. `keys` are those of the
/// Secrets that are known; perpro itself reads none.
#[must_use]
pub fn missing_keys(spec: &AgentIdentitySpec, keys: &BTreeMap<String, BTreeSet<String>>) -> Vec<Refusal> {
    let mut found = Vec::new();
    for (i, container) in spec.containers.iter().enumerate() {
        for (j, SecretKeyGrant { secret, key, .. }) in container.secret_keys.iter().enumerate() {
            if let Some(has) = keys.get(secret).filter(|has| !has.contains(key)) {
                let has = has.iter().cloned().collect();
                let reason = Reason::NoSuchKey { secret: secret.clone(), key: key.clone(), has };
                found.push(Refusal::at(format!("spec.containers[{i}].secretKeys[{j}].key"), reason));
            }
        }
    }
    found
}

/// Labels that name an identity, or say that pods are agents, above the template of a workload and not on it: pods have the
/// template's labels alone, so these would run as nobody's. `label` is the value of a label in the metadata of what lies
/// at a path; `template` is that of the template, and empty for a pod.
#[must_use]
pub fn misplaced(template: &str, label: impl Fn(&[&str], &str) -> Value) -> Vec<Refusal> {
    let way: Vec<_> = template.split('.').filter(|field| !field.is_empty()).collect();
    let says = |at: &[&str], name: &str| match label(at, name) {
        Value::Null => false,
        value => name == names::IDENTITY_LABEL || says_agent(&value),
    };
    // One that names its identity says enough.
    if says(&way, names::IDENTITY_LABEL) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for label in [names::IDENTITY_LABEL, names::AGENT_LABEL].into_iter().filter(|l| !says(&way, l)) {
        for above in (0..way.len()).map(|n| &way[..n]).filter(|above| says(above, label)) {
            let place = [above, &["metadata", &format!("labels[{label}]")]].concat().join(".");
            found.push(Refusal::at(place, Reason::LabelNotOnPods { label, template: template.to_owned() }));
        }
    }
    found
}

/// What is wrong with a Secret, given that its namespace is governed: that it is to hold a token, which never ends. The
/// policy `perpro-token-secrets` says so too.
#[must_use]
pub fn token_secret(secret: &Value) -> Option<Refusal> {
    const ACCOUNT: &str = "kubernetes.io/service-account.name";
    if secret["type"] != "kubernetes.io/service-account-token" {
        return None;
    }
    let account = secret["metadata"]["annotations"][ACCOUNT].as_str().unwrap_or_default();
    Some(if account.starts_with(names::ACCOUNT_PREFIX) {
        Refusal::at(format!("metadata.annotations[{ACCOUNT}]"), Reason::TokenOfAgent)
    } else {
        Refusal::at("type", Reason::TokenWithoutEnd)
    })
}
