//! What the API server's own policies hold, whether perpro runs or not: updates, deletions and
//! writes of other kinds, which no webhook of ours sees. Each refusal has its good twin.

mod agents;
mod namespaces;
mod plain;
mod pods;
mod reserved;
mod root_ca;
mod subjects;
mod tokens;
mod ungoverned;
pub mod uses;

use crate::common::World;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use perpro_e2e::wait;
use serde_json::json;

const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// A world with identity `bot` and one released pod `pod`, and the pod's account.
async fn running() -> (World, String) {
    let world = World::new("all").await;
    world.identity("bot", json!({"permissions": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "update"]}]})).await;
    let account = world.released_agent().await;
    (world, account)
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_api_server_finds_nothing_wrong_with_the_policies() {
    let world = World::new("").await;
    let policies = Api::<ValidatingAdmissionPolicy>::all(world.client.clone());
    let ours = ListParams::default().labels("app.kubernetes.io/part-of=perpro");
    world
        .eventually("all policies should have been checked", async || {
            let policies = policies.list(&ours).await.unwrap().items;
            assert!(policies.len() >= 11, "{} policies", policies.len());
            for policy in &policies {
                let Some(status) = &policy.status else { return wait::not_yet(policy.name_any()) };
                if status.observed_generation != policy.metadata.generation {
                    return wait::not_yet(policy.name_any());
                }
                let warnings = status.type_checking.as_ref().and_then(|t| t.expression_warnings.as_ref());
                assert!(warnings.is_none_or(Vec::is_empty), "{}: {warnings:#?}", policy.name_any());
            }
            wait::ready(())
        })
        .await;
}
