//! Killing a process at any moment loses nothing: the next pass completes, at most one live
//! account per pod, no orphan after five minutes. On a cluster without nodes, where perpro's
//! processes run on this machine; `e2e/test` starts it. The tests share those processes, so they
//! run one at a time.

mod outages;
mod plain;
mod poison;
mod telemetry;
mod uninstall;

use crate::common::later::{Answer, Later};
use crate::common::{self, World, account_of, agent, gated, message, when};
use futures::future::join_all;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
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
    for write in ["apply-role", "claim", "bind", "ungate", "report-status", "claim-secrets"] {
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
            let account = world.released_agent().await;
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
    processes.start(HostProcess::Webhook, &[]).await.unwrap();
    world.accepts(&agent(json!({}))).await;
    all_is_well(&world, &["pod"]).await;
    // So do a name that is taken, and a later webhook that refuses what perpro has admitted.
    world.pods().create(&PostParams::default(), &agent(json!({}))).await.unwrap_err();
    refused_by_a_later_webhook(&world).await;
    let since = Instant::now();
    let unclaimed = async || {
        let mut accounts = world.instance_accounts().await;
        accounts.retain(|account| !account.annotations().contains_key(names::CLAIMED_BY_UID));
        accounts.iter().map(ResourceExt::name_any).collect::<Vec<_>>()
    };
    assert_eq!(unclaimed().await.len(), 3, "of the crash, of the name, and of the refusal");

    let limit = NO_ORPHAN_AFTER.saturating_sub(since.elapsed());
    wait::until("the orphans should be gone", limit, async || match unclaimed().await {
        none if none.is_empty() => wait::ready(()),
        left => wait::not_yet(format!("{left:?} are there")),
    })
    .await
    .unwrap();
    all_is_well(&world, &["pod"]).await;
}

/// A pod that perpro admits, and somebody after it does not.
async fn refused_by_a_later_webhook(world: &World) {
    let later = Later::start(world, |_| Answer::Allow, |_| Answer::Deny("not on a Friday")).await;
    let create = async |dry_run| {
        let params = PostParams { dry_run, ..PostParams::default() };
        let pod = agent(json!({"metadata": {"name": "late"}}));
        world.pods().create(&params, &pod).await.map_err(message)
    };
    let denied = async || match create(true).await {
        Err(error) if error.contains("Friday") => wait::ready(()),
        other => wait::not_yet(format!("{:?}", other.map(|_| ()))),
    };
    world.eventually("the later webhook should be asked", denied).await;
    create(false).await.unwrap_err();
    later.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pod_is_claimed_only_under_the_identity_as_it_is_then() {
    let key =
        |key: &str, env: &str| json!({"secret": "crm", "key": key, "env": env, "path": format!("crm/{key}")});
    let usual = [key("key", "CRM_KEY")];
    let container = |change: serde_json::Value| {
        let mut container = json!({"name": "agent", "kubernetesAccess": "Token", "secretKeys": usual});
        common::merge(&mut container, change);
        json!({"containers": [container]})
    };
    let may = |verbs: &[&str]| {
        let rules: Vec<_> = verbs
            .iter()
            .map(|verb| json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": [verb]}))
            .collect();
        json!({ "permissions": rules })
    };
    // Which edit, and with which code the pod is then refused, or what else it may do.
    let cases = [
        ("same", json!({}), Ok(&["get"][..])),
        ("fewer-permissions", may(&[]), Ok(&[])),
        ("more-permissions", may(&["get", "list"]), Ok(&["get", "list"])),
        ("other-permissions", may(&["update"]), Ok(&["update"])),
        ("fewer-keys", container(json!({"secretKeys": null})), Err("AID021")),
        ("more-keys", container(json!({"secretKeys": [usual[0], key("more", "MORE")]})), Err("AID023")),
        ("no-token", container(json!({"kubernetesAccess": "None"})), Err("AID011")),
        ("other-image", container(json!({"images": ["ghcr.io/acme/"]})), Err("AID020")),
    ];
    let worlds = join_all(cases.iter().map(async |_| {
        let world = World::new("all").await;
        world.identity("bot", json!({})).await;
        world
    }))
    .await;
    let processes = HostProcesses::of(&worlds[0].cluster);
    processes.kill(HostProcess::Controller).await.unwrap();
    for (world, (_, edit, _)) in worlds.iter().zip(&cases) {
        world.accepts(&agent(json!({}))).await;
        world.patch_identity("bot", edit.clone()).await;
    }
    free_the_lease(&worlds[0]).await;
    processes.start(HostProcess::Controller, &[]).await.unwrap();

    for (world, (edit, _, outcome)) in worlds.iter().zip(&cases) {
        match outcome {
            Ok(verbs) => {
                let account = account_of(&world.released("pod").await);
                for verb in ["get", "list", "update"] {
                    let may = world.may(&account, verb, "configmaps").await;
                    assert_eq!(may, verbs.contains(&verb), "{edit}: {verb}");
                }
            }
            Err(code) => is_never_claimed(world, edit, code).await,
        }
    }
}

/// The only pod is told why it may not start; it never ran, and its account was never anybody's.
async fn is_never_claimed(world: &World, edit: &str, code: &str) {
    let events = Api::<Event>::namespaced(world.client.clone(), &world.namespace);
    for object in ["pod", "bot"] {
        let about = ListParams::default().fields(&format!("involvedObject.name={object}"));
        let told = async || {
            let events = events.list(&about).await.unwrap().items;
            let mut texts = events.iter().filter_map(|event| event.message.as_deref());
            when(texts.any(|text| text.starts_with(code)), &format!("{events:?}"))
        };
        world.eventually(&format!("{edit}: {object} should be told {code}"), told).await;
    }
    // It may have been ended by now.
    let pod = world.pods().get_opt("pod").await.unwrap();
    assert!(pod.is_none_or(|pod| gated(&pod)), "{edit}: it runs");
    for account in world.instance_accounts().await {
        assert!(!account.annotations().contains_key(names::CLAIMED_BY_UID), "{edit}: it was claimed");
        assert!(!world.may(&account.name_any(), "get", "configmaps").await, "{edit}");
    }
}
