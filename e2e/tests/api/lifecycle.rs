//! The end of power: each way in which it is over.

use crate::common::{World, account_of, agent, uid, when};
use jiff::{SignedDuration, Timestamp};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use perpro_core::names;
use serde_json::json;

/// A world with identity `bot` and one released pod of it, and the pod's account.
async fn running() -> (World, String) {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    world.accepts(&agent(json!({}))).await;
    let account = account_of(&world.released("pod").await);
    assert!(world.may(&account, "get", "configmaps").await);
    (world, account)
}

/// Waits until binding, account and pod are gone, and checks that power went first.
async fn all_ends(world: &World, account: &str) {
    world.gone(world.pods(), "pod").await;
    assert!(world.bindings().get_opt(account).await.unwrap().is_none(), "the pod went before its power");
    assert!(world.accounts().get_opt(account).await.unwrap().is_none(), "the pod went before its account");
    assert!(!world.may(account, "get", "configmaps").await);
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_suspended_identity_ends_its_pods_and_a_resumed_one_starts_new_ones() {
    let (world, account) = running().await;
    world.patch_identity("bot", json!({"suspended": true})).await;
    all_ends(&world, &account).await;
    world.condition("bot", "Ready", "False", "Suspended").await;
    world.rejects(&agent(json!({})), "AID006").await;

    world.patch_identity("bot", json!({"suspended": false})).await;
    world.condition("bot", "Ready", "True", "Ready").await;
    world.accepts(&agent(json!({}))).await;
    assert_ne!(account_of(&world.released("pod").await), account);
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_identity_that_expires_ends_its_pods_by_itself() {
    let (world, account) = running().await;
    let soon = Timestamp::from_second((Timestamp::now() + SignedDuration::from_secs(3)).as_second()).unwrap();
    world.patch_identity("bot", json!({"expiresAt": soon.to_string()})).await;
    all_ends(&world, &account).await;
    assert!(Timestamp::now() >= soon);
    world.condition("bot", "Ready", "False", "Expired").await;
    world.rejects(&agent(json!({})), "AID005").await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_deleted_identity_ends_its_pods_and_its_namesake_gives_them_nothing() {
    let (world, account) = running().await;
    world.identities().delete("bot", &DeleteParams::default()).await.unwrap();
    world.identity("bot", json!({})).await;
    all_ends(&world, &account).await;
    world.accepts(&agent(json!({}))).await;
    let new = account_of(&world.released("pod").await);
    assert_ne!(new, account);
    assert!(world.may(&new, "get", "configmaps").await);
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_deleted_pod_takes_its_account_with_it() {
    let (world, account) = running().await;
    world.pods().delete("pod", &DeleteParams::default()).await.unwrap();
    world.gone(world.accounts(), &account).await;
    world.gone(world.bindings(), &account).await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_finished_pod_keeps_nothing() {
    let (world, account) = running().await;
    let done = Patch::Merge(json!({"status": {"phase": "Succeeded"}}));
    world.pods().patch_status("pod", &PatchParams::default(), &done).await.unwrap();
    world.gone(world.accounts(), &account).await;
    assert!(world.bindings().get_opt(&account).await.unwrap().is_none());
    assert!(world.pods().get_opt("pod").await.unwrap().is_some(), "its logs stay");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_namespace_that_opts_out_takes_the_power_and_leaves_the_pod() {
    let (world, account) = running().await;
    let namespaces = Api::<k8s_openapi::api::core::v1::Namespace>::all(world.client.clone());
    let label = |value: serde_json::Value| {
        Patch::Merge(json!({"metadata": {"labels": {names::ENFORCE_LABEL: value}}}))
    };
    namespaces.patch(&world.namespace, &PatchParams::default(), &label(json!(null))).await.unwrap();
    world.gone(world.bindings(), &account).await;
    assert!(!world.may(&account, "get", "configmaps").await);
    assert!(world.accounts().get_opt(&account).await.unwrap().is_some());
    assert!(world.pods().get_opt("pod").await.unwrap().is_some());

    namespaces.patch(&world.namespace, &PatchParams::default(), &label(json!("agents"))).await.unwrap();
    world
        .eventually("its power should come back", async || {
            when(world.may(&account, "get", "configmaps").await, "it has none")
        })
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn past_rotate_by_no_pod_starts_and_none_is_killed() {
    let (world, account) = running().await;
    world
        .patch_identity("bot", json!({"secrets": [{"name": "crm", "rotateBy": "2020-01-01T00:00:00Z"}]}))
        .await;
    world.condition("bot", "Ready", "False", "RotationOverdue").await;
    world.rejects(&agent(json!({"metadata": {"name": "new"}})), "AID007").await;
    assert!(world.may(&account, "get", "configmaps").await);
    assert!(world.pods().get_opt("pod").await.unwrap().is_some());
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pod_that_loses_its_label_loses_its_power() {
    let (world, account) = running().await;
    let strip = Patch::Merge(json!({"metadata": {"labels": {names::IDENTITY_LABEL: null}}}));
    world.pods().patch("pod", &PatchParams::default(), &strip).await.unwrap();
    all_ends(&world, &account).await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn accounts_of_others_are_left_alone_whatever_their_labels() {
    let (world, _) = running().await;
    let labels = json!({names::IDENTITY_LABEL: "bot", names::MANAGED_BY: names::MANAGER});
    let victim =
        crate::common::pod(json!({"metadata": {"name": "victim", "labels": {"perpro.dev/identity": "bot"}}}));
    let victim = world.accepts(&victim).await;
    world.released("victim").await;
    let claim =
        json!({names::CLAIMED_BY: "victim", names::CLAIMED_BY_UID: uid(&victim), names::IDENTITY_UID: "x"});
    let mut current = claim.clone();
    current[names::IDENTITY_UID] = json!(uid(&world.identities().get("bot").await.unwrap()));
    for (name, annotations) in
        [("own", json!({})), ("aid-bot-0000000000", claim), ("aid-bot-1111111111", current)]
    {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "labels": labels, "annotations": annotations}});
        world
            .accounts()
            .create(&Default::default(), &serde_json::from_value(account).unwrap())
            .await
            .unwrap();
    }
    world.gone(world.accounts(), "aid-bot-0000000000").await;
    world.gone(world.accounts(), "aid-bot-1111111111").await;
    assert!(world.accounts().get_opt("own").await.unwrap().is_some());
    let victim = world.pods().get("victim").await.unwrap();
    assert!(victim.metadata.deletion_timestamp.is_none(), "a forged claim ended a foreign pod");
    assert!(world.may(&account_of(&victim), "get", "configmaps").await);
    assert!(!world.may("aid-bot-0000000000", "get", "configmaps").await);
}
