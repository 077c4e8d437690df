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
    let unbound = Actor::token(&world, &world.namespace, &account, None).await;
    unbound.may_not(PODLESS, "PUT", &path, map.clone()).await;
    unbound.may("GET", &path, json!(null)).await;
    let pod = world.pods().get("pod").await.unwrap();
    Actor::token(&world, &world.namespace, &account, Some(&pod)).await.may("PUT", &path, map).await;
}
