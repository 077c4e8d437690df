//! Objects that whoever writes them made hard to read: managed fields nested deeper than JSON
//! parsers go, a time later than our times go, both of which an API server stores. They must stop
//! nobody, and save nobody from his end.

use super::free_the_lease;
use crate::common::{World, agent, usual_spec, when};
use perpro_core::names;
use perpro_e2e::install::{HostProcess, HostProcesses};
use serde_json::{Value, json};

/// Deeper than serde_json goes (128).
const LEVELS: usize = 200;

/// The object, or a patch of it, with managed fields that are too deep, as text: no parser of ours takes it.
fn deep(mut object: Value) -> Vec<u8> {
    let fields = format!("{}{{}}{}", "{\"f:a\":".repeat(LEVELS), "}".repeat(LEVELS));
    let version = object["apiVersion"].clone();
    object["metadata"]["managedFields"] = json!([{"manager": "evil", "operation": "Update", "apiVersion": version,
        "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": "HERE"}}]);
    serde_json::to_string(&object).unwrap().replace("\"HERE\"", &fields).into_bytes()
}

async fn send(world: &World, method: &str, path: &str, object: Value) -> Result<(), String> {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
    let request = request.body(deep(object)).unwrap();
    let answer = world.client.request_text(request).await;
    answer.map(drop).map_err(crate::common::message)
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_object_that_parsers_refuse_stops_nobody_and_ends_like_any_other() {
    let world = World::new("all").await;
    let stranger = World::new("").await;
    let processes = HostProcesses::of(&world.cluster);
    let core = |world: &World, rest: &str| format!("/api/v1/namespaces/{}/{rest}", world.namespace);
    let identities = format!("/apis/perpro.dev/v1alpha1/namespaces/{}/agentidentities", world.namespace);

    // What is over the ceiling is refused however deep it is.
    let mut spec = usual_spec();
    spec["permissions"][0]["resources"] = json!(["pods"]);
    let identity = json!({"apiVersion": "perpro.dev/v1alpha1", "kind": "AgentIdentity", "metadata": {"name": "greedy"}, "spec": spec});
    let refused = send(&world, "POST", &identities, identity).await.unwrap_err();
    assert!(refused.contains("AID034"), "{refused}");

    world.identity("bot", json!({})).await;
    let account = world.released_agent().await;
    let labelled = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "evil", "labels": {names::IDENTITY_LABEL: "x"}}});
    send(&stranger, "POST", &core(&stranger, "serviceaccounts"), labelled).await.unwrap();
    let touch = |version: &str| json!({"apiVersion": version, "metadata": {}});
    send(&world, "PATCH", &core(&world, "pods/pod"), touch("v1")).await.unwrap();
    // A kubelet writes this of any pod on its node.
    let late = json!({"apiVersion": "v1", "metadata": {}, "status": {"startTime": "9999-12-31T23:59:59Z"}});
    send(&world, "PATCH", &core(&world, "pods/pod/status"), late).await.unwrap();
    let bot = format!("{identities}/bot");
    send(&world, "PATCH", &bot, touch("perpro.dev/v1alpha1")).await.unwrap();

    // Both processes read all of it at their start.
    processes.restart(HostProcess::Webhook, &[]).await.unwrap();
    processes.kill(HostProcess::Controller).await.unwrap();
    free_the_lease(&world).await;
    processes.start(HostProcess::Controller, &[]).await.unwrap();
    world.identity("other", json!({"secrets": null, "containers": null})).await;
    let other = agent(json!({"metadata": {"name": "other", "labels": {names::IDENTITY_LABEL: "other"}}}));
    world.accepts(&other).await;
    world.released("other").await;

    let suspend = http::Request::patch(&bot).header("content-type", "application/merge-patch+json");
    let suspend = suspend.body(br#"{"spec":{"suspended":true}}"#.to_vec()).unwrap();
    world.client.request_text(suspend).await.unwrap();
    world
        .eventually("account and power should be gone", async || {
            let gone = world.accounts().get_opt(&account).await.unwrap().is_none();
            when(gone && !world.may(&account, "get", "configmaps").await, "they are there")
        })
        .await;
    world
        .eventually("the pod should be gone", async || {
            let get = http::Request::get(core(&world, "pods/pod")).body(vec![]).unwrap();
            when(world.client.request_text(get).await.is_err(), "it is there")
        })
        .await;
    let delete = http::Request::delete(core(&stranger, "serviceaccounts/evil")).body(vec![]).unwrap();
    world.client.request_text(delete).await.unwrap();
}
