//! The life of an instance as a table: what is there, and which writes are missing.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use perpro_core::api::{
    AgentIdentitySpec, AgentPolicy, AgentPolicySpec, OwnedSecret, Owner, OwnerKind, PermissionRule,
};
use perpro_core::decide::ceiling::Ceiling;
use perpro_core::decide::lifecycle::{Observed, Plan, Step, plan};
use perpro_core::model::{Account, Binding, Claim, Deletion, Identity, PodFacts};

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
            suspended: false,
            permissions: vec![rule()],
            secrets: vec![],
            containers: vec![],
        };
        let policy = AgentPolicySpec {
            namespaces: vec!["ns".into()],
            permissions: vec![rule()],
            elevated_permissions: vec![],
            image_pull_secrets: None,
            max_instances: 10,
            kubernetes_token_seconds: 900,
            drain_seconds: 30,
        };
        Self {
            governed: true,
            identity: Some(Identity {
                namespace: "ns".into(),
                name: "bot".into(),
                uid: "identity-1".into(),
                generation: 1,
                created: ago(1000),
                deleting: false,
                spec,
            }),
            policy: AgentPolicy::new("policy", policy),
            role: Some(vec![rule()]),
            pods: vec![PodFacts {
                name: "pod".into(),
                uid: "pod-1".into(),
                account: ACCOUNT.into(),
                gated: false,
                finished: false,
                deletion: None,
                grace_seconds: 60,
            }],
            accounts: vec![Account {
                name: ACCOUNT.into(),
                uid: "account-1".into(),
                resource_version: "1".into(),
                created: ago(100),
                identity_uid: Some("identity-1".into()),
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
            pods: &self.pods,
            accounts: &self.accounts,
            bindings: &self.bindings,
        };
        plan(&observed, now())
    }

    /// The chains by the names of their steps.
    fn steps(&self) -> Vec<Vec<&'static str>> {
        let name = |step: &Step| match step {
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

#[test]
fn a_pod_comes_up_in_three_steps_and_power_comes_last() {
    let mut world = World::created();
    assert_eq!(world.steps(), [["claim"]]);
    world.accounts[0].claim = Some(Claim { pod_name: "pod".into(), pod_uid: "pod-1".into() });
    assert_eq!(world.steps(), [["bind"]]);
    world.bindings = World::running().bindings;
    assert_eq!(world.steps(), [["ungate"]]);
    world.pods[0].gated = false;
    assert_eq!(world.steps(), NOTHING);
    assert_eq!(world.plan().instances, 1);
}

#[test]
fn without_permissions_there_is_nothing_to_bind() {
    let mut world = World::created();
    world.identity().spec.permissions.clear();
    world.role = None;
    world.accounts[0].claim = World::running().accounts[0].claim.clone();
    assert_eq!(world.steps(), [["ungate"]]);
    assert_eq!(world.plan().role, None);
}

#[test]
fn the_role_is_spec_and_ceiling() {
    let mut world = World::running();
    assert_eq!(world.plan().role, None, "it is as it should be");
    world.role = None;
    assert_eq!(world.plan().role, Some(vec![rule()]));
    world.role = Some(vec![rule()]);
    world.policy.spec.permissions.clear();
    assert_eq!(world.plan().role, Some(vec![]));
}

#[test]
fn an_identity_that_is_over_loses_its_role_then_each_instance_in_order() {
    let ends: [fn(&mut World); 2] =
        [|w| w.identity().spec.suspended = true, |w| w.identity().spec.expires_at = Time(now())];
    for end in ends {
        let mut world = World::running();
        end(&mut world);
        assert_eq!(world.plan().role, Some(vec![]));
        assert_eq!(world.steps(), [["unbind", "delete account", "delete pod"]]);
        assert!(
            matches!(&world.plan().chains[0][2], Step::DeletePod { grace_seconds: 30, .. }),
            "our own grace"
        );
    }
}

#[test]
fn a_deleted_identity_or_its_namesake_ends_what_the_old_one_had() {
    let mut world = World::running();
    world.identity = None;
    assert_eq!(world.steps(), [["unbind", "delete account", "delete pod"]]);
    let mut world = World::running();
    world.identity().uid = "identity-2".into();
    assert_eq!(world.steps(), [["unbind", "delete account", "delete pod"]]);
    let mut world = World::created();
    world.identity = None;
    assert_eq!(world.steps(), [["delete account", "delete pod"]]);
}

#[test]
fn a_deleted_pod_keeps_its_power_for_the_drain_and_no_longer_than_its_grace() {
    let mut world = World::running();
    let deleted = |requested, grace| {
        Some(Deletion { requested: ago(requested), due: ago(requested) + SignedDuration::from_secs(grace) })
    };
    world.pods[0].deletion = deleted(29, 60);
    assert_eq!(world.steps(), NOTHING);
    assert_eq!(world.plan().wake_at, Some(now() + SignedDuration::from_secs(1)));
    world.pods[0].deletion = deleted(30, 60);
    assert_eq!(world.steps(), [["unbind", "delete account"]]);
    world.pods[0].deletion = deleted(5, 5);
    assert_eq!(world.steps(), [["unbind", "delete account"]]);
    world.pods[0].deletion = Some(Deletion { requested: Timestamp::MIN, due: Timestamp::MAX });
    assert_eq!(world.steps(), [["unbind", "delete account"]]);
}

#[test]
fn a_finished_pod_has_no_power_and_stays() {
    let mut world = World::running();
    world.pods[0].finished = true;
    assert_eq!(world.steps(), [["unbind", "delete account"]]);
}

#[test]
fn a_pod_that_is_not_seen_is_asked_for_before_anything_ends() {
    let mut world = World::running();
    world.pods.clear();
    assert_eq!(world.steps(), [["confirm lost", "unbind", "delete account", "delete pod"]]);
}

#[test]
fn a_pod_that_lost_its_label_does_not_outlive_its_identity() {
    let mut world = World::running();
    world.pods.clear();
    world.identity().spec.suspended = true;
    assert_eq!(world.steps(), [["unbind", "delete account", "delete pod"]]);
}

#[test]
fn a_pod_without_account_ends() {
    let mut world = World::running();
    world.accounts.clear();
    world.bindings.clear();
    assert_eq!(world.steps(), [["confirm no account", "delete pod"]]);
    world.pods[0].account = "default".into();
    assert_eq!(world.steps(), NOTHING, "a pod older than the label is never touched");
}

#[test]
fn a_forged_claim_on_a_foreign_pod_binds_nothing() {
    let mut world = World::running();
    world.pods[0].account = "aid-bot-zzzzzzzzzz".into();
    world.bindings.clear();
    let steps = world.steps();
    assert!(!steps.iter().flatten().any(|s| ["bind", "claim", "ungate"].contains(s)), "{steps:?}");
}

#[test]
fn an_unclaimed_account_goes_after_five_minutes() {
    let mut world = World::created();
    world.pods.clear();
    world.accounts[0].created = ago(299);
    assert_eq!(world.steps(), NOTHING);
    assert_eq!(world.plan().wake_at, Some(now() + SignedDuration::from_secs(1)));
    world.accounts[0].created = ago(300);
    assert_eq!(world.steps(), [["delete account"]]);
}

#[test]
fn a_gated_pod_that_is_being_deleted_claims_nothing() {
    let mut world = World::created();
    world.pods[0].deletion = Some(Deletion { requested: now(), due: now() });
    assert_eq!(world.steps(), NOTHING);
}

#[test]
fn where_nobody_governs_power_ends_and_pods_stay() {
    let mut world = World::running();
    world.governed = false;
    assert_eq!(world.steps(), [["unbind"]]);
    let mut world = World::created();
    world.governed = false;
    assert_eq!(world.steps(), NOTHING);
}

#[test]
fn every_plan_is_finished_when_its_writes_are_made() {
    let mut world = World::running();
    world.identity().spec.suspended = true;
    world.role = Some(vec![]);
    world.bindings.clear();
    assert_eq!(world.steps(), [["delete account", "delete pod"]]);
    world.accounts.clear();
    assert_eq!(world.steps(), [["confirm no account", "delete pod"]]);
    world.pods.clear();
    assert_eq!(world.steps(), NOTHING);
    assert_eq!(world.plan().role, None);
}

#[test]
fn it_looks_again_when_something_is_due() {
    let mut world = World::running();
    assert_eq!(world.plan().wake_at, Some(world.identity().spec.expires_at.0));
    let soon = now() + SignedDuration::from_secs(60);
    world.identity().spec.secrets = vec![OwnedSecret { name: "s".into(), rotate_by: Time(soon) }];
    assert_eq!(world.plan().wake_at, Some(soon));
}
