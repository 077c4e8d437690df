//! Roles of the controller.

use super::{FINALIZER, POLICY, RBAC, marks, with};
use crate::api::actors::Actor;
use crate::common::{World, uid, when};
use perpro_core::decide::powers::{self, Power};
use perpro_core::model::Permission;
use perpro_core::names;
use perpro_e2e::install::NAMESPACE;
use serde_json::{Value, json};

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_stolen_token_of_the_controller_writes_only_the_roles_of_identities_with_ordinary_permissions() {
    let world = World::new("all").await;
    let uid = uid(&world.identity("bot", json!({})).await);
    let thief = Actor::token(&world, NAMESPACE, "perpro-controller").await;
    let rule = |group: &str, resource: &str, verb: &str| json!([{"apiGroups": [group], "resources": [resource], "verbs": [verb]}]);
    let role = |rules: Value| {
        json!({"apiVersion": RBAC, "kind": "Role",
            "metadata": {"name": names::role_name(&uid), "labels": marks(), "ownerReferences": [
                {"apiVersion": "perpro.dev/v1alpha1", "kind": "AgentIdentity", "name": "bot", "uid": uid}]},
            "rules": rules})
    };
    let path = world.path(RBAC, "roles");
    let apply = format!("{path}/{}?fieldManager={}&force=true", names::role_name(&uid), names::FIELD_MANAGER);
    let ordinary = rule("", "configmaps", "get");
    world
        .eventually("the identity should have its Role", async || {
            when(world.roles().get_opt(&names::role_name(&uid)).await.unwrap().is_some(), "it has none")
        })
        .await;
    thief.may("PATCH", &apply, role(ordinary.clone())).await;
    let other = "00000000-0000-0000-0000-000000000000";
    let mut new = role(ordinary.clone());
    new["metadata"]["name"] = json!(names::role_name(other));
    new["metadata"]["ownerReferences"][0]["uid"] = json!(other);
    thief.may("POST", &path, new).await;
    for wrong in [
        json!({"metadata": {"name": "team"}}),
        json!({"metadata": {"name": "aid-team"}}),
        json!({"metadata": {"name": "aid-team", "ownerReferences": [
            {"apiVersion": "perpro.dev/v1alpha1", "kind": "AgentIdentity", "name": "bot", "uid": "team"}]}}),
        json!({"metadata": {"name": "aid-00000000-0000-0000-0000-000000000000"}}),
        json!({"metadata": {"labels": {names::IDENTITY_LABEL: null}}}),
        json!({"metadata": {"labels": {names::MANAGED_BY: null}}}),
        json!({"metadata": {"finalizers": [FINALIZER]}}),
        json!({"metadata": {"ownerReferences": null}}),
        json!({"metadata": {"ownerReferences": [
            {"apiVersion": "perpro.dev/v1alpha1", "kind": "AgentIdentity", "name": "rob", "uid": other}]}}),
        json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "bot", "uid": uid}]}}),
    ] {
        if wrong["metadata"].get("name").is_none() {
            let merge = format!("{path}/{}", names::role_name(&uid));
            thief.may_not(POLICY, "PATCH", &merge, wrong.clone()).await;
        }
        thief.may_not(POLICY, "POST", &path, with(role(ordinary.clone()), wrong)).await;
    }
    for namespace in ["kube-system", NAMESPACE] {
        let path = format!("/apis/{RBAC}/namespaces/{namespace}/roles");
        thief.may_not(POLICY, "POST", &path, role(ordinary.clone())).await;
    }
    for (group, resource, verb) in [
        ("*", "configmaps", "get"),
        ("", "*", "get"),
        ("", "pods/*", "get"),
        ("apps", "*/scale", "get"),
        ("", "configmaps", "*"),
        ("", "users", "impersonate"),
        ("rbac.authorization.k8s.io", "roles", "escalate"),
        ("rbac.authorization.k8s.io", "roles", "bind"),
    ] {
        thief.may_not(POLICY, "POST", &path, role(rule(group, resource, verb))).await;
        thief.may_not(POLICY, "PATCH", &apply, role(rule(group, resource, verb))).await;
    }

    // The policy's list of elevated permissions is the core's.
    let resources = [
        (
            "",
            "bindings pods pods/attach pods/binding pods/ephemeralcontainers pods/exec pods/log pods/portforward pods/proxy \
             pods/status podtemplates replicationcontrollers replicationcontrollers/scale secrets serviceaccounts \
             serviceaccounts/token services services/proxy endpoints configmaps events",
        ),
        ("apps", "controllerrevisions daemonsets deployments deployments/scale replicasets statefulsets"),
        ("batch", "cronjobs jobs jobs/status"),
        ("discovery.k8s.io", "endpointslices"),
        ("rbac.authorization.k8s.io", "roles rolebindings"),
        ("perpro.dev", "agentidentities agentidentities/status"),
        ("networking.k8s.io", "networkpolicies"),
    ];
    let mut told = Vec::new();
    for (group, resources) in resources {
        for resource in resources.split_whitespace() {
            for verb in ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"] {
                let permission = Permission {
                    group: group.to_owned(),
                    resource: resource.to_owned(),
                    name: None,
                    verb: verb.to_owned(),
                };
                let ordinary = powers::power(&permission) == Ok(Power::Ordinary);
                let role = role(rule(group, resource, verb));
                let created = thief.asks("POST", &path, role.clone()).await;
                let applied = thief.asks("PATCH", &apply, role).await;
                let [refused, also] =
                    [created, applied].map(|a| a.err().is_some_and(|e| e.contains("AID086")));
                if refused == ordinary || also == ordinary {
                    told.push(format!(
                        "{group} {resource} {verb}: ordinary to the core: {ordinary}, refused: {refused}"
                    ));
                }
            }
        }
    }
    assert!(told.is_empty(), "{told:#?}");
}
