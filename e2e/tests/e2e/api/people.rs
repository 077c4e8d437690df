//! The roles for people, as the API server decides: stock roles aggregate ours, and `perpro-edit`
//! is the stock role without what makes its holder every agent.

use crate::common::{World, when};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::rbac::v1::{ClusterRole, RoleBinding};
use kube::api::{Api, PostParams};
use perpro_e2e::wait;
use serde_json::json;
use std::collections::BTreeSet;

/// Group, resource and verb.
type Right = (String, String, String);

/// Makes user `name` hold a cluster role in the world's namespace, or a Role of it.
async fn hold(world: &World, name: &str, kind: &str, role: &str) {
    let binding = json!({
        "metadata": {"name": format!("{name}-{role}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}]
    });
    let bindings = Api::<RoleBinding>::namespaced(world.client.clone(), &world.namespace);
    bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
}

/// Whether a person may do this; `what` is `resource[.group][/subresource]`.
async fn may(world: &World, person: &str, verb: &str, what: &str, name: &str) -> bool {
    let (resource, subresource) = what.split_once('/').map_or((what, None), |(r, s)| (r, Some(s)));
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(person.to_owned()),
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(world.namespace.clone()),
                verb: Some(verb.to_owned()),
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource: subresource.map(str::to_owned),
                name: (!name.is_empty()).then(|| name.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews = Api::<SubjectAccessReview>::all(world.client.clone());
    reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn view_reads_identities_admin_writes_and_uses_them_and_edit_does_neither() {
    let world = World::new("").await;
    for role in ["view", "edit", "admin", "perpro-edit"] {
        hold(&world, role, "ClusterRole", role).await;
    }
    let identities = "agentidentities.perpro.dev";
    // The aggregation is done by a controller, after the charts were applied.
    world
        .eventually("admin should learn of our kinds", async || {
            when(may(&world, "admin", "use", identities, "").await, "it may not use them")
        })
        .await;
    for (person, reads, writes) in
        [("view", true, false), ("edit", true, false), ("perpro-edit", true, false), ("admin", true, true)]
    {
        for verb in ["get", "list", "watch"] {
            assert_eq!(may(&world, person, verb, identities, "").await, reads, "{person} {verb}");
        }
        for verb in ["create", "update", "patch", "delete", "deletecollection", "use"] {
            assert_eq!(may(&world, person, verb, identities, "").await, writes, "{person} {verb}");
        }
        assert!(!may(&world, person, "update", "agentidentities.perpro.dev/status", "").await, "{person}");
        assert!(!may(&world, person, "create", "agentpolicies.perpro.dev", "").await, "{person}");
        assert!(!may(&world, person, "ungovern", "namespaces.perpro.dev", "").await, "{person}");
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn perpro_edit_neither_reads_secrets_nor_becomes_an_account() {
    let world = World::new("").await;
    for role in ["edit", "perpro-edit"] {
        hold(&world, role, "ClusterRole", role).await;
    }
    for (verb, what) in [
        ("get", "secrets"),
        ("list", "secrets"),
        ("watch", "secrets"),
        ("patch", "secrets"),
        ("delete", "secrets"),
        ("deletecollection", "secrets"),
        ("impersonate", "serviceaccounts"),
        ("create", "serviceaccounts/token"),
    ] {
        assert!(may(&world, "edit", verb, what, "").await, "the stock role may not {verb} {what}: say so");
        assert!(!may(&world, "perpro-edit", verb, what, "").await, "{verb} {what}");
    }
    for (verb, what) in
        [("create", "secrets"), ("update", "secrets"), ("create", "pods"), ("patch", "deployments.apps")]
    {
        assert!(may(&world, "perpro-edit", verb, what, "").await, "{verb} {what}");
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn perpro_edit_is_the_stock_role_of_the_newest_kubernetes_less_what_it_leaves_out() {
    let world = World::new("").await;
    let roles = Api::<ClusterRole>::all(world.client.clone());
    let rights = async |name: &str| -> BTreeSet<Right> {
        let role = roles.get(name).await.unwrap();
        let mut rights = BTreeSet::new();
        for rule in role.rules.unwrap_or_default() {
            for group in rule.api_groups.iter().flatten() {
                for resource in rule.resources.iter().flatten() {
                    rights.extend(rule.verbs.iter().map(|v| (group.clone(), resource.clone(), v.clone())));
                }
            }
        }
        rights
    };
    let left_out = |(group, resource, verb): &Right| {
        group.is_empty()
            && match resource.as_str() {
                "secrets" => !["create", "update"].contains(&verb.as_str()),
                "serviceaccounts" => verb == "impersonate",
                "serviceaccounts/token" => true,
                _ => false,
            }
    };
    let ours = rights("perpro-edit").await;
    let newest = world.client.apiserver_version().await.unwrap().minor == "36";
    world
        .eventually("the stock role should have what ours has", async || {
            let stock: BTreeSet<_> = rights("edit").await.into_iter().filter(|r| !left_out(r)).collect();
            let missing: Vec<_> = stock.difference(&ours).collect();
            let more: Vec<_> = ours.difference(&stock).filter(|_| newest).collect();
            when(missing.is_empty() && more.is_empty(), &format!("ours lacks {missing:?} and adds {more:?}"))
        })
        .await;
    assert!(!ours.iter().any(left_out));
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_role_for_one_identity_lets_use_that_one_only() {
    let world = World::new("").await;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "use-feedback-reader", "namespace": world.namespace},
        "rules": [{"apiGroups": ["perpro.dev"], "resources": ["agentidentities"],
            "resourceNames": ["feedback-reader"], "verbs": ["use"]}]
    });
    world.roles().create(&PostParams::default(), &serde_json::from_value(role).unwrap()).await.unwrap();
    hold(&world, "jane", "Role", "use-feedback-reader").await;
    let use_of = async |name: &str| may(&world, "jane", "use", "agentidentities.perpro.dev", name).await;
    world
        .eventually("the binding should count", async || match use_of("feedback-reader").await {
            true => wait::ready(()),
            false => wait::not_yet("it does not"),
        })
        .await;
    assert!(!use_of("invoice-bot").await && !use_of("").await);
}
