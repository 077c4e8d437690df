//! Uninstalling: nothing is left that nobody looks after, whatever runs meanwhile and wherever the
//! Job dies. The webhook is ended by hand: here no Service leads to it.

use super::free_the_lease;
use crate::common::{SOON, World, account_of, agent, gated};
use crate::helm::{kubectl, rendered_for};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Secret, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use perpro_e2e::install::{HostProcess, HostProcesses, NAMESPACE};
use serde_json::json;
use std::time::Duration;

/// The Job's own limit, and a little.
const ENDS: Duration = Duration::from_secs(70);

/// What helm has made before the hook runs, and leaves to it.
fn prepare(world: &World) {
    let chart = rendered_for(NAMESPACE, "perpro", &json!({}));
    let of_the_hook = |o: &serde_json::Value| {
        o["metadata"]["name"] == "perpro-uninstall" && o["kind"].as_str().unwrap().starts_with("Role")
    };
    let mut objects: Vec<_> = chart.into_iter().filter(of_the_hook).collect();
    assert_eq!(objects.len(), 2, "the hook's Role and its binding");
    let metadata = |name: &str| json!({"name": name, "namespace": NAMESPACE});
    for name in ["perpro-ca", "perpro-webhook-tls"] {
        objects.push(json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata(name), "stringData": {"a": "b"}}));
    }
    objects.push(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata("perpro-webhook"),
        "spec": {"ports": [{"port": 443}]}}));
    kubectl(&world.cluster, &["apply"], &objects).unwrap();
}

async fn uninstall(world: &World, env: &[(&str, &str)]) -> String {
    let processes = HostProcesses::of(&world.cluster);
    let log = processes.log(HostProcess::Uninstall);
    let before = std::fs::read_to_string(&log).unwrap_or_default().len();
    processes.launch(HostProcess::Uninstall, env).await.unwrap();
    processes.ends(HostProcess::Uninstall, ENDS).await.unwrap();
    std::fs::read_to_string(&log).unwrap()[before..].to_owned()
}

async fn restore(world: &World) {
    // Helm takes the hook's powers when it has run.
    let params = DeleteParams::default();
    let (client, name) = (&world.client, "perpro-uninstall");
    Api::<RoleBinding>::namespaced(client.clone(), NAMESPACE).delete(name, &params).await.unwrap();
    Api::<Role>::namespaced(client.clone(), NAMESPACE).delete(name, &params).await.unwrap();
    let processes = HostProcesses::of(&world.cluster);
    free_the_lease(world).await;
    processes.restart(HostProcess::Webhook, &[]).await.unwrap();
    processes.restart(HostProcess::Controller, &[]).await.unwrap();
}

/// A running pod, one at its gate, and nobody who looks after them.
async fn abandoned() -> (World, String) {
    let world = World::new("all").await;
    let processes = HostProcesses::of(&world.cluster);
    world.identity("bot", json!({})).await;
    world.accepts(&agent(json!({"metadata": {"name": "running"}}))).await;
    let account = account_of(&world.released("running").await);
    processes.kill(HostProcess::Controller).await.unwrap();
    let waits = world.accepts(&agent(json!({"metadata": {"name": "waits"}}))).await;
    assert!(gated(&waits) && world.may(&account, "get", "configmaps").await);
    processes.kill(HostProcess::Webhook).await.unwrap();
    prepare(&world);
    (world, account)
}

async fn nothing_is_left(world: &World, account: &str) {
    assert!(!world.may(account, "get", "configmaps").await);
    assert!(world.instance_accounts().await.is_empty());
    assert!(world.bindings().list(&ListParams::default()).await.unwrap().items.is_empty());
    let roles = world.roles().list(&ListParams::default()).await.unwrap().items;
    assert!(!roles.is_empty() && roles.iter().all(|r| r.rules.iter().flatten().count() == 0), "{roles:?}");
    assert!(world.pods().get_opt("waits").await.unwrap().is_none(), "the gated pod");
    assert!(world.pods().get_opt("running").await.unwrap().is_some(), "a pod that runs is its owner's");
    let path = format!("/apis/perpro.dev/v1alpha1/namespaces/{}/governednamespaces", world.namespace);
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    let governed = world.client.request::<serde_json::Value>(request).await.unwrap();
    assert_eq!(governed["items"], json!([]));
    let namespaced = |name: &'static str| (Api::<Secret>::namespaced(world.client.clone(), NAMESPACE), name);
    for (secrets, name) in ["perpro-ca", "perpro-webhook-tls"].map(namespaced) {
        assert!(secrets.get_opt(name).await.unwrap().is_none(), "{name}");
    }
    let services = Api::<Service>::namespaced(world.client.clone(), NAMESPACE);
    assert!(services.get_opt("perpro-webhook").await.unwrap().is_none());
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_uninstallation_leaves_no_power_no_account_and_no_gated_pod() {
    let (world, account) = abandoned().await;
    let log = uninstall(&world, &[]).await;
    assert!(log.contains("nothing is left"), "{log}");
    nothing_is_left(&world, &account).await;

    // Its Lease goes with the controller's account, hence with the release.
    let leases = Api::<Lease>::namespaced(world.client.clone(), NAMESPACE);
    let lease = leases.get("perpro-controller").await.unwrap();
    let accounts = Api::<ServiceAccount>::namespaced(world.client.clone(), NAMESPACE);
    let owner = accounts.get("perpro-controller").await.unwrap();
    assert_eq!(
        lease.owner_references().iter().map(|o| o.uid.clone()).collect::<Vec<_>>(),
        [owner.uid().unwrap()]
    );
    restore(&world).await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_uninstallation_that_dies_is_completed_by_the_next() {
    for point in ["close-webhook:after", "unbind:after", "delete-account:after"] {
        println!("{point}");
        let (world, account) = abandoned().await;
        let log = uninstall(&world, &[("PERPRO_CRASH_AT", point)]).await;
        assert!(log.contains("crash asked for") && !log.contains("nothing is left"), "{point}: {log}");
        let log = uninstall(&world, &[]).await;
        assert!(log.contains("nothing is left"), "{point}: {log}");
        nothing_is_left(&world, &account).await;
        restore(&world).await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_controller_that_leads_ends_when_its_place_is_taken() {
    let world = World::new("all").await;
    let processes = HostProcesses::of(&world.cluster);
    world.identity("bot", json!({})).await;
    let account = world.released_agent().await;
    prepare(&world);
    let log = uninstall(&world, &[]).await;
    assert!(log.contains("nothing is left"), "{log}");
    processes.ends(HostProcess::Controller, SOON).await.unwrap();
    assert!(world.accounts().get_opt(&account).await.unwrap().is_none());
    restore(&world).await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_cannot_be_ended_in_time_is_named() {
    let (world, account) = abandoned().await;
    let finalizers = async |finalizers: serde_json::Value| {
        let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
        world.pods().patch("waits", &PatchParams::default(), &patch).await.unwrap();
    };
    finalizers(json!(["example.test/held"])).await;
    let log = uninstall(&world, &[]).await;
    let left = format!("not done within 60 s; left of agents: gated Pod {}/waits\n", world.namespace);
    assert!(log.ends_with(&left), "{log}");
    assert!(!world.may(&account, "get", "configmaps").await, "all else was ended");
    finalizers(json!(null)).await;
    restore(&world).await;
}
