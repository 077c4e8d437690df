//! Pods, whose gates the controller opens and which it ends.

use super::{FINALIZER, POLICY, agents};
use crate::api::actors::{Actor, Guard};
use crate::common::{World, agent, pod};
use kube::api::PostParams;
use perpro_core::names;
use perpro_e2e::install::NAMESPACE;
use serde_json::{Value, json};

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_stolen_token_of_the_controller_opens_gates_and_ends_agents_and_touches_no_other_pod() {
    let (world, ..) = agents().await;
    let thief = Actor::token(&world, NAMESPACE, "perpro-controller").await;
    let plain = World::new("").await;
    let created = pod(
        json!({"metadata": {"name": "plain"}, "spec": {"schedulingGates": [{"name": names::GATE}, {"name": "example.com/wait"}]}}),
    );
    plain.pods().create(&PostParams::default(), &created).await.unwrap();

    let (running, gated) = (world.path("v1", "pods/pod"), world.path("v1", "pods/gated"));
    let other = plain.path("v1", "pods/plain");
    let open = json!({"spec": {"schedulingGates": null}});
    thief.may("PATCH", &gated, open.clone()).await;
    thief.may_not(POLICY, "PATCH", &other, open.clone()).await;
    let ours_alone = json!({"spec": {"schedulingGates": [{"name": "example.com/wait"}]}});
    thief.may_not(POLICY, "PATCH", &other, ours_alone.clone()).await;
    let twice =
        json!({"metadata": {"name": "twice"}, "spec": {"schedulingGates": [{"name": "example.com/wait"}]}});
    world.accepts(&agent(twice)).await;
    let twice = world.path("v1", "pods/twice");
    thief.may("PATCH", &twice, ours_alone).await;
    for theirs in [json!([{"name": names::GATE}]), json!(null)] {
        thief.may_not(POLICY, "PATCH", &twice, json!({"spec": {"schedulingGates": theirs}})).await;
    }
    for wrong in [
        json!({"metadata": {"labels": {names::IDENTITY_LABEL: null}}}),
        json!({"metadata": {"labels": {"a": "b"}}}),
        json!({"metadata": {"annotations": {"a": "b"}}}),
        json!({"metadata": {"finalizers": [FINALIZER]}}),
        json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b"}]}}),
        json!({"spec": {"activeDeadlineSeconds": 1}}),
        json!({"spec": {"nodeSelector": {"kubernetes.io/hostname": "mine"}}}),
        json!({"spec": {"tolerations": [{"operator": "Exists"}]}}),
        json!([{"op": "replace", "path": "/spec/containers/0/image", "value": "evil"}]),
    ] {
        let mut both = wrong.clone();
        if both.is_object() {
            crate::common::merge(&mut both, open.clone());
            refused_or_invalid(&thief, &gated, both).await;
        }
        refused_or_invalid(&thief, &running, wrong.clone()).await;
        refused_or_invalid(&thief, &other, wrong).await;
    }
    for path in [&running, &gated] {
        thief.may("DELETE", path, json!(null)).await;
    }
    thief.may_not(POLICY, "DELETE", &other, json!(null)).await;
    thief.may_not(Guard::Rbac, "DELETE", &world.path("v1", "pods"), json!(null)).await;
}

/// A change of a pod is refused by a policy of ours, or by Kubernetes as one that no pod can have.
async fn refused_or_invalid(actor: &Actor, path: &str, body: Value) {
    let error = actor.asks("PATCH", path, body.clone()).await.err();
    let error = error.unwrap_or_else(|| panic!("allowed: {path} {body}"));
    let ours = ["AID08", "AID098"].iter().any(|code| error.contains(&format!("denied request: {code}")));
    assert!(ours || error.contains("is invalid"), "{path} {body}: {error}");
    let invalid_anyway = ["nodeSelector", "tolerations"].iter().any(|f| body.to_string().contains(f));
    assert!(ours || invalid_anyway, "no policy refused: {path} {body}: {error}");
}
