//! Accounts, Roles and bindings of agents are ours, and Kubernetes still collects them.

use super::{RBAC, running};
use crate::api::actors::{Actor, Guard};
use crate::common::{merge, uid, when};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, PropagationPolicy};
use perpro_core::names;
use serde_json::{Value, json};

const RESERVED: Guard = Guard::Policy("AID083");

#[tokio::test]
#[ignore = "needs a cluster"]
async fn names_and_marks_of_ours_are_written_by_us_alone() {
    let (world, account) = running().await;
    let identity = world.identities().get("bot").await.unwrap();
    let role = names::role_name(&uid(&identity));
    let marks = json!({names::IDENTITY_LABEL: "bot", names::MANAGED_BY: names::MANAGER});
    let kinds = [
        ("v1", "serviceaccounts", account.as_str(), json!({})),
        (RBAC, "roles", role.as_str(), json!({})),
        (
            RBAC,
            "rolebindings",
            account.as_str(),
            json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}}),
        ),
    ];
    for actor in [Actor::admin(&world), Actor::person(&world, "eve", "admin").await] {
        for (group, resource, theirs, body) in &kinds {
            let path = world.path(group, resource);
            let named = |metadata: Value| {
                let mut object = body.clone();
                merge(&mut object, json!({ "metadata": metadata }));
                object
            };
            actor.may_not(RESERVED, "POST", &path, named(json!({"name": "aid-bot-0123456789"}))).await;
            actor.may_not(RESERVED, "POST", &path, named(json!({"generateName": "aid-"}))).await;
            actor.may_not(RESERVED, "POST", &path, named(json!({"name": "forged", "labels": marks}))).await;
            let path = format!("{path}/{theirs}");
            for wrong in [
                json!({"metadata": {"annotations": {names::CLAIMED_BY: "x"}}}),
                json!({"metadata": {"labels": {"a": "b"}}}),
                json!({"metadata": {"finalizers": ["example.com/hold"]}}),
                json!({"metadata": {"ownerReferences": null}}),
            ] {
                actor.may_not(RESERVED, "PATCH", &path, wrong).await;
            }
            actor.may_not(RESERVED, "DELETE", &path, json!(null)).await;
            actor.may_not(RESERVED, "DELETE", &world.path(group, resource), json!(null)).await;

            actor
                .may(
                    "POST",
                    &world.path(group, resource),
                    named(json!({"name": "own", "labels": {names::MANAGED_BY: "perpro"}})),
                )
                .await;
            actor.may("POST", &world.path(group, resource), named(json!({"name": "aide"}))).await;
        }
        actor
            .may_not(
                RESERVED,
                "PATCH",
                &world.path("v1", "serviceaccounts/default"),
                json!({"metadata": {"labels": marks}}),
            )
            .await;
        actor
            .may(
                "PATCH",
                &world.path("v1", "serviceaccounts/default"),
                json!({"metadata": {"labels": {"a": "b"}}}),
            )
            .await;
    }
    // Not even Kubernetes' own accounts do more than let go.
    let collector =
        Actor::impersonated(&world, "system:serviceaccount:kube-system:generic-garbage-collector").await;
    let path = world.path("v1", &format!("serviceaccounts/{account}"));
    collector.may("PATCH", &path, json!({"metadata": {"ownerReferences": null}})).await;
    collector.may("DELETE", &path, json!(null)).await;
    collector
        .may_not(RESERVED, "PATCH", &path, json!({"metadata": {"finalizers": ["example.com/hold"]}}))
        .await;
    collector.may_not(RESERVED, "PATCH", &path, json!({"metadata": {"annotations": {"a": "b"}}})).await;
    collector.may_not(RESERVED, "PATCH", &path, json!({"automountServiceAccountToken": true})).await;
}

/// Whoever deletes an identity may say that what it owns shall stay.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_role_that_its_identity_left_behind_is_deleted_by_whoever_may_delete_roles() {
    let (world, _) = running().await;
    let role = names::role_name(&uid(&world.identities().get("bot").await.unwrap()));
    let (admin, path) = (Actor::admin(&world), world.path(RBAC, &format!("roles/{role}")));
    admin.may_not(RESERVED, "DELETE", &path, json!(null)).await;
    let orphans = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Orphan"});
    admin.sends("DELETE", &world.path("perpro.dev/v1alpha1", "agentidentities/bot"), orphans).await.unwrap();
    let roles = world.roles();
    world
        .eventually("the Role should have no owner", async || {
            let owners = roles.get(&role).await.unwrap().metadata.owner_references;
            when(owners.as_ref().is_none_or(Vec::is_empty), &format!("{owners:?}"))
        })
        .await;
    admin.may_not(RESERVED, "PATCH", &path, json!({"rules": []})).await;
    admin.sends("DELETE", &path, json!(null)).await.unwrap();
}

/// The Role of an identity that is over is empty, so that Kubernetes lets whoever writes bindings bind it.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_role_of_an_identity_is_bound_by_perpro_alone() {
    let (world, _) = running().await;
    let role = names::role_name(&uid(&world.identities().get("bot").await.unwrap()));
    world.patch_identity("bot", json!({"suspended": true})).await;
    let roles = world.roles();
    world
        .eventually("the Role should be empty", async || {
            let rules = roles.get(&role).await.unwrap().rules;
            when(rules.as_ref().is_none_or(Vec::is_empty), &format!("{rules:?}"))
        })
        .await;
    let bound_to = |role: &str| {
        json!({"metadata": {"name": "later"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
            "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "eve@example.com"}]})
    };
    let bindings = world.path(RBAC, "rolebindings");
    let own = json!({"metadata": {"name": "own"}, "rules": []});
    world.roles().create(&Default::default(), &serde_json::from_value(own).unwrap()).await.unwrap();
    for actor in [Actor::admin(&world), Actor::person(&world, "eve", "admin").await] {
        actor.may_not(RESERVED, "POST", &bindings, bound_to(&role)).await;
        actor.may("POST", &bindings, bound_to("own")).await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn kubernetes_still_collects_what_an_agent_leaves_in_every_mode() {
    for mode in [PropagationPolicy::Orphan, PropagationPolicy::Foreground, PropagationPolicy::Background] {
        let (world, account) = running().await;
        let params = DeleteParams { propagation_policy: Some(mode), ..DeleteParams::default() };
        world.pods().delete("pod", &params).await.unwrap();
        world.gone(world.pods(), "pod").await;
        world.gone(world.accounts(), &account).await;
        world.gone(world.bindings(), &account).await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_namespace_with_agents_can_be_deleted() {
    let (world, _) = running().await;
    let namespaces = Api::<Namespace>::all(world.client.clone());
    namespaces.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
    world.gone(namespaces, &world.namespace).await;
}
