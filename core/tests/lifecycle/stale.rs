//! Pods that hold what their identity lists no more.

use crate::{NOTHING, World, ago, now};
use jiff::SignedDuration;
use perpro_core::decide::credentials::{Credential, Place, What};

/// A key that the identity of [`World`] does not list.
fn foreign_key() -> Credential {
    let place = Place::Env("KEY".into());
    Credential {
        container: Some("agent".into()),
        path: "spec.containers[0].env[KEY]".into(),
        what: What::SecretKey { secret: "crm".into(), key: "key".into(), place },
    }
}

#[test]
fn a_running_pod_may_keep_what_is_listed_no_more_for_a_while() {
    let mut world = World::running();
    world.pods[0].holds = vec![foreign_key()];
    assert_eq!(world.steps(), [["mark-stale"]]);
    world.accounts[0].stale_since = Some(ago(899));
    assert_eq!(world.steps(), NOTHING);
    assert_eq!(world.plan().wake_at, Some(now() + SignedDuration::from_secs(1)));
    assert_eq!(world.plan().instances, 1);
    world.accounts[0].stale_since = Some(ago(900));
    assert_eq!(world.steps(), [["unbind", "delete account", "delete pod"]]);
    world.policy.spec.stale_seconds = 0;
    world.accounts[0].stale_since = Some(now());
    assert_eq!(world.steps(), [["unbind", "delete account", "delete pod"]]);
    world.pods[0].holds.clear();
    assert_eq!(world.steps(), [["unmark-stale"]], "it is listed again");
}

#[test]
fn a_claimed_pod_that_never_ran_does_not_start_with_what_is_listed_no_more() {
    let mut world = World::running();
    world.pods[0].gated = true;
    world.pods[0].holds = vec![foreign_key()];
    assert_eq!(world.steps(), [["unbind", "delete account", "delete pod"]]);
}
