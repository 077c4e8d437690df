//! What the charts render, as a real API server judges it: a dry run of every object, for every
//! set of values. What it would warn of is a defect, Pod Security included.

use crate::common::World;
use crate::helm::{called, kubectl, rendered_for, sets};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

/// Kinds of others, which the cluster does not have.
const FOREIGN: [&str; 2] = ["Certificate", "ServiceMonitor"];
const DRY_RUN: [&str; 4] = ["apply", "--server-side", "--force-conflicts", "--dry-run=server"];

/// A namespace for a release, where Pod Security warns of what it would refuse later.
async fn release() -> World {
    let world = World::new("").await;
    let namespaces = Api::<Namespace>::all(world.client.clone());
    let warn = json!({"metadata": {"labels": {"pod-security.kubernetes.io/warn": "restricted"}}});
    namespaces.patch(&world.namespace, &PatchParams::default(), &Patch::Merge(&warn)).await.unwrap();
    world
}

fn chart(world: &World, values: &Value) -> Vec<Value> {
    let mut values = values.clone();
    if values.get("namespaceOverride").is_some() {
        values["namespaceOverride"] = json!(world.namespace);
    }
    let mut objects = rendered_for(&world.namespace, "perpro", &values);
    objects.retain(|o| !FOREIGN.contains(&o["kind"].as_str().unwrap()));
    for object in objects.iter_mut().filter(|o| o["kind"].as_str().unwrap().ends_with("WebhookConfiguration"))
    {
        // Those of this cluster call processes of this machine: an apply would mix the two.
        object["metadata"]["name"] = json!(world.namespace);
    }
    objects
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_api_server_takes_everything_that_the_charts_render_without_a_warning() {
    let world = release().await;
    for (set, values) in sets() {
        let objects = chart(&world, &values);
        let (out, warnings) =
            kubectl(&world.cluster, &DRY_RUN, &objects).unwrap_or_else(|e| panic!("{set}: {e}"));
        assert_eq!(out.lines().count(), objects.len(), "{set}: {out}");
        assert_eq!(warnings, "", "{set}");
    }
    let definitions = rendered_for(&world.namespace, "perpro-crds", &json!({}));
    let (out, warnings) = kubectl(&world.cluster, &DRY_RUN, &definitions).unwrap();
    assert_eq!((out.lines().count(), warnings.as_str()), (definitions.len(), ""));
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_the_api_server_would_refuse_or_warn_of_is_seen() {
    let world = release().await;
    let twice = json!({"webhook": {"extraVolumes": [{"name": "tls", "emptyDir": {}}]}});
    let refused = kubectl(&world.cluster, &DRY_RUN, &chart(&world, &twice)).unwrap_err();
    assert!(refused.contains("duplicate entries for key [name=\"tls\"]"), "{refused}");

    let unsafe_pods = json!({"controller": {"podSecurityContext": {"runAsNonRoot": false}}});
    let objects = chart(&world, &unsafe_pods);
    let deployment = objects.iter().find(|o| called(o) == "Deployment perpro-controller").unwrap();
    let (_, warnings) = kubectl(&world.cluster, &DRY_RUN, std::slice::from_ref(deployment)).unwrap();
    assert!(warnings.contains("would violate PodSecurity"), "{warnings}");
}
