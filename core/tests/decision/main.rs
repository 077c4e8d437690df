//! What the decision on a pod promises: as tables of what is refused beside what passes, and of pods drawn at
//! random, with every door for a credential that the pod API has.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod beyond;
mod fields;
mod held;
mod random;
mod runs;
mod written;

use jiff::Timestamp;
use perpro_core::api::{AgentIdentitySpec, AgentPolicy, ContainerGrant, OwnedSecret, Owner, OwnerKind};
use perpro_core::decide::admit::{Context, admit};
use perpro_core::decide::ceiling::Ceiling;
use perpro_core::decide::inject::{Instance, inject};
use perpro_core::decide::pod::AgentPod;
use perpro_core::model::{Author, Identity, SecretOwners};
use serde_json::{Value, json};

const ACCOUNT: &str = "aid-bot-0123456789";

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

fn later() -> k8s_openapi::apimachinery::pkg::apis::meta::v1::Time {
    k8s_openapi::apimachinery::pkg::apis::meta::v1::Time("2027-01-01T00:00:00Z".parse().unwrap())
}

fn identity(containers: Vec<ContainerGrant>) -> Identity {
    Identity {
        namespace: "ns".into(),
        name: "bot".into(),
        uid: "uid-1".into(),
        generation: 3,
        created: now(),
        deleting: false,
        author: Some(Author { user: "jane".into(), groups: vec![] }),
        authorization: None,
        spec: AgentIdentitySpec {
            owner: Owner { kind: OwnerKind::User, name: "jane".into() },
            expires_at: later(),
            justification: "reads feedback".into(),
            contacts: vec![],
            suspended: false,
            permissions: vec![],
            secrets: ["crm", "llm"].map(|name| OwnedSecret { name: name.into(), rotate_by: later() }).into(),
            containers,
        },
    }
}

/// A pod that brings nothing itself.
fn plain_pod() -> Value {
    json!({"metadata": {"labels": {"perpro.dev/identity": "bot"}}, "spec": {
        "containers": [{"name": "agent", "image": "i"}, {"name": "tool", "image": "i"}],
        "initContainers": [{"name": "init", "image": "i"}]}})
}

fn injected(raw: &Value, identity: &Identity) -> Value {
    let read = AgentPod::parse(&raw.to_string()).unwrap();
    inject(raw, &read, Instance { identity, account: ACCOUNT, token_seconds: 900 })
}

/// What is refused of a pod, where nobody else is in the namespace and no policy bounds it.
fn refusals(raw: &Value, identity: &Identity) -> Vec<String> {
    refusals_among(raw, identity, &[], &[])
}

fn refusals_among(
    raw: &Value,
    identity: &Identity,
    siblings: &[Identity],
    policies: &[AgentPolicy],
) -> Vec<String> {
    let ceiling = Ceiling::of("ns", policies);
    let owners = SecretOwners::among(siblings);
    let context = Context { identity, owners: &owners, ceiling: &ceiling, now: now() };
    let verdict = admit(&AgentPod::parse(&raw.to_string()).unwrap(), context);
    verdict.refusals.iter().map(ToString::to_string).collect()
}

fn codes(refusals: &[String]) -> Vec<&str> {
    refusals.iter().map(|refusal| &refusal[..6]).collect()
}

/// Identity `bot`, whose container `agent` has a token and two keys, and `tool` has a key of its own.
fn two_containers() -> Identity {
    let grant = |name: &str, token: bool, keys: Value| json!({"name": name, "kubernetesAccess": if token { "Token" } else { "None" }, "secretKeys": keys});
    let containers = json!([
        grant(
            "agent",
            true,
            json!([{"secret": "crm", "key": "k1", "env": "CRM", "path": "crm/k1"}, {"secret": "llm", "key": "k1", "env": "LLM"}])
        ),
        grant("tool", false, json!([{"secret": "llm", "key": "k2", "env": "OTHER"}])),
    ]);
    identity(serde_json::from_value(containers).unwrap())
}

/// What is refused when somebody changes a pod that perpro has written.
fn refused_when(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let identity = two_containers();
    let mut stored = injected(&plain_pod(), &identity);
    change(&mut stored);
    refusals(&stored, &identity)
}
