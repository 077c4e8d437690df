//! Who may write an identity: its author holds what it grants, narrowing needs nothing.

use crate::common::{World, merge, message, usual_spec, when};
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use perpro_core::api::{AgentIdentity, AgentPolicy};
use perpro_core::names;
use serde_json::{Value, json};

/// A user who may write identities and holds what [`usual_spec`] grants.
async fn author(world: &World, user: &str) -> Client {
    world
        .grant(
            user,
            json!([
                {"apiGroups": ["perpro.dev"], "resources": ["agentidentities"], "verbs": ["*"]},
                {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
                {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["crm"], "verbs": ["get"]}
            ]),
        )
        .await;
    world.as_user(user, &["devs", "a,b"]).await
}

/// A user who may write identities and nothing else.
async fn clerk(world: &World) -> Client {
    let rules = json!([{"apiGroups": ["perpro.dev"], "resources": ["agentidentities"], "verbs": ["*"]}]);
    world.grant("clerk", rules).await;
    world.as_user("clerk", &[]).await
}

fn spec(change: Value) -> Value {
    let mut spec = usual_spec();
    merge(&mut spec, change);
    spec
}

async fn patch(world: &World, client: &Client, patch: Value) -> Result<AgentIdentity, String> {
    let identities = Api::<AgentIdentity>::namespaced(client.clone(), &world.namespace);
    identities.patch("bot", &PatchParams::default(), &Patch::Merge(patch)).await.map_err(message)
}

fn annotation(identity: &AgentIdentity, key: &str) -> String {
    identity.metadata.annotations.as_ref().and_then(|a| a.get(key)).cloned().unwrap_or_default()
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn who_grants_must_hold_it_and_is_recorded() {
    let world = World::new("all").await;
    let jane = author(&world, "jane").await;
    let bot = world.apply_as(&jane, "bot", spec(json!({}))).await.unwrap();
    assert_eq!(annotation(&bot, names::AUTHOR), "jane");
    assert_eq!(annotation(&bot, names::AUTHOR_GROUPS), "devs\na,b\nsystem:authenticated");

    let clerk = clerk(&world).await;
    let error = world.apply_as(&clerk, "theirs", spec(json!({}))).await.unwrap_err();
    for part in ["AID037 spec.permissions[0]", "get configmaps", "AID038 spec.secrets[0]"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    // Owner, end and reason alone grant nothing.
    let nothing = json!({"permissions": null, "secrets": null, "containers": null});
    world.apply_as(&clerk, "theirs", spec(nothing)).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn every_violation_is_told_at_once_and_nothing_is_stored() {
    let world = World::new("all").await;
    world
        .set_ceiling(json!({"maxLifetimeDays": 30, "owners": {"groups": ["agents-*"]},
            "permissions": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]}))
        .await;
    let rule = |group: &str, resource: &str, verb: &str| json!({"apiGroups": [group], "resources": [resource], "verbs": [verb]});
    let permissions = json!([
        rule("", "configmaps", "update"),
        rule("", "pods", "create"),
        rule("rbac.authorization.k8s.io", "clusterroles", "get"),
    ]);
    let clerk = clerk(&world).await;
    let error = world.apply_as(&clerk, "bot", spec(json!({"permissions": permissions}))).await.unwrap_err();
    for part in [
        "AID039 spec.owner",
        "AID047 spec.expiresAt",
        "AID034 spec.permissions[0]",
        "AID033 spec.permissions[1]",
        "AID032 spec.permissions[2]",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(world.identities().get_opt("bot").await.unwrap().is_none());
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn each_widening_needs_an_author_who_holds_it_all() {
    let world = World::new("all").await;
    world
        .set_policy(&[
            json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "update"]}),
        ])
        .await;
    let jane = author(&world, "jane").await;
    world.apply_as(&jane, "bot", spec(json!({}))).await.unwrap();
    let clerk = clerk(&world).await;
    for (what, change) in [
        ("a later end", json!({"expiresAt": "2036-01-01T00:00:01Z"})),
        ("another owner", json!({"owner": {"name": "clerk"}})),
        ("another reason", json!({"justification": "Reads feedback and sells it"})),
        (
            "another verb",
            json!({"permissions": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]}),
        ),
        ("a later rotation", json!({"secrets": [{"name": "crm", "rotateBy": "2036-01-02T00:00:00Z"}]})),
        (
            "another container",
            json!({"containers": [{"name": "agent"}, {"name": "tool", "kubernetesAccess": "Token"}]}),
        ),
    ] {
        let error = patch(&world, &clerk, json!({"spec": change})).await.err();
        let error = error.unwrap_or_else(|| panic!("{what}: it was stored"));
        assert!(error.contains("AID037") || error.contains("AID038"), "{what}: {error}");
    }
    // Their own permission does not help where another one is lacking.
    world
        .grant(
            "lister",
            json!([{"apiGroups": ["perpro.dev"], "resources": ["agentidentities"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]),
        )
        .await;
    let lister = world.as_user("lister", &[]).await;
    let wider = json!({"spec": {"permissions": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]}});
    let error = patch(&world, &lister, wider).await.unwrap_err();
    assert!(error.contains("(get configmaps)"), "{error}");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn narrowing_and_suspending_need_nothing_and_keep_the_author() {
    let world = World::new("all").await;
    let jane = author(&world, "jane").await;
    world.apply_as(&jane, "bot", spec(json!({}))).await.unwrap();
    let account = world.released_agent().await;
    let clerk = clerk(&world).await;
    for change in [
        json!({"spec": {"contacts": ["#on-call"]}}),
        json!({"spec": {"expiresAt": "2035-01-01T00:00:00Z"}}),
        json!({"metadata": {"annotations": {names::AUTHOR: "system:admin", names::AUTHOR_GROUPS: "system:masters"}}}),
        json!({"metadata": {"annotations": {names::AUTHOR: null}}}),
    ] {
        let bot = patch(&world, &clerk, change.clone()).await.unwrap_or_else(|e| panic!("{change}: {e}"));
        assert_eq!(annotation(&bot, names::AUTHOR), "jane", "{change}");
    }
    assert!(world.may(&account, "get", "configmaps").await, "nothing was taken away");
    let fewer = patch(&world, &clerk, json!({"spec": {"permissions": []}})).await.unwrap();
    assert_eq!(annotation(&fewer, names::AUTHOR), "jane");
    world
        .eventually("the permission should be gone", async || {
            when(!world.may(&account, "get", "configmaps").await, "it is there")
        })
        .await;

    // Nobody widens it in the shadow of a suspension, for whoever resumes it to grant unseen.
    let more = json!([{"name": "agent"}, {"name": "tool", "kubernetesAccess": "Token"}]);
    for suspended in [true, false] {
        if !suspended {
            patch(&world, &clerk, json!({"spec": {"suspended": true}})).await.unwrap();
        }
        let wider = json!({"spec": {"suspended": true, "containers": more}});
        let error = patch(&world, &clerk, wider).await.unwrap_err();
        assert!(error.contains("AID038"), "{error}");
    }
    let narrower = json!({"spec": {"expiresAt": "2034-01-01T00:00:00Z"}});
    assert_eq!(annotation(&patch(&world, &clerk, narrower).await.unwrap(), names::AUTHOR), "jane");

    // Nor while it waits for a finalizer, which nobody needs a webhook to remove.
    let doomed = spec(json!({"permissions": [], "secrets": null, "containers": null}));
    world.apply_as(&clerk, "doomed", doomed).await.unwrap();
    let identities = Api::<AgentIdentity>::namespaced(clerk.clone(), &world.namespace);
    let change = async |change: Value| {
        identities.patch("doomed", &PatchParams::default(), &Patch::Merge(change)).await.map_err(message)
    };
    change(json!({"metadata": {"finalizers": ["example.com/wait"]}})).await.unwrap();
    identities.delete("doomed", &Default::default()).await.unwrap();
    let secrets = json!([{"name": "crm", "rotateBy": "2036-01-01T00:00:00Z"}]);
    let error = change(json!({"spec": {"secrets": secrets}})).await.unwrap_err();
    assert!(error.contains("AID038"), "{error}");
    change(json!({"metadata": {"finalizers": null}})).await.unwrap();

    // As who replaces it whole does, or applies it from Git: without what the webhook wrote.
    let forgotten = json!({names::AUTHOR: null, names::AUTHOR_GROUPS: null});
    let bare = json!({"metadata": {"annotations": forgotten}, "spec": {"suspended": true}});
    let bot = patch(&world, &clerk, bare).await.unwrap();
    assert_eq!(annotation(&bot, names::AUTHOR), "");
    world.gone(world.pods(), "pod").await;
    let error = patch(&world, &clerk, json!({"spec": {"suspended": false}})).await.unwrap_err();
    assert!(error.contains("AID038"), "to resume is to grant: {error}");
    let bot = patch(&world, &jane, json!({"spec": {"suspended": false}})).await.unwrap();
    assert_eq!(annotation(&bot, names::AUTHOR), "jane");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_author_who_leaves_takes_nothing_away_and_can_give_nothing_more() {
    let world = World::new("all").await;
    let jane = author(&world, "jane").await;
    world.apply_as(&jane, "bot", spec(json!({}))).await.unwrap();
    world.condition("bot", "Accepted", "True", "WithinCeiling").await;
    world.bindings().delete("jane", &DeleteParams::default()).await.unwrap();
    let clerk = clerk(&world).await;
    // A new generation, nothing new in it.
    patch(&world, &clerk, json!({"spec": {"expiresAt": "2035-01-01T00:00:00Z"}})).await.unwrap();
    let account = world.released_agent().await;
    assert!(world.may(&account, "get", "configmaps").await);
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_policy_with_what_no_agent_can_have_is_refused_and_a_cut_is_told() {
    let world = World::new("all").await;
    let policies = Api::<AgentPolicy>::all(world.client.clone());
    let patch = async |change: Value| {
        let params = PatchParams { dry_run: true, ..PatchParams::default() };
        policies
            .patch(&world.namespace, &params, &Patch::Merge(json!({"spec": change})))
            .await
            .map_err(message)
    };
    let nodes = json!([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]);
    let error = patch(json!({"elevatedPermissions": nodes})).await.unwrap_err();
    assert!(error.contains("AID052 spec.elevatedPermissions[0]"), "{error}");
    let secrets = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]);
    patch(json!({"elevatedPermissions": secrets})).await.unwrap();
}
