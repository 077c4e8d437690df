//! A webhook of somebody else's that fails open, takes every call and never answers.

use crate::common::{World, when};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::json;
use std::net::TcpListener;

/// Seconds that the API server waits for it: longer than the controller waits for a write that gives power.
const HANGS: u32 = 12;

#[tokio::test]
#[ignore = "needs a cluster"]
async fn power_ends_though_somebodys_webhook_hangs_at_each_of_its_ends() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    let account = world.released_agent().await;
    assert!(world.may(&account, "get", "configmaps").await);

    // The kernel takes the connections; nobody reads them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("https://{}", silent.local_addr().unwrap());
    let webhook = |name: &str, policy: &str, groups: &[&str], resources: &[&str]| {
        json!({"name": format!("{name}.perpro.test"), "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "failurePolicy": policy, "timeoutSeconds": if policy == "Fail" { 1 } else { HANGS },
            "clientConfig": {"url": silent},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}},
            "rules": [{"apiGroups": groups, "apiVersions": ["v1"], "resources": resources, "operations": ["*"]}]})
    };
    let name = format!("hanging-{}", world.namespace);
    let ends = webhook("ends", "Ignore", &["rbac.authorization.k8s.io"], &["roles", "rolebindings"]);
    // What shows that the API server knows both.
    let known = webhook("known", "Fail", &[""], &["configmaps"]);
    let configuration = json!({"metadata": {"name": name}, "webhooks": [ends, known]});
    let configurations = Api::<ValidatingWebhookConfiguration>::all(world.client.clone());
    let configuration = serde_json::from_value(configuration).unwrap();
    configurations.create(&PostParams::default(), &configuration).await.unwrap();
    world
        .eventually("the webhook should be asked", async || {
            let path = format!("{}?dryRun=All", world.path("v1", "configmaps"));
            let (done, _) = world.tries("POST", &path, &json!({"metadata": {"name": "x"}})).await;
            when(!done, "it is not")
        })
        .await;

    world.patch_identity("bot", json!({"suspended": true})).await;
    world
        .eventually("the power should end", async || {
            when(!world.may(&account, "get", "configmaps").await, "it goes on")
        })
        .await;
    world.gone(world.pods(), "pod").await;
    assert!(world.bindings().get_opt(&account).await.unwrap().is_none(), "the pod went before its power");
    configurations.delete(&name, &DeleteParams::default()).await.unwrap();
}
