//! From a pod at its gate to one that runs, and who never gets there.

use crate::{NOTHING, World, now, rule};
use perpro_core::decide::lifecycle::Step;
use perpro_core::model::{Claim, Deletion, PodFacts};

#[test]
fn a_pod_comes_up_in_three_steps_and_power_comes_last() {
    let mut world = World::created();
    assert_eq!(world.steps(), [["claim", "bind"]]);
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
    assert_eq!(world.steps(), [["claim", "ungate"]]);
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
fn what_the_author_does_not_hold_is_in_no_role() {
    let mut world = World::running();
    world.identity().authorization.as_mut().unwrap().permissions.clear();
    assert_eq!(world.plan().role, Some(vec![]));
    assert!(world.plan().clipped.withheld[0].reason.starts_with("AID037"));
    let mut world = World::running();
    world.identity().author.as_mut().unwrap().user = "mallory".into();
    assert_eq!(world.plan().role, Some(vec![]), "what another author held counts for nobody else");
    let mut world = World::running();
    world.identity().author = None;
    assert_eq!(world.plan().role, Some(vec![]), "nobody is recorded");
}

#[test]
fn a_gated_pod_that_is_over_claims_nothing() {
    let mut world = World::created();
    world.pods[0].deletion = Some(Deletion { requested: now(), due: now() });
    assert_eq!(world.steps(), NOTHING);
    let mut world = World::created();
    world.pods[0].finished = true;
    assert_eq!(world.steps(), NOTHING);
}

#[test]
fn an_account_that_was_not_minted_for_the_pod_is_not_claimed() {
    let mut world = World::created();
    world.accounts[0].owned = true;
    assert_eq!(world.steps(), [["reject"]]);
}

#[test]
fn an_account_serves_the_pod_that_claimed_it_and_no_other() {
    let mut world = World::running();
    let other = PodFacts { name: "other".into(), uid: "pod-2".into(), gated: true, ..world.pods[0].clone() };
    world.pods.insert(0, other);
    assert_eq!(world.steps(), NOTHING, "the second waits at its gate for ever");
    // Under the name of the first, which is gone: a claim of its UID is nothing to its namesake.
    world.pods.remove(1);
    world.pods[0].name = "pod".into();
    assert_eq!(world.steps(), [["confirm lost", "unbind", "delete account", "delete pod"]]);
    assert!(matches!(&world.plan().chains[0][3], Step::DeletePod { pod_uid, .. } if pod_uid == "pod-1"));
}

#[test]
fn an_account_that_no_pod_names_is_claimed_by_none() {
    let mut world = World::created();
    world.pods[0].account = "aid-bot-9876543210".into();
    let steps = world.steps();
    assert!(!steps.iter().flatten().any(|s| ["bind", "claim", "ungate"].contains(s)), "{steps:?}");
}

#[test]
fn a_forged_claim_on_a_foreign_pod_binds_nothing() {
    let mut world = World::running();
    world.pods[0].account = "aid-bot-zzzzzzzzzz".into();
    world.bindings.clear();
    let steps = world.steps();
    assert!(!steps.iter().flatten().any(|s| ["bind", "claim", "ungate"].contains(s)), "{steps:?}");
}
