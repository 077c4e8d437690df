//! Pods that hold what their identity lists no more.

use crate::{NOTHING, World, ago, now};
use jiff::SignedDuration;
use perpro_core::decide::credentials::{Credential, Place, What};
use perpro_core::model::Deletion;

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

#[test]
fn a_pod_that_was_given_years_to_end_keeps_what_is_listed_no_more_for_as_long_as_any() {
    let mut world = World::running();
    world.bindings.clear();
    world.accounts.clear();
    world.pods[0].holds = vec![foreign_key()];
    let mut given = |requested, grace| {
        let due = ago(requested) + SignedDuration::from_secs(grace);
        world.pods[0].deletion = Some(Deletion { requested: ago(requested), due });
        (world.steps(), world.plan().wake_at)
    };
    assert_eq!(given(899, 3_000_000_000), (vec![], Some(now() + SignedDuration::from_secs(1))));
    assert_eq!(given(900, 3_000_000_000).0, [["confirm no account", "delete pod"]]);
    assert_eq!(given(900, 30).0, NOTHING, "it has no more than that");
    world.pods[0].holds.clear();
    world.pods[0].deletion = Some(Deletion { requested: ago(900), due: ago(-9000) });
    assert_eq!(world.steps(), NOTHING, "what it holds is listed");
}
