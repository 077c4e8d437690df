//! What the status says.

use crate::{World, now};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use perpro_core::api::OwnedSecret;
use perpro_core::decide::admit::Context;
use perpro_core::decide::ceiling::Ceiling;
use perpro_core::decide::exclusive::{Claims, claims};
use perpro_core::decide::status::status;
use perpro_core::model::{PlainPod, SecretOwners};

/// The conditions that the status says of its identity.
fn conditions(world: &World, claims: Option<&Claims>) -> Vec<Condition> {
    let identity = world.identity.as_ref().unwrap();
    let ceiling = Ceiling::of("ns", [&world.policy]);
    let owners = SecretOwners::among([identity]);
    let context = Context { identity, owners: &owners, ceiling: &ceiling, now: now() };
    let conditions = status(context, claims, &world.plan(), None).conditions;
    for condition in &conditions {
        assert!(condition.message.len() > 10 && !condition.message.ends_with('.'), "{condition:?}");
    }
    conditions
}

fn told(world: &World, claims: Option<&Claims>) -> Vec<(String, String)> {
    conditions(world, claims).into_iter().map(|c| (c.status, c.reason)).collect()
}

fn said(conditions: [(&str, &str); 3]) -> Vec<(String, String)> {
    conditions.map(|(status, reason)| (status.to_owned(), reason.to_owned())).to_vec()
}

#[test]
fn every_condition_says_in_words_what_holds_and_what_does_not() {
    let well = World::running();
    let mut suspended = World::running();
    suspended.identity().spec.suspended = true;
    for (world, ready) in [(well, "True"), (suspended, "False")] {
        let conditions = conditions(&world, Some(&Claims::default()));
        let told: Vec<_> = conditions.iter().map(|c| (c.type_.as_str(), c.status.as_str())).collect();
        assert_eq!(told, [("Accepted", "True"), ("SecretsExclusive", "True"), ("Ready", ready)]);
    }
}

#[test]
fn an_identity_that_is_held_while_it_is_deleted_says_so() {
    let mut world = World::running();
    world.identity().deleting = true;
    let conditions = conditions(&world, Some(&Claims::default()));
    let ready = conditions.iter().find(|c| c.type_ == "Ready").unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "Ended"));
    assert!(ready.message.contains("it is being deleted"), "{}", ready.message);
}

#[test]
fn an_identity_whose_secret_a_pod_without_identity_names_is_not_ready() {
    let mut world = World::running();
    let rotate_by = Time(now() + SignedDuration::from_hours(24));
    world.identity().spec.secrets = vec![OwnedSecret { name: "crm".into(), rotate_by }];
    if let Some(authorization) = &mut world.identity().authorization {
        authorization.secrets = vec!["crm".into()];
    }
    let owners = SecretOwners::among(&world.identity);
    let within = ("True", "WithinCeiling");
    let pods = [PlainPod { name: "old".into(), secrets: ["crm".to_owned()].into() }];
    let in_use = claims(&owners, &pods);
    let not_ready = said([within, ("False", "SecretInUse"), ("False", "SecretInUse")]);
    assert_eq!(told(&world, Some(&in_use)), not_ready);
    let conditions = conditions(&world, Some(&in_use));
    assert!(conditions.iter().all(|c| c.status == "True" || c.message.contains("\"crm\": old;")));

    let alone = claims(&owners, &[]);
    assert_eq!(told(&world, Some(&alone)), said([within, ("True", "Exclusive"), ("True", "Ready")]));
    // A moment that comes with every identity: nothing is wrong yet.
    let unseen = said([within, ("False", "NotLookedYet"), ("True", "Ready")]);
    assert_eq!(told(&world, Some(&Claims::default())), unseen);
    let ungoverned = said([within, ("True", "Exclusive"), ("False", "NamespaceNotGoverned")]);
    assert_eq!(told(&world, None), ungoverned);
}
