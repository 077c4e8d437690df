//! What is told, by the API server itself, where an identity comes to a namespace that nobody governs.

use super::uses::workloads;
use crate::api::actors::Actor;
use crate::common::{World, when};
use perpro_core::names;
use serde_json::{Value, json};

/// What the policy tells of a request that is done.
async fn told(world: &World, method: &str, path: &str, body: &Value) -> Vec<String> {
    let (done, warnings) = world.asks_aloud(method, path, body).await;
    assert!(done, "{method} {path}: {warnings:?}");
    warnings
        .into_iter()
        .filter_map(|w| w.split_once("'perpro-ungoverned': ").map(|(_, w)| w.to_owned()))
        .collect()
}

async fn label(world: &World, labels: Value) {
    let path = format!("/api/v1/namespaces/{}", world.namespace);
    Actor::admin(world).sends("PATCH", &path, json!({"metadata": {"labels": labels}})).await.unwrap();
}

fn identity() -> Value {
    json!({"apiVersion": "perpro.dev/v1alpha1", "kind": "AgentIdentity", "metadata": {"name": "bot"}, "spec": {
        "owner": {"kind": "User", "name": "jane"}, "expiresAt": "2036-01-01T00:00:00Z", "justification": "Reads feedback"}})
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn who_brings_an_identity_where_nobody_governs_agents_is_told_which_label_is_missing() {
    let world = World::new("").await;
    let identities = world.path("perpro.dev/v1alpha1", "agentidentities");
    let missing = |at: &str| {
        vec![format!(
            "AID010 {at}: label namespace \"{}\" with perpro.dev/enforce=all (or agents): nobody governs agents there, \
             so pods that name an identity are refused (kubectl perpro explain AID010)",
            world.namespace
        )]
    };
    assert_eq!(told(&world, "POST", &identities, &identity()).await, missing("metadata.namespace"));
    let bot = format!("{identities}/bot");
    let contacts = json!({"spec": {"contacts": ["#bots"]}});
    assert_eq!(told(&world, "PATCH", &bot, &contacts).await, missing("metadata.namespace"));
    let note = json!({"metadata": {"annotations": {"note": "x"}}});
    assert_eq!(told(&world, "PATCH", &bot, &note).await, Vec::<String>::new());

    for (group, resource, mut object) in workloads() {
        object["metadata"] = json!({"name": "x"});
        let path = world.path(group, resource);
        let at = "spec.template.metadata.labels[perpro.dev/identity]";
        assert_eq!(told(&world, "POST", &path, &object).await, missing(at), "{resource}");
        assert_eq!(
            told(&world, "PATCH", &format!("{path}/x"), &note).await,
            Vec::<String>::new(),
            "{resource}"
        );
        let pointer =
            if resource == "cronjobs" { "/spec/jobTemplate/spec/template" } else { "/spec/template" };
        let labels = &mut object.pointer_mut(pointer).unwrap()["metadata"]["labels"];
        labels.as_object_mut().unwrap().remove(names::IDENTITY_LABEL);
        object["metadata"]["name"] = json!("plain");
        assert_eq!(
            told(&world, "POST", &path, &object).await,
            Vec::<String>::new(),
            "{resource} without identity"
        );
    }

    // Where somebody governs, or is about to, all is well: the webhook speaks of templates then.
    for labels in
        [json!({names::WARN_LABEL: "agents"}), json!({names::WARN_LABEL: null, names::ENFORCE_LABEL: "all"})]
    {
        label(&world, labels.clone()).await;
        world
            .eventually(&format!("{labels} should count"), async || {
                let path = format!("{bot}?dryRun=All");
                let told = told(&world, "PATCH", &path, &json!({"spec": {"contacts": ["#others"]}})).await;
                when(told.is_empty(), &format!("{told:?}"))
            })
            .await;
    }
    label(&world, json!({names::ENFORCE_LABEL: "al"})).await;
    world
        .eventually("a typo governs nothing", async || {
            let told =
                told(&world, "PATCH", &format!("{bot}?dryRun=All"), &json!({"spec": {"contacts": ["#x"]}}))
                    .await;
            when(told == missing("metadata.namespace"), &format!("{told:?}"))
        })
        .await;
}
