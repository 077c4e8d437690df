//! A ResourceQuota counts what perpro writes, too: who waits for a pod is told which one is full, and need do nothing
//! but raise it.

use k8s_openapi::api::core::v1::{Event, ResourceQuota};
use kube::api::{Api, ListParams, Patch, PatchParams};
use perpro_e2e::wait;
use serde_json::json;

use crate::common::{World, agent, gated, when};

const ACCOUNTS: &str = "count/serviceaccounts";
const BINDINGS: &str = "count/rolebindings.rbac.authorization.k8s.io";
const ROLES: &str = "count/roles.rbac.authorization.k8s.io";

/// Allows this many objects besides those that are there, and waits until that counts.
async fn allow(world: &World, resource: &str, more: u32) {
    let quotas = Api::<ResourceQuota>::namespaced(world.client.clone(), &world.namespace);
    let set = async |hard: u32| {
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight"},
            "spec": {"hard": {resource: hard.to_string()}}});
        quotas.patch("tight", &PatchParams::apply("test").force(), &Patch::Apply(quota)).await.unwrap();
        world
            .eventually("the quota should count", async || {
                let status = quotas.get("tight").await.unwrap().status.unwrap_or_default();
                let number = |map: &Option<std::collections::BTreeMap<String, _>>| {
                    let text: Option<&k8s_openapi::apimachinery::pkg::api::resource::Quantity> =
                        map.as_ref()?.get(resource);
                    text?.0.parse::<u32>().ok()
                };
                match (number(&status.hard), number(&status.used)) {
                    (Some(is), Some(used)) if is == hard => wait::ready(used),
                    other => wait::not_yet(format!("{other:?}")),
                }
            })
            .await
    };
    let used = set(500).await;
    set(used + more).await;
}

/// Waits for an Event about this kind of object that says which quota is full.
async fn is_told(world: &World, kind: &str, name: &str) {
    let events = Api::<Event>::namespaced(world.client.clone(), &world.namespace);
    let about = ListParams::default().fields(&format!("involvedObject.kind={kind}"));
    world
        .eventually(&format!("{kind} {name} should be told"), async || {
            let events = events.list(&about).await.unwrap().items;
            let named =
                |event: &&Event| event.involved_object.name.as_deref().is_some_and(|it| it.starts_with(name));
            let mut texts = events.iter().filter(named).filter_map(|event| event.message.as_deref());
            when(texts.any(|text| text.contains("exceeded quota: tight")), &format!("{events:?}"))
        })
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_full_quota_of_accounts_refuses_the_pod_by_name_until_it_is_raised() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    allow(&world, ACCOUNTS, 0).await;
    let told = world.rejects(&agent(json!({})), "AID091").await;
    assert!(told.contains("exceeded quota: tight") && told.contains(ACCOUNTS), "{told}");

    let pod = serde_json::to_value(agent(json!({"metadata": {"labels": {"app": "web"}}}))).unwrap();
    let set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": pod["metadata"]["labels"]}, "spec": pod["spec"]}}});
    let sets =
        Api::<k8s_openapi::api::apps::v1::ReplicaSet>::namespaced(world.client.clone(), &world.namespace);
    sets.create(&Default::default(), &serde_json::from_value(set).unwrap()).await.unwrap();
    is_told(&world, "ReplicaSet", "web").await;

    allow(&world, ACCOUNTS, 10).await;
    world.released_agent().await;
    world
        .eventually("the ReplicaSet should get its pod", async || {
            let pods = world.pods().list(&ListParams::default().labels("app=web")).await.unwrap().items;
            when(pods.iter().any(|pod| !gated(pod)), &format!("{} pods", pods.len()))
        })
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_full_quota_of_bindings_keeps_the_pod_at_its_gate_and_says_so_until_it_is_raised() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    allow(&world, BINDINGS, 0).await;
    world.accepts(&agent(json!({}))).await;
    is_told(&world, "Pod", "pod").await;
    assert!(gated(&world.pods().get("pod").await.unwrap()), "it has started without its power");
    allow(&world, BINDINGS, 10).await;
    world.released("pod").await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_full_quota_of_roles_keeps_pods_at_their_gate_and_says_so_until_it_is_raised() {
    let world = World::new("all").await;
    allow(&world, ROLES, 0).await;
    world.identity("bot", json!({})).await;
    world.accepts(&agent(json!({}))).await;
    let refused = world.condition("bot", "Ready", "False", "RoleRefused").await.status.unwrap().conditions;
    assert!(refused.iter().any(|it| it.message.contains("exceeded quota: tight")), "{refused:?}");
    assert!(gated(&world.pods().get("pod").await.unwrap()), "it has started without its power");
    allow(&world, ROLES, 10).await;
    world.released("pod").await;
    world.condition("bot", "Ready", "True", "Ready").await;
}
