//! The certificate authority by which agents know the API server is the one that Kubernetes published.

use super::running;
use crate::api::actors::{Actor, Guard};
use crate::common::{World, when};
use perpro_core::names::ROOT_CA_CONFIG_MAP;
use perpro_e2e::wait;
use serde_json::{Value, json};

const PUBLISHED: Guard = Guard::Policy("AID099");
const KUBERNETES: [&str; 2] =
    ["system:serviceaccount:kube-system:root-ca-cert-publisher", "system:kube-controller-manager"];

/// The ConfigMap, when Kubernetes has published it.
async fn published(world: &World) -> Value {
    let path = world.path("v1", &format!("configmaps/{ROOT_CA_CONFIG_MAP}"));
    let admin = Actor::admin(world);
    world
        .eventually("the CA should be published", async || {
            admin.sends("GET", &path, json!(null)).await.map_or_else(wait::not_yet, wait::ready)
        })
        .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_ca_that_agents_trust_is_written_by_kubernetes_alone() {
    let (world, _) = running().await;
    let maps = world.path("v1", "configmaps");
    let path = format!("{maps}/{ROOT_CA_CONFIG_MAP}");
    let mut there = published(&world).await;
    // Kubernetes would never get it back.
    let poisoned = json!({"data": {"ca.crt": "evil"}, "immutable": true});
    let wrong = [
        poisoned.clone(),
        json!({"data": {"ca.crt": "evil"}}),
        json!({"data": {"more": "x"}}),
        json!({"data": null}),
        json!({"binaryData": {"more": "eA=="}}),
        json!({"immutable": true}),
    ];
    let named = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"ca.crt": "evil"}});
    let people = [
        Actor::admin(&world),
        Actor::person(&world, "eve", "edit").await,
        Actor::person(&world, "joe", "perpro-edit").await,
    ];
    for actor in people {
        for wrong in &wrong {
            actor.may_not(PUBLISHED, "PATCH", &path, wrong.clone()).await;
        }
        let applied = format!("{path}?fieldManager=test&force=true");
        actor.may_not(PUBLISHED, "PATCH", &applied, named(ROOT_CA_CONFIG_MAP)).await;
        // As after a deletion, before Kubernetes makes it again.
        actor.may_not(PUBLISHED, "POST", &maps, named(ROOT_CA_CONFIG_MAP)).await;
        actor.may("POST", &maps, named("ca")).await;
        // What tools do to everything: they label it, write it back as it is, take finalizers away.
        actor
            .may(
                "PATCH",
                &path,
                json!({"metadata": {"labels": {"team": "x"}, "finalizers": ["example.com/hold"]}}),
            )
            .await;
        actor.may("PUT", &path, there.clone()).await;
        actor.may("DELETE", &path, json!(null)).await;
    }
    let agent = Actor::agent(&world, &world.pods().get("pod").await.unwrap()).await;
    agent.may("PUT", &path, there.clone()).await;
    there["data"]["ca.crt"] = json!("evil");
    agent.may_not(PUBLISHED, "PUT", &path, there).await;

    for name in KUBERNETES {
        world.bind(name, "ClusterRole", "edit").await;
        Actor::impersonated(&world, name)
            .await
            .may("PATCH", &path, json!({"data": {"ca.crt": "next"}}))
            .await;
    }
    let ungoverned = World::new("").await;
    published(&ungoverned).await;
    let path = ungoverned.path("v1", &format!("configmaps/{ROOT_CA_CONFIG_MAP}"));
    Actor::admin(&ungoverned).may("PATCH", &path, poisoned).await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_ca_is_published_anew_however_it_is_deleted_also_one_that_was_changed_before() {
    let world = World::new("").await;
    let admin = Actor::admin(&world);
    let right = published(&world).await;
    let path = world.path("v1", &format!("configmaps/{ROOT_CA_CONFIG_MAP}"));
    let poisoned = json!({"data": {"ca.crt": "evil"}, "immutable": true});
    admin.sends("PATCH", &path, poisoned).await.unwrap();
    let label = json!({"metadata": {"labels": {"perpro.dev/enforce": "all"}}});
    admin.sends("PATCH", &format!("/api/v1/namespaces/{}", world.namespace), label).await.unwrap();
    for how in ["Background", "Foreground", "Orphan"] {
        let before = published(&world).await;
        admin.sends("DELETE", &format!("{path}?propagationPolicy={how}"), json!(null)).await.unwrap();
        world
            .eventually("the CA should be published anew", async || {
                let now = published(&world).await;
                when(now["metadata"]["uid"] != before["metadata"]["uid"], "it is the old one")
            })
            .await;
        assert_eq!(published(&world).await["data"], right["data"], "{how}");
    }
}
