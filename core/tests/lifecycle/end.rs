//! What ends an instance, and in which order.

use crate::{NOTHING, World, ago, now};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use perpro_core::api::OwnedSecret;
use perpro_core::decide::lifecycle::Step;
use perpro_core::model::Deletion;

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
fn a_shorter_life_ends_an_identity_earlier_than_it_says() {
    let mut world = World::running();
    world.policy.spec.max_lifetime_days = 1;
    assert_eq!(world.plan().wake_at, Some(ago(1000) + SignedDuration::from_hours(24)));
    world.identity().authorization.as_mut().unwrap().since = Time(now() - SignedDuration::from_hours(24));
    assert_eq!(world.steps(), [["unbind", "delete account", "delete pod"]]);
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
fn a_pod_that_was_given_years_to_end_has_what_any_has_when_its_identity_is_over() {
    let given = |grace| Some(Deletion { requested: ago(5), due: ago(5) + SignedDuration::from_secs(grace) });
    for (grace, steps) in [
        (3_000_000_000, &["unbind", "delete account", "delete pod"][..]),
        (31, &["unbind", "delete account", "delete pod"]),
        (30, &["unbind", "delete account"]),
    ] {
        let mut world = World::running();
        world.pods[0].deletion = given(grace);
        assert_eq!(world.steps(), NOTHING, "its identity lives");
        world.identity().spec.suspended = true;
        assert_eq!(world.steps(), [steps]);
    }
    // One whose account has ended before.
    let mut world = World::running();
    world.pods[0].deletion = given(3_000_000_000);
    world.bindings.clear();
    world.accounts.clear();
    assert_eq!(world.steps(), NOTHING, "its identity lives");
    world.identity().spec.suspended = true;
    assert_eq!(world.steps(), [["confirm no account", "delete pod"]]);
    world.identity().spec.suspended = false;
    world.identity().uid = "identity-2".into();
    assert_eq!(world.steps(), [["confirm no account", "delete pod"]], "another one under its name");
    world.identity = None;
    assert_eq!(world.steps(), [["confirm no account", "delete pod"]]);
}

#[test]
fn a_finished_pod_has_no_power_and_stays() {
    let mut world = World::running();
    world.pods[0].finished = true;
    assert_eq!(world.steps(), [["unbind", "delete account"]]);
}

#[test]
fn where_nobody_governs_power_ends_and_pods_stay() {
    let mut world = World::running();
    world.governed = false;
    assert_eq!(world.steps(), [["unbind"]]);
    let mut world = World::created();
    world.governed = false;
    assert_eq!(world.steps(), [["reject"]]);
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
