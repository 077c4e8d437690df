//! Killing a process at any moment loses nothing: the next pass completes, at most one live
//! account per pod, no orphan after five minutes. On a cluster without nodes, where perpro's
//! processes run on this machine; `e2e/test` starts it. The tests share those processes, so they
//! run one at a time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is its report")]

#[path = "../common/mod.rs"]
mod common;

use common::{World, account_of, agent, when};
use futures::future::join_all;
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, PostParams};
use perpro_core::names;
use perpro_e2e::install::{HostProcess, HostProcesses, NAMESPACE};
use perpro_e2e::wait;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The core's five minutes, and a pass.
const NO_ORPHAN_AFTER: Duration = Duration::from_secs(310);

/// Ends the term of a controller that was killed: the next need not wait for the Lease to expire.
async fn free_the_lease(world: &World) {
    let leases = Api::<Lease>::namespaced(world.client.clone(), NAMESPACE);
    let _ = leases.delete("perpro-controller", &DeleteParams::default()).await;
}

/// Starts the controller so that it dies at `point`.
async fn doomed_controller(world: &World, point: &str) {
    let processes = HostProcesses::of(&world.cluster);
    processes.kill(HostProcess::Controller).await.unwrap();
    free_the_lease(world).await;
    processes.launch(HostProcess::Controller, &[("PERPRO_CRASH_AT", point)]).await.unwrap();
}

/// Waits for the crash and starts a sound controller.
async fn after_the_crash(world: &World) {
    let processes = HostProcesses::of(&world.cluster);
    processes.ends(HostProcess::Controller, common::SOON).await.unwrap();
    free_the_lease(world).await;
    processes.start(HostProcess::Controller, &[]).await.unwrap();
}

/// Every pod is released, with one claimed account of its own and the power of its identity.
async fn all_is_well(world: &World, pods: &[&str]) {
    let released = join_all(pods.iter().map(|p| world.released(p))).await;
    let wanted: BTreeSet<_> = released.iter().map(|p| (p.uid().unwrap(), account_of(p))).collect();
    world
        .eventually("each pod should have claimed its account", async || {
            let accounts = world.instance_accounts().await;
            let claimed: Vec<_> = accounts
                .iter()
                .filter_map(|a| Some((a.annotations().get(names::CLAIMED_BY_UID)?.clone(), a.name_any())))
                .collect();
            let set: BTreeSet<_> = claimed.iter().cloned().collect();
            when(claimed.len() == pods.len() && set == wanted, &format!("{claimed:?}"))
        })
        .await;
    for pod in &released {
        assert!(world.may(&account_of(pod), "get", "configmaps").await);
    }
    world.condition("bot", "Ready", "True", "Ready").await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_controller_that_dies_at_any_write_on_the_way_up_loses_nothing() {
    for write in ["apply-role", "claim", "bind", "ungate", "report-status"] {
        for moment in ["before", "after"] {
            let point = format!("{write}:{moment}");
            println!("{point}");
            let world = World::new("all").await;
            doomed_controller(&world, &point).await;
            world.identity("bot", json!({})).await;
            world.accepts(&agent(json!({}))).await;
            after_the_crash(&world).await;
            all_is_well(&world, &["pod"]).await;
        }
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_controller_that_dies_at_any_write_on_the_way_down_leaves_nothing() {
    for write in ["unbind", "delete-account", "delete-pod"] {
        for moment in ["before", "after"] {
            let point = format!("{write}:{moment}");
            println!("{point}");
            let world = World::new("all").await;
            world.identity("bot", json!({})).await;
            world.accepts(&agent(json!({}))).await;
            let account = account_of(&world.released("pod").await);
            doomed_controller(&world, &point).await;
            world.patch_identity("bot", json!({"suspended": true})).await;
            after_the_crash(&world).await;
            world.gone(world.pods(), "pod").await;
            assert!(world.instance_accounts().await.is_empty());
            assert!(world.bindings().get_opt(&account).await.unwrap().is_none());
        }
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_happened_while_the_controller_was_down_is_put_right() {
    let world = World::new("all").await;
    let processes = HostProcesses::of(&world.cluster);
    world.identity("bot", json!({})).await;
    for name in ["stays", "goes"] {
        world.accepts(&agent(json!({"metadata": {"name": name}}))).await;
        world.released(name).await;
    }
    let gone = account_of(&world.pods().get("goes").await.unwrap());
    processes.kill(HostProcess::Controller).await.unwrap();
    world.pods().delete("goes", &DeleteParams::default()).await.unwrap();
    world.accepts(&agent(json!({"metadata": {"name": "comes"}}))).await;
    free_the_lease(&world).await;
    processes.start(HostProcess::Controller, &[]).await.unwrap();
    world.gone(world.accounts(), &gone).await;
    all_is_well(&world, &["stays", "comes"]).await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn two_leaders_at_once_do_no_harm() {
    let world = World::new("all").await;
    let processes = HostProcesses::of(&world.cluster);
    world.identity("bot", json!({})).await;
    processes.start(HostProcess::SecondController, &[]).await.unwrap();
    // The second takes the Lease while the first still thinks that it leads.
    free_the_lease(&world).await;
    let names: Vec<_> = (0..30).map(|i| format!("pod-{i}")).collect();
    let pods: Vec<_> = names.iter().map(|n| agent(json!({"metadata": {"name": n}}))).collect();
    join_all(pods.iter().map(|p| world.accepts(p))).await;
    all_is_well(&world, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    processes.kill(HostProcess::SecondController).await.unwrap();
    free_the_lease(&world).await;
    processes.restart(HostProcess::Controller, &[]).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_webhook_that_dies_while_minting_refuses_the_pod_and_leaves_no_orphan() {
    let world = World::new("all").await;
    let processes = HostProcesses::of(&world.cluster);
    world.identity("bot", json!({})).await;
    for (point, left) in [("mint:before", 0), ("mint:after", 1)] {
        processes.restart(HostProcess::Webhook, &[("PERPRO_CRASH_AT", point)]).await.unwrap();
        let pod = agent(json!({}));
        assert!(world.pods().create(&PostParams::default(), &pod).await.is_err(), "{point}: it was created");
        processes.ends(HostProcess::Webhook, common::SOON).await.unwrap();
        assert_eq!(world.instance_accounts().await.len(), left, "{point}");
    }
    let since = Instant::now();
    let orphan = world.instance_accounts().await.remove(0).name_any();
    processes.start(HostProcess::Webhook, &[]).await.unwrap();
    world.accepts(&agent(json!({}))).await;
    all_is_well(&world, &["pod"]).await;

    let limit = NO_ORPHAN_AFTER.saturating_sub(since.elapsed());
    wait::until("the orphan should be gone", limit, async || match world.accounts().get_opt(&orphan).await {
        Ok(None) => wait::ready(()),
        _ => wait::not_yet("it is there"),
    })
    .await
    .unwrap();
    all_is_well(&world, &["pod"]).await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn with_the_webhook_down_agents_are_refused_and_all_else_goes_on() {
    let world = World::new("agents").await;
    let processes = HostProcesses::of(&world.cluster);
    world.identity("bot", json!({})).await;
    world.accepts(&agent(json!({}))).await;
    let account = account_of(&world.released("pod").await);
    processes.kill(HostProcess::Webhook).await.unwrap();
    assert!(
        world
            .pods()
            .create(&PostParams::default(), &agent(json!({"metadata": {"name": "new"}})))
            .await
            .is_err()
    );
    world.accepts(&common::pod(json!({"metadata": {"name": "plain"}}))).await;
    assert!(world.may(&account, "get", "configmaps").await, "running agents live on");
    // The plug can be pulled without it.
    world.patch_identity("bot", json!({"suspended": true})).await;
    world.gone(world.pods(), "pod").await;
    processes.start(HostProcess::Webhook, &[]).await.unwrap();
}
