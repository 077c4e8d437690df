//! Writes into a pod what its identity lists: account, gate, tokens and Secret keys.
//!
//! Works on the raw JSON, so that fields which the types don't know survive. It never fails and
//! never overrules what it did not write: where a name or path is taken, [`super::admit`] says so.

use super::credentials::{Place, What, credentials};
use super::pod::AgentPod;
use crate::api::{ContainerGrant, KubernetesAccess, SecretKeyGrant};
use crate::model::Identity;
use crate::names;
use serde_json::{Map, Value, json};

/// What the pod runs under.
#[derive(Clone, Copy, Debug)]
pub struct Instance<'a> {
    /// The identity, as it was when the pod was decided on.
    pub identity: &'a Identity,
    /// Name of the account minted for this pod.
    pub account: &'a str,
    /// Lifetime of Kubernetes tokens, in seconds.
    pub token_seconds: u32,
}

/// The pod with everything that its identity lists and nothing that perpro wrote before. `read`:
/// the same pod as it was read.
#[must_use]
pub fn inject(raw: &Value, read: &AgentPod, instance: Instance<'_>) -> Value {
    let mut pod = raw.clone();
    stamp(&mut pod, instance.identity);
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else { return pod };
    run_as(spec, instance.account);
    remove_ours(spec);
    let held = credentials(&without_ours(read));
    for grant in &instance.identity.spec.containers {
        let holds = |what: &dyn Fn(&What) -> bool| {
            held.iter().any(|c| c.container.as_deref() == Some(&grant.name) && what(&c.what))
        };
        if find_container(spec, &grant.name).is_none() {
            continue;
        }
        for key in grant.secret_keys.iter().rev() {
            set_env(spec, &grant.name, key);
        }
        let files: Vec<_> = grant.secret_keys.iter().filter(|k| k.path.is_some()).collect();
        if !files.iter().all(|k| holds(&|what| is_file(what, k))) {
            add_volume(spec, grant, &keys_volume(&grant.name, &files), names::SECRETS_DIR);
        }
        if grant.kubernetes_access == KubernetesAccess::Token && !holds(&is_usual_token) {
            add_volume(spec, grant, &token_volume(&grant.name, instance.token_seconds), names::TOKEN_DIR);
        }
    }
    pod
}

fn stamp(pod: &mut Value, identity: &Identity) {
    let Some(object) = pod.as_object_mut() else { return };
    let metadata = entry(object, "metadata", json!({}));
    let annotations = metadata.as_object_mut().map(|m| entry(m, "annotations", json!({})));
    if let Some(Value::Object(annotations)) = annotations {
        annotations.insert(names::IDENTITY_UID.to_owned(), json!(identity.uid));
        annotations.insert(names::IDENTITY_GENERATION.to_owned(), json!(identity.generation.to_string()));
    }
}

fn run_as(spec: &mut Map<String, Value>, account: &str) {
    spec.insert("serviceAccountName".to_owned(), json!(account));
    spec.insert("serviceAccount".to_owned(), json!(account));
    spec.insert("automountServiceAccountToken".to_owned(), json!(false));
    if let Value::Array(gates) = entry(spec, "schedulingGates", json!([]))
        && !gates.iter().any(|g| g["name"] == names::GATE)
    {
        gates.push(json!({ "name": names::GATE }));
    }
}

/// Removes our own volumes, so that injecting twice is injecting once, and the default token
/// that the ServiceAccount admission plugin mounted for the account the user named.
fn remove_ours(spec: &mut Map<String, Value>) {
    let ours = |name: &Value| name.as_str().is_some_and(is_ours);
    if let Some(Value::Array(volumes)) = spec.get_mut("volumes") {
        volumes.retain(|v| !ours(&v["name"]));
    }
    for list in ["initContainers", "containers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(Value::Array(mounts)) = container.get_mut("volumeMounts") {
                mounts.retain(|m| !ours(&m["name"]));
            }
        }
    }
}

/// What is left of the pod's credentials by [`remove_ours`].
fn without_ours(pod: &AgentPod) -> AgentPod {
    let mut spec = pod.spec.clone();
    spec.volumes.iter_mut().for_each(|volumes| volumes.retain(|v| !is_ours(&v.name)));
    AgentPod::known(spec)
}

/// Whether a volume of that name is one of ours, or the default token.
fn is_ours(volume: &str) -> bool {
    [names::KEYS_VOLUME, names::TOKEN_VOLUME, "kube-api-access-"].iter().any(|p| volume.starts_with(p))
}

/// Sets the variable first in the list, so that the user's own can refer to it as `$(NAME)`.
fn set_env(spec: &mut Map<String, Value>, container: &str, key: &SecretKeyGrant) {
    let Some(name) = &key.env else { return };
    let Some(container) = find_container(spec, container) else { return };
    if let Value::Array(env) = entry(container, "env", json!([]))
        && !env.iter().any(|e| e["name"] == name.as_str())
    {
        let source = json!({ "secretKeyRef": { "name": key.secret, "key": key.key } });
        env.insert(0, json!({ "name": name, "valueFrom": source }));
    }
}

/// Adds a volume and mounts it in the grant's container, unless something is mounted there.
fn add_volume(spec: &mut Map<String, Value>, grant: &ContainerGrant, volume: &Value, mount_path: &str) {
    let Some(container) = find_container(spec, &grant.name) else { return };
    let Value::Array(mounts) = entry(container, "volumeMounts", json!([])) else { return };
    let taken = |m: &Value| m["mountPath"].as_str().is_some_and(|p| p.trim_end_matches('/') == mount_path);
    if mounts.iter().any(taken) {
        return;
    }
    mounts.push(json!({ "name": volume["name"], "mountPath": mount_path, "readOnly": true }));
    if let Value::Array(volumes) = entry(spec, "volumes", json!([])) {
        volumes.push(volume.clone());
    }
}

fn keys_volume(container: &str, files: &[&SecretKeyGrant]) -> Value {
    let source = |k: &&SecretKeyGrant| {
        let items = json!([{ "key": k.key, "path": k.path }]);
        json!({ "secret": { "name": k.secret, "items": items } })
    };
    let sources: Vec<_> = files.iter().map(source).collect();
    json!({ "name": format!("{}{container}", names::KEYS_VOLUME), "projected": { "sources": sources } })
}

/// What the ServiceAccount admission plugin mounts, with a lifetime of ours.
fn token_volume(container: &str, seconds: u32) -> Value {
    let namespace = json!({ "fieldPath": "metadata.namespace" });
    json!({
        "name": format!("{}{container}", names::TOKEN_VOLUME),
        "projected": { "sources": [
            { "serviceAccountToken": { "expirationSeconds": seconds, "path": "token" } },
            { "configMap": { "name": names::ROOT_CA_CONFIG_MAP, "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
            { "downwardAPI": { "items": [{ "path": "namespace", "fieldRef": namespace }] } },
        ] }
    })
}

/// Whether `what` is the file that `key` lists.
pub(super) fn is_file(what: &What, key: &SecretKeyGrant) -> bool {
    let wanted = key.path.as_ref().map(|p| format!("{}/{p}", names::SECRETS_DIR));
    matches!(what, What::SecretKey { secret, key: k, place: Place::File(at) }
        if *secret == key.secret && *k == key.key && Some(at) == wanted.as_ref())
}

/// Whether `what` is the API server's token where client libraries look for it.
pub(super) fn is_usual_token(what: &What) -> bool {
    matches!(what, What::Token { audience: None, place: Place::File(at), .. }
        if at.strip_prefix(names::TOKEN_DIR) == Some("/token"))
}

fn find_container<'a>(spec: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    let list = ["initContainers", "containers"].into_iter().find(|l| {
        spec.get(*l).and_then(Value::as_array).is_some_and(|c| c.iter().any(|c| c["name"] == name))
    })?;
    let containers = spec.get_mut(list)?.as_array_mut()?;
    containers.iter_mut().find(|c| c["name"] == name)?.as_object_mut()
}

/// The value at `key`, set to `default` when absent or null.
fn entry<'a>(object: &'a mut Map<String, Value>, key: &str, default: Value) -> &'a mut Value {
    let value = object.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = default;
    }
    value
}
