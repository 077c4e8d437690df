//! Who is given a token of an agent's account: the node that runs its pod. Nor does one lie in a Secret.

use super::running;
use crate::api::actors::{Actor, Guard, token_request};
use crate::common::{World, when};
use serde_json::{Value, json};

const TOKENS: Guard = Guard::Policy("AID087");
const SECRETS: Guard = Guard::Policy("AID088");

#[tokio::test]
#[ignore = "needs a cluster"]
async fn only_the_node_of_an_agents_pod_is_given_tokens_of_its_account() {
    let (world, account) = running().await;
    let pod = world.pods().get("pod").await.unwrap();
    let of = |account: &str| world.path("v1", &format!("serviceaccounts/{account}/token"));
    // One half of what a node is makes nobody a node.
    for name in ["system:node:eve", "kubelet"] {
        world.bind(name, "ClusterRole", "edit").await;
    }
    let named = Actor::impersonated(&world, "system:node:eve").await;
    let grouped = Actor::in_groups(&world, "kubelet", vec!["system:nodes".to_owned()]).await;
    for actor in [Actor::admin(&world), Actor::person(&world, "eve", "edit").await, named, grouped] {
        for bound in [None, Some(&pod)] {
            actor.may_not(TOKENS, "POST", &of(&account), token_request(bound)).await;
        }
        actor.may("POST", &of("default"), token_request(None)).await;
    }
    let agent = Actor::agent(&world, &pod).await;
    agent.sends("GET", &world.path("v1", "configmaps/kube-root-ca.crt"), json!(null)).await.unwrap();
}

/// A Secret that Kubernetes fills with a token of the account.
fn secret(account: &str) -> Value {
    json!({"metadata": {"name": "token", "annotations": {"kubernetes.io/service-account.name": account}},
        "type": "kubernetes.io/service-account-token"})
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn no_secret_is_made_for_a_token_where_agents_are_governed_nor_for_an_agent_anywhere() {
    let (world, account) = running().await;
    let ungoverned = World::new("").await;
    let [here, there] = [&world, &ungoverned].map(|w| w.path("v1", "secrets"));
    for actor in [Actor::admin(&world), Actor::person(&world, "eve", "edit").await] {
        for account in ["default", account.as_str(), "aid-bot-0123456789"] {
            actor.may_not(SECRETS, "POST", &here, secret(account)).await;
        }
        let opaque = json!({"metadata": {"name": "own"}, "stringData": {"a": "b"}});
        actor.may("POST", &here, opaque).await;
    }
    let eve = Actor::person(&ungoverned, "eve", "edit").await;
    eve.may_not(SECRETS, "POST", &there, secret("aid-bot-0123456789")).await;
    eve.may("POST", &there, secret("default")).await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_secret_with_a_token_that_is_older_keeps_its_account_and_can_be_marked_and_deleted() {
    let world = World::new("").await;
    let admin = Actor::admin(&world);
    let path = world.path("v1", "secrets/token");
    world
        .eventually("the Secret should have its token", async || {
            // Made again where Kubernetes took it away: it did not know the account yet.
            let _ = admin.sends("POST", &world.path("v1", "secrets"), secret("default")).await;
            let found = admin.sends("GET", &path, json!(null)).await;
            when(found.is_ok_and(|s| s["data"]["token"].is_string()), "it has none")
        })
        .await;
    let names = |account: &str| json!({"metadata": secret(account)["metadata"]});
    admin.may("PATCH", &path, names("other")).await;
    admin.may_not(SECRETS, "PATCH", &path, names("aid-bot-0123456789")).await;

    let label = json!({"metadata": {"labels": {"perpro.dev/enforce": "agents"}}});
    admin.sends("PATCH", &format!("/api/v1/namespaces/{}", world.namespace), label).await.unwrap();
    world
        .eventually("the label should count", async || {
            let made = admin.asks("POST", &world.path("v1", "secrets"), secret("default")).await;
            when(made.is_err_and(|e| e.contains("AID088")), "it does not")
        })
        .await;
    admin.may_not(SECRETS, "PATCH", &path, names("other")).await;
    // As the API server and the cleaner of tokens do.
    let used = json!({"metadata": {"labels": {"kubernetes.io/legacy-token-last-used": "2026-01-01"}}});
    admin.may("PATCH", &path, used).await;
    let invalid = json!({"metadata": {"labels": {"kubernetes.io/legacy-token-invalid-since": "2026-01-01"}}});
    admin.may("PATCH", &path, invalid).await;
    admin.may("DELETE", &path, json!(null)).await;
}
