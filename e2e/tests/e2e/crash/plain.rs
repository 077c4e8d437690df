//! With perpro's processes dead, what is claimed stays claimed.

use super::free_the_lease;
use crate::api::actors::{Actor, Guard};
use crate::common::{World, account_of, agent, pod, when};
use perpro_e2e::install::{HostProcess, HostProcesses};
use serde_json::json;

#[tokio::test]
#[ignore = "needs a cluster"]
async fn with_perpro_down_pods_without_identity_are_kept_off_agents_all_the_same() {
    let world = World::new("agents").await;
    let processes = HostProcesses::of(&world.cluster);
    world.identity("bot", json!({})).await;
    world.accepts(&agent(json!({}))).await;
    let account = account_of(&world.released("pod").await);
    world.condition("bot", "SecretsExclusive", "True", "Exclusive").await;
    processes.kill(HostProcess::Controller).await.unwrap();
    processes.kill(HostProcess::Webhook).await.unwrap();

    let admin = Actor::admin(&world);
    let path = world.path("v1", "pods");
    let plain = |spec| json!(pod(json!({"metadata": {"name": "plain"}, "spec": spec})));
    let volume = |secret: &str| json!({"volumes": [{"name": "v", "secret": {"secretName": secret}}]});
    admin.may_not(Guard::Policy("AID096"), "POST", &path, plain(volume("crm"))).await;
    admin.may("POST", &path, plain(volume("mine"))).await;
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
    admin.may("POST", &path, plain(volume("erp"))).await;
    processes.restart(HostProcess::Controller, &[]).await.unwrap();
    world
        .eventually("it should be claimed", async || {
            let made = admin.asks("POST", &path, plain(volume("erp"))).await;
            when(made.is_err_and(|e| e.contains("AID096")), "it is not")
        })
        .await;
}
