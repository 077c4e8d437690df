//! Workload and identity that come together, in whichever order: Helm releases and folders of manifests.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use perpro_e2e::cache::Cache;
use perpro_e2e::command::{command, output};
use perpro_e2e::install::Helm;
use perpro_e2e::wait;

use super::inside::{end, in_time, is_ready, world};
use crate::common::{World, account_of, when};

/// A ReplicaSet tries again after 5 ms, and each time after twice as long. What comes a second later is overtaken by
/// its backoff no more than once.
const CONVERGES: Duration = Duration::from_secs(30);

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/running/release")
}

async fn one_runs(world: &World) -> Pod {
    in_time("the agent should run", async || {
        let pods = world.pods().list(&ListParams::default().labels("app=release")).await.unwrap().items;
        match pods.into_iter().find(is_ready) {
            Some(pod) => wait::ready(pod),
            None => wait::not_yet("it does not"),
        }
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster with a node"]
async fn a_helm_release_of_workload_and_identity_converges_within_the_backoff() {
    let world = world().await;
    let helm = Helm::ensure(&Cache::from_env().unwrap()).await.unwrap();
    let kubeconfig = world.cluster.kubeconfig();
    let chart = chart().into_os_string().into_string().unwrap();
    let here = ["--namespace", &world.namespace];
    let since = Instant::now();
    let install = [&["install", "release", &*chart, "--wait", "--timeout", "2m"], &here[..]].concat();
    helm.run(&kubeconfig, &install).await.unwrap();
    println!("helm install --wait took {:?}", since.elapsed());
    assert!(since.elapsed() < CONVERGES, "{:?}", since.elapsed());
    let pod = one_runs(&world).await;
    assert!(world.may(&account_of(&pod), "get", "configmaps").await);

    helm.run(&kubeconfig, &[&["uninstall", "release"], &here[..]].concat()).await.unwrap();
    world
        .eventually("nothing should be left", async || {
            let accounts = world.instance_accounts().await.len();
            let bindings = world.bindings().list(&ListParams::default()).await.unwrap().items.len();
            let roles = world.roles().list(&ListParams::default()).await.unwrap().items.len();
            when((accounts, bindings, roles) == (0, 0, 0), &format!("{accounts} {bindings} {roles}"))
        })
        .await;
    end(world).await;
}

#[tokio::test]
#[ignore = "needs a cluster with a node"]
async fn a_folder_is_applied_with_the_workload_before_its_identity() {
    let world = world().await;
    let mut kubectl = command(world.cluster.kubectl());
    kubectl.arg("--kubeconfig").arg(world.cluster.kubeconfig());
    kubectl.args(["apply", "--namespace", &world.namespace, "--filename"]).arg(chart().join("templates"));
    let since = Instant::now();
    output(&mut kubectl).await.unwrap();
    let account = account_of(&one_runs(&world).await);
    assert!(since.elapsed() < CONVERGES, "{:?}", since.elapsed());
    assert!(world.may(&account, "get", "configmaps").await);
    end(world).await;
}
