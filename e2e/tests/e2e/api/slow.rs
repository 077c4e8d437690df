//! Writes that take very long hold up no other.

use crate::common::{World, agent, when};
use futures::future::join_all;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::api::{Api, DeleteParams, PostParams};
use perpro_core::names;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// Somebody's webhook for new bindings of a namespace, which takes every call and never answers; its name.
async fn hanging(world: &World) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut calls = Vec::new();
        while let Ok(call) = listener.accept().await {
            calls.push(call);
        }
    });
    let name = format!("hangs-{}", world.namespace);
    let configuration = json!({"metadata": {"name": name}, "webhooks": [{
        "name": "hangs.perpro.test", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": format!("https://{address}/")}, "timeoutSeconds": 30, "failurePolicy": "Ignore",
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}},
        "rules": [{"apiGroups": ["rbac.authorization.k8s.io"], "apiVersions": ["v1"], "resources": ["rolebindings"],
            "operations": ["CREATE"]}]}]});
    let configuration = serde_json::from_value(configuration).unwrap();
    let configurations = Api::<ValidatingWebhookConfiguration>::all(world.client.clone());
    configurations.create(&PostParams::default(), &configuration).await.unwrap();
    let binding = json!({"metadata": {"name": "probe"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "none"}});
    let binding = serde_json::from_value(binding).unwrap();
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    world
        .eventually("a new binding should hang", async || {
            let bindings = world.bindings();
            let answer =
                tokio::time::timeout(Duration::from_secs(1), bindings.create(&dry_run, &binding)).await;
            when(answer.is_err(), "it does not")
        })
        .await;
    name
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn power_ends_at_once_however_long_it_takes_to_give_any() {
    let (slow, other) = (World::new("all").await, World::new("all").await);
    let mut ending = Vec::new();
    for world in [&slow, &other] {
        world.identity("bot", json!({})).await;
        ending.push((world, world.released_agent().await));
    }
    let hanging = hanging(&slow).await;
    // More identities than there are passes at once, and one of them is to end.
    let names: Vec<_> = (0..20).map(|i| format!("slow-{i}")).collect();
    for name in &names {
        slow.identity(name, json!({"secrets": null, "containers": null})).await;
    }
    for name in names.iter().map(String::as_str).chain(["bot"]) {
        let change =
            json!({"metadata": {"name": format!("waits-{name}"), "labels": {names::IDENTITY_LABEL: name}}});
        slow.accepts(&agent(change)).await;
    }
    slow.eventually("bindings should be waited for", async || {
        let claimed = |a: &k8s_openapi::api::core::v1::ServiceAccount| {
            a.metadata.annotations.iter().flatten().any(|(key, _)| key == names::CLAIMED_BY_UID)
        };
        let waiting = slow.instance_accounts().await.iter().filter(|a| claimed(a)).count();
        when(waiting > 8, &format!("{waiting} accounts are claimed"))
    })
    .await;

    // Of the same identity, and in another namespace.
    let ended = join_all(ending.iter().map(async |(world, account)| {
        let began = Instant::now();
        world.patch_identity("bot", json!({"suspended": true})).await;
        world.gone(world.bindings(), account).await;
        world.gone(world.accounts(), account).await;
        began.elapsed()
    }))
    .await;
    assert!(ended.iter().all(|took| *took < Duration::from_secs(3)), "{ended:?}");
    let configurations = Api::<ValidatingWebhookConfiguration>::all(slow.client.clone());
    configurations.delete(&hanging, &DeleteParams::default()).await.unwrap();
}
