//! A namespace that is deleted with agents that live in it.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams};
use perpro_e2e::wait;
use serde_json::json;

use super::inside::{runs, world};
use super::kinds::{self, Kind};
use crate::common::{account_of, agent, merge};

/// What the kubelet needs for a few pods on a busy machine, and the namespace controller for its rounds.
const GONE: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "needs a cluster with a node"]
async fn a_namespace_ends_with_the_agents_that_live_in_it() {
    let world = world().await;
    world.identity("bot", json!({})).await;
    let mut set = Kind::ReplicaSet.object(&agent(json!({})));
    merge(&mut set, json!({"spec": {"replicas": 2}}));
    kinds::create(&world, &set).await;
    world.accepts(&agent(json!({}))).await;
    let idle = json!({"metadata": {"name": "waits"}, "spec": {"schedulerName": "nobody"}});
    world.accepts(&agent(idle)).await;
    world.released("waits").await;
    let account = account_of(&runs(&world, "pod").await);
    world.identity("ended", json!({"suspended": true})).await;

    let namespaces = Api::<Namespace>::all(world.client.clone());
    let since = Instant::now();
    namespaces.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
    wait::until("the namespace should be gone", GONE, async || {
        match namespaces.get_opt(&world.namespace).await.unwrap() {
            None => wait::ready(()),
            Some(left) => wait::not_yet(format!("{:?}", left.status)),
        }
    })
    .await
    .unwrap();
    println!("gone after {:?}", since.elapsed());
    assert!(!world.may(&account, "get", "configmaps").await);
}
