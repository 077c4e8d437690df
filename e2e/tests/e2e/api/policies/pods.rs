//! An agent pod stays what it was when it was created.

use super::running;
use crate::api::actors::{Actor, Guard};
use crate::common::{World, agent, merge, pod};
use perpro_core::names;
use serde_json::{Value, json};

const MARKS: Guard = Guard::Policy("AID080");
const GATE: Guard = Guard::Policy("AID081");
const IMAGES: Guard = Guard::Policy("AID082");
const NODE: Guard = Guard::Policy("AID098");

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_marks_of_a_pod_stay_as_they_were_when_it_was_created() {
    let (world, _) = running().await;
    let plain = World::new("").await;
    plain.pods().create(&Default::default(), &pod(json!({"metadata": {"name": "plain"}}))).await.unwrap();
    let admin = Actor::admin(&world);
    let labels = |value: Value| json!({"metadata": {"labels": {names::IDENTITY_LABEL: value}}});
    for door in ["pods/pod", "pods/pod/status"] {
        let path = world.path("v1", door);
        for wrong in [
            labels(json!(null)),
            labels(json!("other")),
            json!({"metadata": {"labels": {"perpro.dev/new": "x"}}}),
            json!({"metadata": {"annotations": {names::IDENTITY_UID: null}}}),
            json!({"metadata": {"annotations": {names::IDENTITY_GENERATION: "9"}}}),
            json!({"metadata": {"annotations": {"perpro.dev/new": "x"}}}),
        ] {
            admin.may_not(MARKS, "PATCH", &path, wrong).await;
        }
        admin
            .may("PATCH", &path, json!({"metadata": {"labels": {"team": "x"}, "annotations": {"note": "x"}}}))
            .await;
        let adopted = json!({"metadata": {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": "b"}]}});
        admin.may("PATCH", &path, adopted).await;
        admin
            .may_not(MARKS, "PATCH", &plain.path("v1", &door.replace("/pod", "/plain")), labels(json!("bot")))
            .await;
    }
    let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    admin.may("PATCH", &world.path("v1", "pods/pod/status"), status).await;
    admin.may("PATCH", &world.path("v1", "pods/pod"), json!({"spec": {"activeDeadlineSeconds": 60}})).await;
    let notes = |many: u32| {
        let notes = (0..many).map(|i| (format!("note-{i}"), json!(""))).collect::<serde_json::Map<_, _>>();
        json!({"metadata": {"annotations": notes}})
    };
    admin.may_not(MARKS, "PATCH", &world.path("v1", "pods/pod"), notes(1001)).await;
    admin.may("PATCH", &world.path("v1", "pods/pod"), notes(900)).await;
    // Who has more from the start keeps them: its status can still be written.
    let mut many = notes(1001);
    many["metadata"]["name"] = json!("many");
    world.accepts(&agent(many)).await;
    admin.may("PATCH", &world.path("v1", "pods/many/status"), json!({"status": {"message": "x"}})).await;

    for door in ["bindings", "pods/pod/binding"] {
        let path = world.path("v1", door);
        let binding = |metadata: Value| {
            let mut object = json!({"metadata": {"name": "pod"}, "target": {"apiVersion": "v1", "kind": "Node", "name": "node"}});
            merge(&mut object, json!({"metadata": metadata}));
            object
        };
        for wrong in [
            json!({"labels": {names::IDENTITY_LABEL: "other"}}),
            json!({"annotations": {names::IDENTITY_UID: "1"}}),
        ] {
            admin.may_not(MARKS, "POST", &path, binding(wrong)).await;
        }
        admin.may("POST", &path, binding(json!({"annotations": {"note": "x"}}))).await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_gate_is_opened_by_the_controller_alone() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    let actors = [Actor::admin(&world), Actor::person(&world, "eve", "edit").await];
    world.no_more_bindings().await;
    let twice = json!({"spec": {"schedulingGates": [{"name": "example.com/wait"}]}});
    world.accepts(&agent(twice)).await;
    let path = world.path("v1", "pods/pod");
    for actor in actors {
        actor.may_not(GATE, "PATCH", &path, json!({"spec": {"schedulingGates": null}})).await;
        actor
            .may_not(
                GATE,
                "PATCH",
                &path,
                json!({"spec": {"schedulingGates": [{"name": "example.com/wait"}]}}),
            )
            .await;
        actor.may("PATCH", &path, json!({"spec": {"schedulingGates": [{"name": names::GATE}]}})).await;
        actor.may("DELETE", &path, json!(null)).await;
    }
}

/// Kubernetes lets whoever updates a pod that waits at a gate say more of its node.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn while_an_agent_waits_its_node_is_chosen_by_whoever_may_use_its_identity() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    world.may_use("bot", "jane@example.com").await;
    let eve = Actor::person(&world, "eve", "perpro-edit").await;
    let jane = Actor::person(&world, "jane", "perpro-edit").await;
    world.accepts(&agent(json!({"metadata": {"name": "running"}}))).await;
    // Released by perpro, and held by somebody else.
    let queued =
        json!({"metadata": {"name": "queued"}, "spec": {"schedulingGates": [{"name": "example.com/wait"}]}});
    world.accepts(&agent(queued)).await;
    for name in ["running", "queued"] {
        world.released(name).await;
    }
    world.no_more_bindings().await;
    world.accepts(&agent(json!({}))).await;

    let chosen = json!([{"matchExpressions": [{"key": "node", "operator": "In", "values": ["evil"]}]}]);
    let preferred = json!([{"weight": 100, "preference": chosen[0]}]);
    let affinity =
        |field: &str, terms: Value| json!({"spec": {"affinity": {"nodeAffinity": {field: terms}}}});
    let toleration =
        json!([{"op": "add", "path": "/spec/tolerations/-", "value": {"key": "evil", "operator": "Exists"}}]);
    let selector = json!({"spec": {"nodeSelector": {"node": "evil"}}});
    let choices = [
        selector.clone(),
        affinity("requiredDuringSchedulingIgnoredDuringExecution", json!({"nodeSelectorTerms": chosen})),
        affinity("preferredDuringSchedulingIgnoredDuringExecution", preferred),
        toleration.clone(),
    ];
    for pod in ["pod", "queued"] {
        let path = world.path("v1", &format!("pods/{pod}"));
        for choice in &choices {
            eve.may_not(NODE, "PATCH", &path, choice.clone()).await;
            jane.may("PATCH", &path, choice.clone()).await;
            Actor::admin(&world).may("PATCH", &path, choice.clone()).await;
        }
        eve.may("PATCH", &path, json!({"metadata": {"labels": {"team": "x"}}})).await;
        eve.may("PATCH", &path, json!({"spec": {"activeDeadlineSeconds": 60}})).await;
    }
    // Not with the last gate either.
    let queued = world.path("v1", "pods/queued");
    let opens = json!({"spec": {"schedulingGates": null}});
    let mut both = opens.clone();
    merge(&mut both, selector);
    eve.may_not(NODE, "PATCH", &queued, both).await;
    eve.may("PATCH", &queued, opens).await;
    // Once nothing holds it back, a toleration is anybody's, as Kubernetes has it.
    eve.may("PATCH", &world.path("v1", "pods/running"), toleration).await;

    let plain = World::new("").await;
    let gated =
        json!({"metadata": {"name": "plain"}, "spec": {"schedulingGates": [{"name": "example.com/wait"}]}});
    plain.pods().create(&Default::default(), &pod(gated)).await.unwrap();
    let mallory = Actor::person(&plain, "mallory", "perpro-edit").await;
    for choice in choices {
        mallory.may("PATCH", &plain.path("v1", "pods/plain"), choice).await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_running_agent_keeps_its_images() {
    let (world, _) = running().await;
    let init = json!({"metadata": {"name": "init"}, "spec": {"initContainers": [
        {"name": "prepare", "image": "perpro-tests", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}});
    world.accepts(&agent(init)).await;
    let admin = Actor::admin(&world);
    let swap = |path: &str| json!([{"op": "replace", "path": path, "value": "evil"}]);
    for index in 0..2 {
        let field = format!("/spec/containers/{index}/image");
        admin.may_not(IMAGES, "PATCH", &world.path("v1", "pods/pod"), swap(&field)).await;
    }
    admin
        .may_not(IMAGES, "PATCH", &world.path("v1", "pods/init"), swap("/spec/initContainers/0/image"))
        .await;
    // One update that also strips the label is another policy's or this one's: refused it is.
    let both = json!([{"op": "remove", "path": "/metadata/labels/perpro.dev~1identity"},
        {"op": "replace", "path": "/spec/containers/0/image", "value": "evil"}]);
    let error = admin.asks("PATCH", &world.path("v1", "pods/pod"), both).await.unwrap_err();
    assert!(error.contains("denied request: AID08"), "{error}");

    let plain = World::new("").await;
    plain.pods().create(&Default::default(), &pod(json!({"metadata": {"name": "plain"}}))).await.unwrap();
    admin.may("PATCH", &plain.path("v1", "pods/plain"), swap("/spec/containers/0/image")).await;
    let more =
        json!([{"op": "add", "path": "/spec/containers/0/resources", "value": {"requests": {"cpu": "10m"}}}]);
    let resized = admin.asks("PATCH", &world.path("v1", "pods/pod/resize"), more).await;
    assert!(resized.as_ref().err().is_none_or(|e| !e.contains("AID0")), "{resized:?}");
}
