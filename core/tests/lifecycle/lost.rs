//! Pods and accounts of which one is missing.

use crate::{NOTHING, World, ago, now};
use jiff::SignedDuration;

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
    world.governed = false;
    assert_eq!(world.steps(), NOTHING, "nobody governs it");
    world.governed = true;
    world.pods[0].account = "default".into();
    assert_eq!(world.steps(), NOTHING, "a pod older than the label is never touched");
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
