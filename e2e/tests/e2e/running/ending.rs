//! The end of pods that run: their power, their account, the token that somebody has copied, and themselves.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Error;
use kube::api::{Api, DeleteParams};
use perpro_core::names;
use perpro_e2e::wait;
use serde_json::{Value, json};

use super::inside::{create, end, exec, power_ends, runs, with_token, world};
use crate::common::{World, account_of, agent, when};

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
    Api::namespaced(with_token(world, token).await, &world.namespace)
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
async fn the_end_of_an_identity_ends_a_pod_that_ignores_sigterm_whatever_its_disruption_budget() {
    let suspend = ends_with_it("suspended", async |world: &World| {
        world.patch_identity("bot", json!({"suspended": true})).await;
    });
    let expire = ends_with_it("expired", async |world: &World| {
        let soon = Timestamp::from_second(Timestamp::now().as_second() + 3).unwrap();
        world.patch_identity("bot", json!({"expiresAt": soon.to_string()})).await;
    });
    let delete = ends_with_it("deleted", async |world: &World| {
        world.identities().delete("bot", &DeleteParams::default()).await.unwrap();
    });
    futures::join!(suspend, expire, delete);
}

/// Starts a pod that will not end, of whose kind none may be disrupted, and ends its identity by `act`.
async fn ends_with_it(how: &str, act: impl AsyncFnOnce(&World)) {
    let world = world().await;
    let budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "none"},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {names::IDENTITY_LABEL: "bot"}}}});
    create::<PodDisruptionBudget>(&world, budget).await;
    let account = account_of(&running(&world, stubborn()).await);
    let budgets = Api::<PodDisruptionBudget>::namespaced(world.client.clone(), &world.namespace);
    world
        .eventually("the budget should count the pod", async || {
            let status = budgets.get("none").await.unwrap().status.unwrap_or_default();
            when(
                (status.current_healthy, status.disruptions_allowed) == (Some(1), Some(0)),
                &format!("{status:?}"),
            )
        })
        .await;
    act(&world).await;
    let since = Instant::now();
    power_ends(&world, &account).await;
    let ending = world
        .eventually("it should be deleted", async || match world.pods().get_opt("pod").await.unwrap() {
            Some(pod) if pod.metadata.deletion_timestamp.is_none() => wait::not_yet("it is not"),
            other => wait::ready(other),
        })
        .await;
    if let Some(grace) = ending.and_then(|pod| pod.metadata.deletion_grace_period_seconds) {
        assert!(grace <= 30, "{how}: {grace} s of grace");
    }
    world.gone(world.accounts(), &account).await;
    // Thirty seconds of grace, and what the kubelet needs.
    wait::until(&format!("{how}: the pod should be gone"), Duration::from_secs(60), async || {
        match world.pods().get_opt("pod").await.unwrap() {
            None => wait::ready(()),
            Some(pod) => wait::not_yet(format!("{:?} after {:?}", pod.status, since.elapsed())),
        }
    })
    .await
    .unwrap();
    end(world).await;
}
