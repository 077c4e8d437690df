//! What an agent itself may write, and with which token.

use super::running;
use crate::api::actors::{Actor, Guard};
use serde_json::json;

const PODLESS: Guard = Guard::Policy("AID086");

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_agents_account_writes_only_with_a_token_of_its_own_pod() {
    let (world, account) = running().await;
    let path = world.path("v1", "configmaps/c");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}});
    let admin = Actor::admin(&world);
    admin.sends("POST", &world.path("v1", "configmaps"), map.clone()).await.unwrap();

    let user = format!("system:serviceaccount:{}:{account}", world.namespace);
    let impersonator = Actor::impersonated(&world, &user).await;
    impersonator.may_not(PODLESS, "PUT", &path, map.clone()).await;
    // A token without a pod is none that anybody is given: see `tokens`.
    let pod = world.pods().get("pod").await.unwrap();
    Actor::agent(&world, &pod).await.may("PUT", &path, map).await;
}
