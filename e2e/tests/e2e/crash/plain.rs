//! With perpro's processes dead, what is claimed stays claimed.

use super::free_the_lease;
use crate::api::actors::{Actor, Guard};
use crate::common::{World, pod, when};
use perpro_e2e::install::{HostProcess, HostProcesses};
use serde_json::{Value, json};

/// A pod without identity that holds a Secret.
fn holds(secret: &str) -> Value {
    let volume = json!({"name": "v", "secret": {"secretName": secret}});
    json!(pod(json!({"metadata": {"name": "plain"}, "spec": {"volumes": [volume]}})))
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn with_perpro_down_pods_without_identity_are_kept_off_agents_all_the_same() {
    let world = World::new("agents").await;
    let processes = HostProcesses::of(&world.cluster);
    world.identity("bot", json!({})).await;
    let account = world.released_agent().await;
    world.condition("bot", "SecretsExclusive", "True", "Exclusive").await;
    let admin = Actor::admin(&world);
    let path = world.path("v1", "pods");
    // The API server's policy learns of a claim by a watch.
    world
        .eventually("it should be claimed", async || {
            let made = admin.asks("POST", &path, holds("crm")).await;
            when(made.is_err_and(|e| e.contains("AID096")), "it is not")
        })
        .await;
    processes.kill(HostProcess::Controller).await.unwrap();
    processes.kill(HostProcess::Webhook).await.unwrap();

    let plain = |spec| json!(pod(json!({"metadata": {"name": "plain"}, "spec": spec})));
    admin.may_not(Guard::Policy("AID096"), "POST", &path, holds("crm")).await;
    admin.may("POST", &path, holds("mine")).await;
    admin
        .may_not(Guard::Policy("AID097"), "POST", &path, plain(json!({"serviceAccountName": account})))
        .await;
    admin.may("POST", &path, plain(json!({}))).await;

    // What an identity lists while nobody is there to claim it, is claimed by whoever comes.
    free_the_lease(&world).await;
    processes.restart(HostProcess::Webhook, &[]).await.unwrap();
    world
        .identity(
            "late",
            json!({"secrets": [{"name": "erp", "rotateBy": "2036-01-01T00:00:00Z"}], "containers": null}),
        )
        .await;
    admin.may("POST", &path, holds("erp")).await;
    processes.restart(HostProcess::Controller, &[]).await.unwrap();
    world
        .eventually("it should be claimed", async || {
            let made = admin.asks("POST", &path, holds("erp")).await;
            when(made.is_err_and(|e| e.contains("AID096")), "it is not")
        })
        .await;
}

/// A claim follows from a look that is a moment old, and is not trusted for ever.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pod_that_came_in_past_the_policy_is_seen_and_its_secret_is_claimed_no_more() {
    let world = World::new("agents").await;
    let processes = HostProcesses::of(&world.cluster);
    world.identity("bot", json!({})).await;
    world.condition("bot", "SecretsExclusive", "True", "Exclusive").await;
    processes.kill(HostProcess::Controller).await.unwrap();

    let admin = Actor::admin(&world);
    let bindings = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";
    let ours = format!("{bindings}/perpro-plain-pods");
    let mut binding = admin.sends("GET", &ours, json!(null)).await.unwrap();
    admin.sends("DELETE", &ours, json!(null)).await.unwrap();
    let path = world.path("v1", "pods");
    world
        .eventually("the pod should come in", async || {
            let made = admin.sends("POST", &path, holds("crm")).await;
            when(made.is_ok(), &format!("{made:?}"))
        })
        .await;
    let metadata = &binding["metadata"];
    binding["metadata"] = json!({"name": metadata["name"], "labels": metadata["labels"], "annotations": metadata["annotations"]});
    admin.sends("POST", bindings, binding).await.unwrap();

    free_the_lease(&world).await;
    processes.restart(HostProcess::Controller, &[]).await.unwrap();
    world.condition("bot", "SecretsExclusive", "False", "SecretInUse").await;
    let mut other = holds("crm");
    other["metadata"]["name"] = json!("other");
    admin.may("POST", &path, other).await;
}
