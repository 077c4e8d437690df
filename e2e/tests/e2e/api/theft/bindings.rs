//! RoleBindings of the controller.

use super::{FINALIZER, POLICY, RBAC, marks};
use crate::api::actors::Actor;
use crate::common::{World, uid};
use perpro_core::names;
use perpro_e2e::install::NAMESPACE;
use serde_json::{Value, json};

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_stolen_token_of_the_controller_binds_an_agents_account_and_nobody_else() {
    let world = World::new("all").await;
    let identity = world.identity("bot", json!({})).await;
    let thief = Actor::token(&world, NAMESPACE, "perpro-controller").await;
    let account = "aid-bot-0123456789";
    let good = json!({
        "metadata": {"name": account, "labels": marks(),
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "pod", "uid": "1"}]},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": names::role_name(&uid(&identity))},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": world.namespace}]
    });
    let path = world.path(RBAC, "rolebindings");
    thief.may("POST", &path, good.clone()).await;
    let subject = |kind: &str, name: &str, namespace: Value| {
        let group = if kind == "ServiceAccount" { "" } else { "rbac.authorization.k8s.io" };
        json!({"subjects": [{"apiGroup": group, "kind": kind, "name": name, "namespace": namespace}]})
    };
    let with_subjects = |change: Value| {
        let mut object = good.clone();
        object["subjects"] = change["subjects"].clone();
        object
    };
    for wrong in [
        subject("ServiceAccount", "aid-bot-9876543210", json!(world.namespace)),
        subject("ServiceAccount", "default", json!(world.namespace)),
        subject("ServiceAccount", account, json!("kube-system")),
        subject("User", account, json!(null)),
        subject("User", "mallory", json!(null)),
        subject("Group", "system:authenticated", json!(null)),
        json!({"subjects": [good["subjects"][0], {"kind": "ServiceAccount", "name": "default", "namespace": world.namespace}]}),
        json!({"subjects": []}),
        json!({}),
    ] {
        thief.may_not(POLICY, "POST", &path, with_subjects(wrong)).await;
    }
    let mut cluster_role = good.clone();
    cluster_role["roleRef"] =
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"});
    // RBAC allows binding Roles alone, and looks before any policy does.
    let refused = thief.asks("POST", &path, cluster_role).await.unwrap_err();
    assert!(refused.contains("attempting to grant") || refused.contains("AID086"), "{refused}");
    for wrong in [
        json!({"roleRef": {"name": "team"}}),
        json!({"roleRef": {"name": "aid-team"}}),
        json!({"metadata": {"name": "team"}}),
        json!({"metadata": {"labels": {names::IDENTITY_LABEL: "other"}}}),
        json!({"metadata": {"labels": {names::MANAGED_BY: null}}}),
        json!({"metadata": {"finalizers": [FINALIZER]}}),
        json!({"metadata": {"ownerReferences": []}}),
        json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "pod", "uid": "1"}]}}),
        json!({"metadata": {"ownerReferences": [{"apiVersion": "example.com/v1", "kind": "Pod", "name": "pod", "uid": "1"}]}}),
    ] {
        let mut object = good.clone();
        if let Some(owners) = wrong["metadata"].get("ownerReferences") {
            object["metadata"]["ownerReferences"] = owners.clone();
        } else {
            crate::common::merge(&mut object, wrong);
        }
        thief.may_not(POLICY, "POST", &path, object).await;
    }
    let ungoverned = World::new("").await;
    for namespace in [ungoverned.namespace.as_str(), "kube-system", NAMESPACE] {
        let mut object = good.clone();
        object["subjects"][0]["namespace"] = json!(namespace);
        let path = format!("/apis/{RBAC}/namespaces/{namespace}/rolebindings");
        thief.may_not(POLICY, "POST", &path, object).await;
    }
}
