//! The life of an instance as a table: what is there, and which writes are missing.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod end;
mod lost;
mod stale;
mod told;
mod up;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use perpro_core::api::{AgentIdentitySpec, AgentPolicy, Authorization, Owner, OwnerKind, PermissionRule};
use perpro_core::decide::ceiling::Ceiling;
use perpro_core::decide::lifecycle::{Observed, Plan, Step, plan};
use perpro_core::model::{Account, Author, Binding, Claim, Identity, PodFacts};
use serde_json::json;

const ACCOUNT: &str = "aid-bot-0123456789";

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

fn rule() -> PermissionRule {
    PermissionRule {
        api_groups: vec![String::new()],
        resources: vec!["configmaps".into()],
        resource_names: vec![],
        verbs: vec!["get".into()],
    }
}

/// Everything that can be there; a test changes what it is about.
struct World {
    governed: bool,
    identity: Option<Identity>,
    policy: AgentPolicy,
    role: Option<Vec<PermissionRule>>,
    pods: Vec<PodFacts>,
    accounts: Vec<Account>,
    bindings: Vec<Binding>,
}

impl World {
    /// A running instance: claimed, bound, released.
    fn running() -> Self {
        let spec = AgentIdentitySpec {
            owner: Owner { kind: OwnerKind::User, name: "jane".into() },
            expires_at: Time("2027-01-01T00:00:00Z".parse().unwrap()),
            justification: "reads feedback".into(),
            contacts: vec![],
            suspended: false,
            permissions: vec![rule()],
            secrets: vec![],
            containers: vec![],
        };
        let policy = json!({"namespaces": ["ns"], "permissions": [rule()], "maxInstances": 10});
        Self {
            governed: true,
            identity: Some(Identity {
                namespace: "ns".into(),
                name: "bot".into(),
                uid: "identity-1".into(),
                generation: 1,
                created: ago(1000),
                deleting: false,
                author: Some(Author { user: "jane".into(), groups: vec![] }),
                authorization: Some(Authorization {
                    author: "jane".into(),
                    generation: 1,
                    since: Time(ago(1000)),
                    expires_at: spec.expires_at.clone(),
                    permissions: vec![rule()],
                    secrets: vec![],
                }),
                spec,
            }),
            policy: AgentPolicy::new("policy", serde_json::from_value(policy).unwrap()),
            role: Some(vec![rule()]),
            pods: vec![PodFacts {
                name: "pod".into(),
                uid: "pod-1".into(),
                created: ago(100),
                identity_uid: Some("identity-1".into()),
                account: ACCOUNT.into(),
                gated: false,
                finished: false,
                deletion: None,
                grace_seconds: 60,
                holds: vec![],
                controller: None,
            }],
            accounts: vec![Account {
                name: ACCOUNT.into(),
                uid: "account-1".into(),
                resource_version: "1".into(),
                created: ago(100),
                identity_uid: Some("identity-1".into()),
                owned: false,
                stale_since: None,
                claim: Some(Claim { pod_name: "pod".into(), pod_uid: "pod-1".into() }),
                deleting: false,
            }],
            bindings: vec![Binding {
                name: ACCOUNT.into(),
                uid: "binding-1".into(),
                resource_version: "1".into(),
                deleting: false,
            }],
        }
    }

    /// As the webhook leaves it.
    fn created() -> Self {
        let mut world = Self::running();
        world.pods[0].gated = true;
        world.accounts[0].claim = None;
        world.bindings.clear();
        world
    }

    fn plan(&self) -> Plan {
        let observed = Observed {
            name: "bot",
            governed: self.governed,
            identity: self.identity.as_ref(),
            ceiling: &Ceiling::of("ns", [&self.policy]),
            role: self.role.as_deref(),
            pods: self.pods.iter().collect(),
            accounts: self.accounts.iter().collect(),
            bindings: self.bindings.iter().collect(),
        };
        plan(&observed, now())
    }

    /// The chains by the names of their steps.
    fn steps(&self) -> Vec<Vec<&'static str>> {
        let name = |step: &Step| match step {
            Step::Reject { .. } => "reject",
            Step::MarkStale { since: Some(_), .. } => "mark-stale",
            Step::MarkStale { since: None, .. } => "unmark-stale",
            Step::Claim { .. } => "claim",
            Step::Bind { .. } => "bind",
            Step::Ungate { .. } => "ungate",
            Step::ConfirmLost { .. } => "confirm lost",
            Step::ConfirmNoAccount { .. } => "confirm no account",
            Step::Unbind(_) => "unbind",
            Step::DeleteAccount(_) => "delete account",
            Step::DeletePod { .. } => "delete pod",
        };
        self.plan().chains.iter().map(|chain| chain.iter().map(name).collect()).collect()
    }

    fn identity(&mut self) -> &mut Identity {
        self.identity.as_mut().unwrap()
    }
}

const NOTHING: Vec<Vec<&str>> = Vec::new();
