//! Pods: what inject makes of one, and what admit says of that. Whether a pod holds what its identity does not list is
//! asked of its JSON by other means than the decision's.

use perpro_core::decide::admit::{Context, admit};
use perpro_core::decide::ceiling::Ceiling;
use perpro_core::decide::check::as_stored;
use perpro_core::decide::inject::{Instance, inject};
use perpro_core::decide::pod::AgentPod;
use perpro_core::decide::refusal::summary;
use perpro_core::decide::rehearse::placeholder;
use perpro_core::model::{Identity, SecretOwners};
use serde_json::{Value, json};

/// Lifetime of tokens where no policy says another, in seconds.
const TOKEN_SECONDS: i64 = 900;

/// The identity that the manifests of the catalogue name, with a tool beside its agent.
fn identity() -> Identity {
    let written = json!({"metadata": {"name": "reader"}, "spec": {
        "owner": {"kind": "User", "name": "jane@example.com"}, "expiresAt": "2036-01-01T00:00:00Z",
        "justification": "Reads feedback.",
        "secrets": [{"name": "crm", "rotateBy": "2036-01-01T00:00:00Z"}],
        "containers": [
            {"name": "agent", "images": ["ghcr.io/acme/"], "kubernetesAccess": "Token", "secretKeys": [
                {"secret": "crm", "key": "api-key", "env": "CRM_API_KEY"}, {"secret": "crm", "key": "ca", "path": "crm/ca"}]},
            {"name": "tool", "secretKeys": [{"secret": "crm", "key": "tool", "env": "T"}]}],
    }});
    let written = serde_json::from_value(written).unwrap_or_else(|error| panic!("{error}"));
    let now = "2026-06-01T00:00:00Z".parse().unwrap_or_else(|error| panic!("{error}"));
    as_stored(written, "ns", None, 0, now)
}

/// Reads, injects and judges a pod.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(raw) = serde_json::from_str::<Value>(text) else { return };
    // As it comes from an API server: every field once.
    let text = raw.to_string();
    let pod = match AgentPod::parse(&text) {
        Ok(pod) => pod,
        Err(refusal) => {
            // Its path may be as long as a key, what it quotes may not.
            assert!(refusal.reason.to_string().len() <= 1000, "{refusal}");
            return;
        }
    };
    let identity = identity();
    let account = placeholder(&identity.name);
    let into = |raw: &Value, read: &AgentPod| {
        let token_seconds = u32::try_from(TOKEN_SECONDS).unwrap_or_default();
        inject(raw, read, Instance { identity: &identity, account: &account, token_seconds })
    };
    let once = into(&raw, &pod);
    let Ok(stored) = AgentPod::parse(&once.to_string()) else { return };
    assert_eq!(into(&once, &stored), once, "injecting twice is injecting once");
    let (owners, ceiling) = (SecretOwners::default(), Ceiling::default());
    let context = Context { identity: &identity, owners: &owners, ceiling: &ceiling, now: identity.created };
    let verdict = admit(&stored, context);
    let told = summary(&verdict.refusals);
    assert!(
        told.len() <= 12 * once.to_string().len() + 2000,
        "a verdict is much longer than its pod: {told}"
    );
    if verdict.refusals.is_empty() {
        let found = Oracle { identity: &identity }.held(&once["spec"]);
        assert!(found.is_empty(), "an admitted pod holds {found:?}: {once}");
    }
}

/// Says of JSON what it gives to containers, and knows no types.
struct Oracle<'a> {
    identity: &'a Identity,
}

impl Oracle<'_> {
    /// All that the pod has beyond what its identity lists.
    fn held(&self, spec: &Value) -> Vec<String> {
        let mut found = Vec::new();
        for field in
            ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "automountServiceAccountToken"]
        {
            if spec[field] == true {
                found.push(field.to_owned());
            }
        }
        if spec["nodeName"].as_str().is_some_and(|n| !n.is_empty())
            || !items(&spec["ephemeralContainers"]).is_empty()
        {
            found.push("a node or debugging".to_owned());
        }
        if spec["serviceAccountName"] != placeholder(&self.identity.name).as_str() {
            found.push("another account".to_owned());
        }
        if items(&spec["imagePullSecrets"]).iter().any(|s| s["name"] == "crm") {
            found.push("its Secret to pull by".to_owned());
        }
        let containers: Vec<_> =
            ["containers", "initContainers"].iter().flat_map(|list| items(&spec[list])).collect();
        for container in &containers {
            self.in_container(container, &mut found);
        }
        for volume in items(&spec["volumes"]) {
            let mounts = |c: &&&Value| items(&c["volumeMounts"]).iter().any(|m| m["name"] == volume["name"]);
            let mut by: Vec<_> = containers.iter().filter(mounts).map(|c| c["name"].as_str()).collect();
            if by.is_empty() {
                by.push(None);
            }
            for container in by {
                self.in_volume(volume, container, &mut found);
            }
        }
        found
    }

    fn lists(&self, container: Option<&str>, secret: &Value, key: &Value) -> bool {
        let grants = self.identity.spec.containers.iter().filter(|g| Some(g.name.as_str()) == container);
        grants.flat_map(|g| &g.secret_keys).any(|k| *secret == k.secret.as_str() && *key == k.key.as_str())
    }

    fn in_container(&self, container: &Value, found: &mut Vec<String>) {
        let name = container["name"].as_str();
        for env in items(&container["env"]) {
            for (field, source) in set(&env["valueFrom"]) {
                let fine = match field {
                    "configMapKeyRef" | "fieldRef" | "resourceFieldRef" => true,
                    "secretKeyRef" => self.lists(name, &source["name"], &source["key"]),
                    _ => false,
                };
                if !fine {
                    found.push(format!("{name:?} has {field} {source}"));
                }
            }
        }
        for from in items(&container["envFrom"]) {
            let other = set(from).into_iter().find(|(f, _)| !["configMapRef", "prefix"].contains(f));
            found.extend(other.map(|(field, _)| format!("{name:?} has all of a {field}")));
        }
        let security = &container["securityContext"];
        if security["privileged"] == true
            || items(&security["capabilities"]["add"]).iter().any(|c| c == "SYS_PTRACE")
        {
            found.push(format!("{name:?} reaches the node"));
        }
    }

    fn in_volume(&self, volume: &Value, container: Option<&str>, found: &mut Vec<String>) {
        const OWN: [&str; 7] =
            ["name", "configMap", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim"];
        for (field, source) in set(volume) {
            match field {
                field if OWN.contains(&field) => {}
                "secret" => self.of_secret(&source["secretName"], source, container, found),
                "projected" => {
                    for source in items(&source["sources"]) {
                        self.of_projection(source, container, found);
                    }
                }
                _ => found.push(format!("{container:?} has a volume {field}")),
            }
        }
    }

    fn of_projection(&self, source: &Value, container: Option<&str>, found: &mut Vec<String>) {
        for (field, source) in set(source) {
            match field {
                "configMap" | "downwardAPI" | "clusterTrustBundle" => {}
                "secret" => self.of_secret(&source["name"], source, container, found),
                "serviceAccountToken" => {
                    let for_others = source["audience"].as_str().is_some_and(|a| !a.is_empty());
                    let long = source["expirationSeconds"].as_i64().is_none_or(|s| s > TOKEN_SECONDS);
                    if container != Some("agent") || for_others || long {
                        found.push(format!("{container:?} has a token: {source}"));
                    }
                }
                _ => found.push(format!("{container:?} has a projected {field}")),
            }
        }
    }

    fn of_secret(&self, name: &Value, source: &Value, container: Option<&str>, found: &mut Vec<String>) {
        let items = items(&source["items"]);
        if items.is_empty() || !items.iter().all(|item| self.lists(container, name, &item["key"])) {
            found.push(format!("{container:?} has Secret {name}: {items:?}"));
        }
    }
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The fields of an object that hold anything.
fn set(object: &Value) -> Vec<(&str, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.map(|(name, value)| (name.as_str(), value)).filter(|(_, value)| !value.is_null()).collect()
}
