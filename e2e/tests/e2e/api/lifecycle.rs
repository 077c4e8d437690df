//! The end of power: each way in which it is over.

use super::actors::Actor;
use super::warnings::events_of;
use crate::common::{World, account_of, agent, uid, when};
use jiff::{SignedDuration, Timestamp};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use perpro_core::names;
use perpro_e2e::install::{HostProcess, HostProcesses, NAMESPACE};
use serde_json::json;

/// A world with identity `bot` and one released pod of it, and the pod's account.
async fn running() -> (World, String) {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    let account = world.released_agent().await;
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
    assert_ne!(world.released_agent().await, account);
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pod_that_was_given_years_to_end_is_given_seconds_when_its_identity_is_over() {
    let (world, account) = running().await;
    is_given_years(&world).await;
    world.patch_identity("bot", json!({"suspended": true})).await;
    has_seconds(&world).await;
    assert!(!world.may(&account, "get", "configmaps").await);
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pod_that_was_given_years_to_end_is_given_seconds_when_it_holds_what_is_listed_no_more() {
    let world = World::new("all").await;
    world.set_ceiling(json!({"drainSeconds": 1, "staleSeconds": 1})).await;
    world.identity("bot", json!({"permissions": []})).await;
    let account = world.released_agent().await;
    is_given_years(&world).await;
    world.gone(world.accounts(), &account).await;
    world.patch_identity("bot", json!({"containers": []})).await;
    has_seconds(&world).await;
}

/// An editor deletes the pod, on a node, with a grace that never ends.
async fn is_given_years(world: &World) {
    world.place(&world.pods().get("pod").await.unwrap()).await;
    let editor = Actor::person(world, "eve", "edit").await;
    let path = world.path("v1", "pods/pod?gracePeriodSeconds=3000000000");
    editor.sends("DELETE", &path, json!(null)).await.unwrap();
}

/// Waits until the pod has at most 30 s, and removes it: there is no kubelet.
async fn has_seconds(world: &World) {
    world
        .eventually("the pod should have at most 30 s", async || {
            let pod = world.pods().get("pod").await.unwrap();
            let grace = pod.metadata.deletion_grace_period_seconds;
            when(grace.is_some_and(|grace| grace <= 30), "it has years")
        })
        .await;
    world.pods().delete("pod", &DeleteParams::default().grace_period(0)).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_identity_that_is_held_while_it_is_deleted_ends_its_pods_and_says_so() {
    let (world, account) = running().await;
    let held = |finalizers| Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
    let params = PatchParams::default();
    world.identities().patch("bot", &params, &held(json!(["example.com/backup"]))).await.unwrap();
    world.identities().delete("bot", &DeleteParams::default()).await.unwrap();
    all_ends(&world, &account).await;
    world.condition("bot", "Ready", "False", "Ended").await;
    let said = world.rejects(&agent(json!({})), "AID002").await;
    assert!(said.contains("is being deleted"), "{said}");
    world.identities().patch("bot", &params, &held(json!([]))).await.unwrap();
    world.gone(world.identities(), "bot").await;
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
async fn who_ends_an_identity_is_told_how_many_pods_end_and_how_soon() {
    let (world, _) = running().await;
    let path = format!("{}?dryRun=All", world.path("perpro.dev/v1alpha1", "agentidentities/bot"));
    let past = json!({"spec": {"expiresAt": "2020-01-01T00:00:00Z"}});
    // With options in the body, those of the path count for nothing.
    let delete = json!({"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]});
    for (method, body, begin) in [
        ("PATCH", past, "spec.expiresAt: setting expiresAt of AgentIdentity \"bot\" to the past"),
        ("DELETE", delete, "metadata.name: deleting AgentIdentity \"bot\""),
    ] {
        let begin =
            format!("perpro AID056 {begin} takes the power of its pod at once, and ends it within 30 s;");
        world
            .eventually("the webhook should tell of the pod", async || {
                let (done, warnings) = world.tries(method, &path, &body).await;
                assert!(done, "{method}");
                when(warnings.iter().any(|w| w.starts_with(&begin)), &format!("{warnings:?}"))
            })
            .await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_deleted_identity_ends_its_pods_and_its_namesake_gives_them_nothing() {
    let (world, account) = running().await;
    world.identities().delete("bot", &DeleteParams::default()).await.unwrap();
    world.identity("bot", json!({})).await;
    all_ends(&world, &account).await;
    let new = world.released_agent().await;
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
    // The API server learns of it by a watch of its own.
    world
        .eventually("its power should be gone", async || {
            when(!world.may(&account, "get", "configmaps").await, "it has it")
        })
        .await;
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

/// Only with tokens of ours can an account be forged at all.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_forged_claim_ends_no_pod_and_lends_no_power() {
    let (world, _) = running().await;
    let victim = agent(json!({"metadata": {"name": "victim"}}));
    let victim = world.accepts(&victim).await;
    world.released("victim").await;
    let webhook = Actor::token(&world, NAMESPACE, "perpro-webhook").await;
    let controller = Actor::token(&world, NAMESPACE, "perpro-controller").await;
    let accounts = world.path("v1", "serviceaccounts");
    let current = uid(&world.identities().get("bot").await.unwrap());
    for (name, identity) in [("aid-bot-0000000000", "x"), ("aid-bot-1111111111", current.as_str())] {
        let labels =
            json!({names::IDENTITY_LABEL: "bot", names::MANAGED_BY: names::MANAGER, names::PART_OF: "bot"});
        let forged = json!({"metadata": {"name": name, "labels": labels, "annotations": {names::IDENTITY_UID: identity}},
            "automountServiceAccountToken": false});
        webhook.sends("POST", &accounts, forged).await.unwrap();
        let claim = json!({"metadata": {"annotations": {names::CLAIMED_BY: "victim", names::CLAIMED_BY_UID: uid(&victim)}}});
        controller.sends("PATCH", &format!("{accounts}/{name}"), claim).await.unwrap();
        world.gone(world.accounts(), name).await;
    }
    let victim = world.pods().get("victim").await.unwrap();
    assert!(victim.metadata.deletion_timestamp.is_none(), "a forged claim ended a foreign pod");
    assert!(world.may(&account_of(&victim), "get", "configmaps").await);
    assert!(!world.may("aid-bot-0000000000", "get", "configmaps").await);
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_running_pod_keeps_what_is_listed_no_more_only_for_a_while() {
    let world = World::new("all").await;
    let rule = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]});
    world.set_ceiling(json!({"staleSeconds": 3600, "permissions": [rule]})).await;
    world.identity("bot", json!({})).await;
    let account = world.released_agent().await;
    let stale = async || {
        let account = world.accounts().get(&account).await.unwrap();
        account.metadata.annotations.unwrap_or_default().contains_key(names::STALE_SINCE)
    };

    let containers = |keys: serde_json::Value| json!({"containers": [{"name": "agent", "kubernetesAccess": "Token", "secretKeys": keys}]});
    world.patch_identity("bot", containers(json!([]))).await;
    world.eventually("the account should say so", async || when(stale().await, "it does not")).await;
    assert!(world.may(&account, "get", "configmaps").await, "it runs on");
    world
        .eventually("an Event should say that it will end", async || {
            let events = events_of(&world, "bot").await;
            let told = |(_, text): &(String, String)| {
                text.starts_with("pod \"pod\" holds") && text.contains("ends in 3600 s")
            };
            when(events.iter().any(told), &format!("{events:?}"))
        })
        .await;
    let said = world.perpro(&["instances", "bot", "-n", &world.namespace]).await;
    let last = said.out.lines().last().unwrap_or_default();
    assert!(last.starts_with("pod: since ") && last.contains("lists no more"), "{said:?}");

    let key = json!({"secret": "crm", "key": "key", "env": "CRM_KEY", "path": "crm/key"});
    world.patch_identity("bot", containers(json!([key]))).await;
    world.eventually("the mark should go", async || when(!stale().await, "it is there")).await;

    world.patch_identity("bot", containers(json!([]))).await;
    world.set_ceiling(json!({"staleSeconds": 1, "permissions": [rule]})).await;
    all_ends(&world, &account).await;
    world.released_agent().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_namespace_that_is_deleted_takes_all_with_it_and_nothing_fails() {
    let (world, account) = running().await;
    world.identity("ended", json!({"suspended": true})).await;
    let namespaces = Api::<k8s_openapi::api::core::v1::Namespace>::all(world.client.clone());
    namespaces.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
    world.gone(namespaces, &world.namespace).await;
    assert!(!world.may(&account, "get", "configmaps").await);

    let log = HostProcesses::of(&world.cluster).log(HostProcess::Controller);
    let log = std::fs::read_to_string(log).unwrap();
    let said: Vec<_> = log.lines().filter(|line| line.contains(&world.namespace)).collect();
    assert!(said.iter().any(|line| line.contains("pod released")), "{said:#?}");
    let failed: Vec<_> =
        said.iter().filter(|line| line.contains("ERROR") || line.contains("failed")).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
