//! Accounts of agents: the webhook mints them, the controller claims and ends them.

use super::{FINALIZER, POLICY, RBAC, agents, is_no_way_out, minted, with};
use crate::api::actors::{Actor, Guard};
use crate::common::{World, uid};
use perpro_core::names;
use perpro_e2e::install::NAMESPACE;
use serde_json::json;

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_stolen_token_of_the_webhook_mints_unclaimed_accounts_and_nothing_else() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    let thief = Actor::token(&world, NAMESPACE, "perpro-webhook").await;
    let accounts = world.path("v1", "serviceaccounts");
    let name = "aid-bot-0123456789";

    thief.may("POST", &accounts, minted(name)).await;
    for wrong in [
        json!({"metadata": {"name": "default2"}}),
        json!({"metadata": {"name": "bot"}}),
        json!({"metadata": {"name": "aid-bot"}}),
        json!({"metadata": {"name": "aid-bot-0123456789x"}}),
        json!({"metadata": {"name": "aid-rob-0123456789"}}),
        json!({"metadata": {"labels": {names::IDENTITY_LABEL: null}}}),
        json!({"metadata": {"labels": {names::MANAGED_BY: "helm"}}}),
        json!({"metadata": {"annotations": {names::CLAIMED_BY: "pod", names::CLAIMED_BY_UID: "1"}}}),
        json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "pod", "uid": "1"}]}}),
        json!({"metadata": {"finalizers": [FINALIZER]}}),
        json!({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/admin"}}}),
        json!({"automountServiceAccountToken": true}),
        json!({"automountServiceAccountToken": null}),
        json!({"imagePullSecrets": [{"name": "pull"}]}),
        json!({"secrets": [{"name": "token"}]}),
    ] {
        thief.may_not(POLICY, "POST", &accounts, with(minted(name), wrong)).await;
    }
    let own = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts");
    thief.may_not(POLICY, "POST", &own, minted(name)).await;

    is_no_way_out(&thief, &world).await;
    let authority = format!("/api/v1/namespaces/{NAMESPACE}/secrets/perpro-ca");
    thief.may_not(Guard::Rbac, "GET", &authority, json!(null)).await;
    for (method, path, body) in [
        ("PATCH", world.path("v1", "serviceaccounts/default"), json!({"secrets": []})),
        ("DELETE", world.path("v1", "serviceaccounts/default"), json!(null)),
        ("PATCH", world.path("v1", "pods/pod"), json!({"metadata": {"labels": {"a": "b"}}})),
        ("DELETE", world.path("v1", "pods/pod"), json!(null)),
        ("POST", world.path(RBAC, "roles"), json!({"metadata": {"name": "aid-x"}})),
        ("POST", world.path(RBAC, "rolebindings"), json!({"metadata": {"name": "aid-x"}})),
        ("POST", world.path("events.k8s.io/v1", "events"), json!({"metadata": {"name": "x"}})),
        ("POST", world.path("coordination.k8s.io/v1", "leases"), json!({"metadata": {"name": "x"}})),
    ] {
        thief.may_not(Guard::Rbac, method, &path, body).await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_stolen_token_of_the_controller_claims_and_ends_accounts_and_nothing_else() {
    let (world, account, gated) = agents().await;
    let thief = Actor::token(&world, NAMESPACE, "perpro-controller").await;
    is_no_way_out(&thief, &world).await;
    let authority = format!("/api/v1/namespaces/{NAMESPACE}/secrets/perpro-ca");
    thief.may_not(Guard::Rbac, "GET", &authority, json!(null)).await;

    let pod_uid = uid(&world.pods().get("gated").await.unwrap());
    let owner = json!([{"apiVersion": "v1", "kind": "Pod", "name": "gated", "uid": pod_uid}]);
    let path = world.path("v1", &format!("serviceaccounts/{gated}"));
    let claim = json!({"metadata": {"ownerReferences": owner,
        "annotations": {names::CLAIMED_BY: "gated", names::CLAIMED_BY_UID: pod_uid, "perpro.dev/else": "x"}}});
    thief.may("PATCH", &path, claim).await;
    for wrong in [
        json!({"metadata": {"labels": {names::IDENTITY_LABEL: "other"}}}),
        json!({"metadata": {"labels": {"a": "b"}}}),
        json!({"metadata": {"finalizers": [FINALIZER]}}),
        json!({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/admin"}}}),
        json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "b"}]}}),
        json!({"automountServiceAccountToken": true}),
        json!({"imagePullSecrets": [{"name": "pull"}]}),
        json!({"secrets": [{"name": "token"}]}),
    ] {
        thief.may_not(POLICY, "PATCH", &path, wrong).await;
    }
    for foreign in [
        world.path("v1", "serviceaccounts/default"),
        format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/perpro-webhook"),
    ] {
        let annotate = json!({"metadata": {"annotations": {names::CLAIMED_BY: "gated"}}});
        thief.may_not(POLICY, "PATCH", &foreign, annotate).await;
        thief.may_not(POLICY, "DELETE", &foreign, json!(null)).await;
    }
    thief.may("DELETE", &path, json!(null)).await;
    thief.may_not(Guard::Rbac, "DELETE", &world.path("v1", "serviceaccounts"), json!(null)).await;
    thief
        .may_not(Guard::Rbac, "POST", &world.path("v1", "serviceaccounts"), minted("aid-bot-0123456789"))
        .await;
    thief.may("DELETE", &world.path(RBAC, &format!("rolebindings/{account}")), json!(null)).await;
    let theirs = format!("/apis/{RBAC}/namespaces/{NAMESPACE}/rolebindings/perpro-controller");
    thief.may_not(POLICY, "DELETE", &theirs, json!(null)).await;
    thief.may_not(Guard::Rbac, "PATCH", &theirs, json!({"subjects": []})).await;
}
