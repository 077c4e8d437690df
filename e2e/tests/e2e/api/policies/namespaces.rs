//! Who may opt a governed namespace out.

use crate::api::actors::{Actor, Guard};
use crate::common::World;
use perpro_core::names;
use serde_json::{Value, json};

const OUT: Guard = Guard::Policy("AID089");

fn label(value: &Value) -> Value {
    json!({"metadata": {"labels": {names::ENFORCE_LABEL: value}}})
}

/// Somebody who writes namespaces, and holds everything in this one.
async fn manager(world: &World) -> Actor {
    let name = format!("manager-{}@example.com", world.namespace);
    world
        .grant(&name, json!([{"apiGroups": ["*"], "resources": ["*"], "resourceNames": [], "verbs": ["*"]}]))
        .await;
    let rules = json!([{"apiGroups": [""], "resources": ["namespaces", "namespaces/status", "namespaces/finalize"],
        "verbs": ["get", "update", "patch", "delete"]}]);
    world.grant_everywhere(&name, rules, ["patch", "", "namespaces"]).await;
    Actor::impersonated(world, &name).await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_governed_namespace_is_opted_out_only_by_who_may_ungovern_it() {
    for (mode, weaker) in [
        ("all", vec![json!(null), json!("agents"), json!("al"), json!("")]),
        ("agents", vec![json!(null), json!("off")]),
    ] {
        let world = World::new(mode).await;
        let manager = manager(&world).await;
        let path = format!("/api/v1/namespaces/{}", world.namespace);
        let is = manager.asks("GET", &path, json!(null)).await.unwrap();
        for value in &weaker {
            manager.may_not(OUT, "PATCH", &path, label(value)).await;
            manager.may_not(OUT, "PATCH", &format!("{path}/status"), label(value)).await;
            for door in ["", "/finalize"] {
                let mut object = is.clone();
                match value {
                    Value::Null => drop(
                        object["metadata"]["labels"].as_object_mut().unwrap().remove(names::ENFORCE_LABEL),
                    ),
                    value => object["metadata"]["labels"][names::ENFORCE_LABEL] = value.clone(),
                }
                manager.may_not(OUT, "PUT", &format!("{path}{door}"), object).await;
            }
            Actor::admin(&world).may("PATCH", &path, label(value)).await;
        }
        manager.may("PUT", &format!("{path}/finalize"), is.clone()).await;
        manager.may("PATCH", &format!("{path}/status"), json!({"metadata": {"labels": {"team": "x"}}})).await;
        manager.may("PATCH", &path, label(&json!(mode))).await;
        manager.may("PATCH", &path, label(&json!("all"))).await;
        manager.may("PATCH", &path, json!({"metadata": {"labels": {"perpro.dev/warn": "all"}}})).await;
        manager.may("DELETE", &path, json!(null)).await;

        let user = format!("platform-{}@example.com", world.namespace);
        let rules = json!([{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["patch"]},
            {"apiGroups": [names::GROUP], "resources": ["namespaces"], "resourceNames": [world.namespace], "verbs": ["ungovern"]}]);
        world.grant_everywhere(&user, rules, ["ungovern", names::GROUP, "namespaces"]).await;
        let platform = Actor::impersonated(&world, &user).await;
        for value in &weaker {
            platform.may("PATCH", &path, label(value)).await;
        }
        let other = World::new(mode).await;
        platform
            .may_not(OUT, "PATCH", &format!("/api/v1/namespaces/{}", other.namespace), label(&json!(null)))
            .await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_namespace_that_nobody_governs_is_opted_in_by_whoever_writes_it() {
    let world = World::new("").await;
    let manager = manager(&world).await;
    let path = format!("/api/v1/namespaces/{}", world.namespace);
    for value in ["agents", "all", "x"] {
        manager.may("PATCH", &path, label(&json!(value))).await;
    }
}
