//! What the status says.

use crate::{World, now};
use perpro_core::decide::admit::Context;
use perpro_core::decide::ceiling::Ceiling;
use perpro_core::decide::status::status;
use perpro_core::model::SecretOwners;

#[test]
fn every_condition_says_in_words_what_holds_and_what_does_not() {
    let well = World::running();
    let mut suspended = World::running();
    suspended.identity().spec.suspended = true;
    for (world, ready) in [(well, "True"), (suspended, "False")] {
        let identity = world.identity.as_ref().unwrap();
        let ceiling = Ceiling::of("ns", [&world.policy]);
        let context = Context { identity, owners: &SecretOwners::default(), ceiling: &ceiling, now: now() };
        let conditions = status(context, true, &world.plan(), None).conditions;
        let told: Vec<_> = conditions.iter().map(|c| (c.type_.as_str(), c.status.as_str())).collect();
        assert_eq!(told, [("Accepted", "True"), ("SecretsExclusive", "True"), ("Ready", ready)]);
        for condition in conditions {
            assert!(condition.message.len() > 10 && !condition.message.ends_with('.'), "{condition:?}");
        }
    }
}
