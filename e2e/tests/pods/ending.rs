//! The end of pods that run: their power, their account, the token that somebody has copied, and themselves.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, DeleteParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, Error};
use perpro_core::names;
use perpro_e2e::wait;
use serde_json::{Value, json};

use crate::common::{World, account_of, agent};
use crate::inside::{end, exec, power_ends, runs, world};

/// The API server trusts a token for ten seconds after it has last checked it.
const TOKEN_ENDS: Duration = Duration::from_secs(15);

/// A pod that runs, with `change` merged in.
async fn running(world: &World, change: Value) -> Pod {
    world.identity("bot", json!({})).await;
    world.accepts(&agent(change)).await;
    runs(world, "pod").await
}

/// The change that makes a pod ignore SIGTERM, and wish for ten minutes to end.
fn stubborn() -> Value {
    let ignore = |name: &str| json!({"name": name, "args": ["ignore-term"]});
    json!({"spec": {"terminationGracePeriodSeconds": 600, "containers": [ignore("agent"), ignore("tool")]}})
}

/// A client that has nothing but the token of the pod, read from inside.
async fn thief(world: &World) -> Api<ConfigMap> {
    let file = format!("{}/token", names::TOKEN_DIR);
    let token = exec(world, "pod", "agent", &["/probe", "show", &file]).await.unwrap();
    let read = Kubeconfig::read_from(world.cluster.kubeconfig()).unwrap();
    let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
    config.auth_info = AuthInfo { token: Some(token.into()), ..AuthInfo::default() };
    Api::namespaced(Client::try_from(config).unwrap(), &world.namespace)
}

/// The status with which the API server answers.
async fn status(stolen: &Api<ConfigMap>) -> u16 {
    match stolen.get("feedback").await {
        Ok(_) => 200,
        Err(Error::Api(status)) => status.code,
        Err(error) => panic!("no answer: {error}"),
    }
}

#[tokio::test]
#[ignore = "needs a cluster with a node"]
async fn the_copied_token_of_a_deleted_pod_is_worth_nothing() {
    let world = world().await;
    let account = account_of(&running(&world, json!({})).await);
    let stolen = thief(&world).await;
    assert_eq!(status(&stolen).await, 200);

    world.pods().delete("pod", &DeleteParams::default()).await.unwrap();
    world.gone(world.bindings(), &account).await;
    world.gone(world.accounts(), &account).await;
    let since = Instant::now();
    assert_ne!(status(&stolen).await, 200, "the token has power although the binding is gone");
    wait::until("the token should be refused", TOKEN_ENDS, async || match status(&stolen).await {
        401 => wait::ready(()),
        other => wait::not_yet(format!("{other} after {:?}", since.elapsed())),
    })
    .await
    .unwrap();
    end(world).await;
}

#[tokio::test]
#[ignore = "needs a cluster with a node"]
async fn a_deleted_pod_that_will_not_end_keeps_no_power_past_the_drain_time() {
    let world = world().await;
    let account = account_of(&running(&world, stubborn()).await);
    world.pods().delete("pod", &DeleteParams::default()).await.unwrap();
    world.gone(world.bindings(), &account).await;
    world.gone(world.accounts(), &account).await;
    power_ends(&world, &account).await;
    let pod = world.pods().get("pod").await.unwrap();
    assert!(pod.metadata.deletion_timestamp.is_some(), "it is on its way, and still there");
    world.pods().delete("pod", &DeleteParams::default().grace_period(0)).await.unwrap();
    end(world).await;
}

#[tokio::test]
#[ignore = "needs a cluster with a node"]
async fn a_suspended_identity_ends_a_pod_that_ignores_sigterm() {
    let world = world().await;
    let account = account_of(&running(&world, stubborn()).await);
    world.patch_identity("bot", json!({"suspended": true})).await;
    let since = Instant::now();
    power_ends(&world, &account).await;
    let ending = world
        .eventually("it should be deleted", async || match world.pods().get_opt("pod").await.unwrap() {
            Some(pod) if pod.metadata.deletion_timestamp.is_none() => wait::not_yet("it is not"),
            other => wait::ready(other),
        })
        .await;
    if let Some(grace) = ending.and_then(|pod| pod.metadata.deletion_grace_period_seconds) {
        assert!(grace <= 30, "{grace} s of grace");
    }
    world.gone(world.accounts(), &account).await;
    // Thirty seconds of grace, and what the kubelet needs.
    wait::until("the pod should be gone", Duration::from_secs(60), async || {
        match world.pods().get_opt("pod").await.unwrap() {
            None => wait::ready(()),
            Some(pod) => wait::not_yet(format!("{:?} after {:?}", pod.status, since.elapsed())),
        }
    })
    .await
    .unwrap();
    end(world).await;
}
