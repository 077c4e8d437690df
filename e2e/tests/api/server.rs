//! The webhook as a server: whatever is sent to it, it answers with a 4xx and goes on.

use crate::common::{World, agent};
use kube::Client;
use perpro_e2e::install::{HostProcess, HostProcesses};
use serde_json::json;

async fn webhook(world: &World) -> Client {
    HostProcesses::of(&world.cluster).client(HostProcess::Webhook).unwrap()
}

async fn status(client: &Client, path: &str, body: Vec<u8>) -> u16 {
    let request = http::Request::post(path)
        .header("content-type", "application/json")
        .body(kube::client::Body::from(body))
        .unwrap();
    // A server that refuses a large body early may close the connection while it is being sent.
    client.send(request).await.map_or(413, |response| response.status().as_u16())
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn rubbish_is_refused_and_makes_no_account() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    let client = webhook(&world).await;
    let forged = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "kind": {"group": "", "version": "v1", "kind": "Secret"}, "operation": "CREATE",
        "namespace": world.namespace, "object": agent(json!({}))}});
    for path in ["/mutate/pods", "/validate/pods"] {
        for (body, expected) in [
            (vec![], 400),
            (b"{\"apiVersion\": \"\xff\"}".to_vec(), 400),
            ("[".repeat(100_000).into_bytes(), 400),
            (serde_json::to_vec(&json!({"apiVersion": "v1", "kind": "Pod"})).unwrap(), 400),
            (serde_json::to_vec(&forged).unwrap(), 400),
            (vec![b' '; 20 << 20], 413),
        ] {
            assert_eq!(status(&client, path, body).await, expected, "{path}");
        }
    }
    assert_eq!(status(&client, "/other", vec![]).await, 404);
    assert!(world.instance_accounts().await.is_empty());
    world.accepts(&agent(json!({}))).await;
    world.released("pod").await;
}
