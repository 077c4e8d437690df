//! Identities and policies: what is refused, what is withheld, who owns a Secret.

use super::actors::Actor;
use crate::common::{World, agent};
use kube::api::{DeleteParams, ListParams};
use perpro_core::api::AgentPolicy;
use serde_json::{Value, json};

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_identity_that_says_too_little_or_too_much_is_refused_and_not_stored() {
    let world = World::new("all").await;
    let rule = |group: &str, resource: &str, verb: &str| json!([{"apiGroups": [group], "resources": [resource], "verbs": [verb]}]);
    let keys = |keys: Value| json!({"containers": [{"name": "agent", "secretKeys": keys}]});
    let many: Vec<_> = (0..30).map(|i| format!("r{i}")).collect();
    let cases = [
        ("spec.owner: Required value", json!({"owner": null})),
        ("spec.owner.kind: Unsupported value", json!({"owner": {"kind": "Robot"}})),
        ("spec.expiresAt: Required value", json!({"expiresAt": null})),
        ("spec.expiresAt", json!({"expiresAt": "tomorrow"})),
        ("spec.expiresAt", json!({"expiresAt": "2030-01-01T00:00:00Ztrash"})),
        ("spec.expiresAt", json!({"expiresAt": "2030-01-01T00:00:00+99:99"})),
        ("AID046", json!({"expiresAt": "9999-12-31T23:59:59Z"})),
        ("AID046", json!({"expiresAt": "0000-01-01T00:00:00Z"})),
        ("AID046", json!({"secrets": [{"name": "crm", "rotateBy": "9999-12-31T23:59:59Z"}]})),
        ("spec.justification: Required value", json!({"justification": null})),
        ("spec.justification", json!({"justification": "why"})),
        ("spec.justification: Too long", json!({"justification": "x".repeat(513)})),
        ("spec.justification: Too long", json!({"justification": "x".repeat(1 << 20)})),
        ("spec.owner.name", json!({"owner": {"name": ""}})),
        ("spec.owner.name: Too long", json!({"owner": {"name": "x".repeat(257)}})),
        ("AID041", json!({"owner": {"name": " jane"}})),
        ("AID041", json!({"owner": {"name": "ja\u{7}ne"}})),
        ("AID041", json!({"owner": {"name": "j\u{9b}31mane"}})),
        ("AID041", json!({"owner": {"name": "\u{202e}enaj"}})),
        ("AID041", json!({"owner": {"name": "jane\u{3164}"}})),
        ("AID041", json!({"owner": {"name": "jane\u{fe0f}"}})),
        ("AID041", json!({"contacts": ["#bots", "ja\u{7}ne"]})),
        ("AID041", json!({"contacts": ["jane "]})),
        ("AID041", json!({"contacts": ["\u{202e}enaj"]})),
        ("AID042", json!({"justification": "              "})),
        ("AID042", json!({"justification": "\u{200b}".repeat(11)})),
        ("AID042", json!({"justification": "\u{3164}".repeat(11)})),
        ("AID042", json!({"justification": "\u{115f}\u{1160}\u{ffa0}\u{2800}".repeat(3)})),
        // By the kind itself: the webhook would refuse it too, in other words.
        ("AID030 name each", json!({"permissions": rule("*", "configmaps", "get")})),
        ("AID030 name each", json!({"permissions": rule("", "pods/*", "get")})),
        ("AID030 name each", json!({"permissions": rule("", "configmaps", "*")})),
        (
            "AID031 use the verbs",
            json!({"permissions": rule("rbac.authorization.k8s.io", "roles", "escalate")}),
        ),
        (
            "AID035",
            json!({"permissions": [
            {"apiGroups": ["a"], "resources": ["x", "y", "z"], "resourceNames": many, "verbs": ["get", "list", "watch"]}]}),
        ),
        ("AID043", keys(json!([{"secret": "unlisted", "key": "k", "env": "K"}]))),
        ("AID044", json!({"containers": [{"name": "tool", "secretKeys": [{"secret": "crm", "key": "k"}]}]})),
        (
            "AID045",
            json!({"containers": [{"name": "tool", "secretKeys": [
            {"secret": "crm", "key": "a", "env": "K"}, {"secret": "crm", "key": "b", "env": "K"}]}]}),
        ),
        ("secretKeys[0].key", keys(json!([{"secret": "crm", "key": "../k", "env": "K"}]))),
        ("secretKeys[0].env", keys(json!([{"secret": "crm", "key": "k", "env": "K=V"}]))),
        (
            "path",
            json!({"containers": [{"name": "tool", "secretKeys": [{"secret": "crm", "key": "k", "path": "../up"}]}]}),
        ),
        (
            "path",
            json!({"containers": [{"name": "tool", "secretKeys": [{"secret": "crm", "key": "k", "path": "/abs"}]}]}),
        ),
        ("unknown field", json!({"wish": 1})),
    ];
    for (expected, change) in cases {
        let error = world
            .try_identity("bot", change)
            .await
            .err()
            .unwrap_or_else(|| panic!("{expected}: it was stored"));
        assert!(error.contains(expected), "{expected} expected: {error}");
    }
    let long = "x".repeat(49);
    for name in ["has.dot", long.as_str()] {
        let error = world.try_identity(name, json!({})).await.unwrap_err();
        assert!(error.contains("AID040"), "{error}");
    }
    assert_eq!(world.identities().list(&ListParams::default()).await.unwrap().items.len(), 0);
    world.identity(&"x".repeat(48), json!({})).await;
    // Policies that compare dates are asked only of what the kind takes.
    let path = world.path("perpro.dev/v1alpha1", &format!("agentidentities/{}", "x".repeat(48)));
    let year_0 = json!({"spec": {"expiresAt": "0000-01-01T00:00:00Z"}});
    let error = Actor::admin(&world).sends("PATCH", &path, year_0).await.unwrap_err();
    assert!(error.contains("AID046 set a date"), "{error}");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_a_lower_ceiling_cuts_is_withheld_and_told() {
    let world = World::new("all").await;
    let configmaps = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "delete"]});
    let secrets = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]});
    world.set_ceiling(json!({"permissions": [configmaps], "elevatedPermissions": [secrets]})).await;
    world.identity("bot", json!({"permissions": [configmaps, secrets]})).await;
    world.condition("bot", "Accepted", "True", "WithinCeiling").await;
    world
        .set_policy(&[json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]})])
        .await;
    let identity = world.condition("bot", "Accepted", "False", "PermissionsWithheld").await;
    let withheld: Vec<_> = identity.status.unwrap().withheld_permissions;
    let told: Vec<_> =
        withheld.iter().map(|w| (w.resource.as_str(), w.verbs.join(","), &w.reason[..6])).collect();
    assert_eq!(told, [("configmaps", "delete".into(), "AID034"), ("secrets", "get".into(), "AID033")]);

    let account = world.released_agent().await;
    assert!(world.may(&account, "get", "configmaps").await);
    assert!(!world.may(&account, "delete", "configmaps").await);
    assert!(!world.may(&account, "get", "secrets").await);
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_narrower_ceiling_cuts_running_pods_and_none_leaves_nothing() {
    let world = World::new("all").await;
    let both = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]);
    world.identity("bot", json!({"permissions": both})).await;
    let account = world.released_agent().await;
    assert!(world.may(&account, "list", "configmaps").await);

    world.set_policy(&[json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]})]).await;
    world
        .eventually("list should be cut", async || {
            crate::common::when(!world.may(&account, "list", "configmaps").await, "it still may")
        })
        .await;
    assert!(world.may(&account, "get", "configmaps").await);

    let policies = kube::Api::<AgentPolicy>::all(world.client.clone());
    policies.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
    world
        .eventually("nothing should be left", async || {
            crate::common::when(!world.may(&account, "get", "configmaps").await, "it still may")
        })
        .await;
    assert!(world.accounts().get_opt(&account).await.unwrap().is_some(), "the account itself stays");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_secret_belongs_to_the_older_identity() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    // Creation times have whole seconds; twins are told apart by UID, which this test is not about.
    let second = async || {
        let stamp = |i: &perpro_core::api::AgentIdentity| i.metadata.creation_timestamp.clone();
        let first = world.identities().get("bot").await.unwrap();
        let probe = world
            .identity(
                "probe",
                json!({"secrets": [{"name": "own", "rotateBy": "2036-01-01T00:00:00Z"}], "containers": null}),
            )
            .await;
        world.identities().delete("probe", &DeleteParams::default()).await.unwrap();
        crate::common::when(stamp(&probe) != stamp(&first), "it is the same second")
    };
    world.eventually("the clock should move on", second).await;
    world.identity("late", json!({})).await;
    world.condition("late", "SecretsExclusive", "False", "SecretShared").await;
    world.condition("late", "Ready", "False", "SecretShared").await;
    world.condition("bot", "SecretsExclusive", "True", "Exclusive").await;
    let late = agent(json!({"metadata": {"labels": {"perpro.dev/identity": "late"}}}));
    let error = world.rejects(&late, "AID022").await;
    assert!(error.contains("\"bot\""), "{error}");
    world.accepts(&agent(json!({}))).await;

    // The heir.
    world.identities().delete("bot", &DeleteParams::default()).await.unwrap();
    world.condition("late", "Ready", "True", "Ready").await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_policy_that_says_too_little_or_too_much_is_refused_and_not_stored() {
    let world = World::new("all").await;
    let create = async |spec: Value| {
        let object = json!({"apiVersion": "perpro.dev/v1alpha1", "kind": "AgentPolicy", "metadata": {"generateName": "t-"}, "spec": spec});
        let request =
            http::Request::post("/apis/perpro.dev/v1alpha1/agentpolicies?dryRun=All&fieldValidation=Strict");
        let request = request
            .header("content-type", "application/json")
            .body(serde_json::to_vec(&object).unwrap())
            .unwrap();
        world.client.request::<Value>(request).await.map(drop).map_err(crate::common::message)
    };
    create(json!({"namespaces": ["*"]})).await.unwrap();
    create(json!({"namespaces": ["a", "b"]})).await.unwrap();
    // What the type of a time can't hold, nobody could read: the kind refuses it, with the webhook away too.
    let until = |end: &str| {
        json!({"namespaces": ["a"], "exceptions": [{"name": "nfs", "namespace": "a", "workload": "Deployment/bot",
            "codes": ["AID013"], "owner": "storage-team", "reason": "Moves off NFS.", "expiresAt": end}]})
    };
    for (expected, spec) in [
        ("AID050", json!({"namespaces": ["*", "a"]})),
        ("AID050", json!({"namespaces": ["team-*"]})),
        (
            "AID051",
            json!({"namespaces": ["a"], "elevatedPermissions": [{"apiGroups": ["*"], "resources": ["pods"], "verbs": ["create"]}]}),
        ),
        ("kubernetesTokenSeconds", json!({"namespaces": ["a"], "kubernetesTokenSeconds": 3607})),
        ("kubernetesTokenSeconds", json!({"namespaces": ["a"], "kubernetesTokenSeconds": 599})),
        ("drainSeconds", json!({"namespaces": ["a"], "drainSeconds": -1})),
        ("AID046", until("9999-12-31T23:59:59Z")),
        ("AID046", until("2200-01-01T00:00:00Z")),
        ("AID046", until("0000-06-01T00:00:00Z")),
        ("spec.exceptions[0].expiresAt", until("2030-02-30T00:00:00Z")),
        ("spec.exceptions[0].expiresAt", until("2030-01-01T00:00:00+29:00")),
    ] {
        let error = create(spec).await.unwrap_err();
        assert!(error.contains(expected), "{expected} expected: {error}");
    }
}
