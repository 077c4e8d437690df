//! The harness, used on itself: a control plane, perpro's processes on this machine, crashes, and the end of it all.

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;
use kube::api::PostParams;
use perpro_e2e::cache::Cache;
use perpro_e2e::cluster::{Cluster, Options};
use perpro_e2e::install::{self, HostProcess, HostProcesses};
use perpro_e2e::wait;
use serde_json::json;

#[tokio::test]
#[ignore = "starts a control plane, which takes minutes the first time"]
async fn a_cluster_survives_the_crash_of_anything_and_ends_without_a_trace() {
    let cache = Cache::from_env().unwrap();
    let dir = PathBuf::from(format!("/tmp/perpro-e2e-{}", std::process::id()));
    let options = Options { dir: Some(dir.clone()), nodeless: true, version: None };
    let cluster = Cluster::open(&cache, &options).unwrap();
    cluster.up().await.unwrap();
    install::into_ours(&cache, &cluster).await.unwrap();

    let perpro = HostProcesses::of(&cluster);
    assert!(perpro.is_alive(HostProcess::Webhook) && perpro.is_alive(HostProcess::Controller));
    governed_namespace(&cluster).await;
    let pods: Api<Pod> = Api::namespaced(cluster.client().await.unwrap(), "agents");
    refuses(&pods, "admission webhook").await;

    perpro.kill(HostProcess::Webhook).await.unwrap();
    refuses(&pods, "failed calling webhook").await;
    perpro.restart(HostProcess::Webhook, &[]).await.unwrap();
    refuses(&pods, "admission webhook").await;

    perpro.launch(HostProcess::SecondController, &[]).await.unwrap();
    perpro.kill(HostProcess::SecondController).await.unwrap();

    kill_9(cluster.processes().unwrap()["etcd"].0.pid).await;
    wait::until("a dead store should show", Duration::from_secs(10), async || match cluster.check().await {
        Ok(()) => wait::not_yet("it does not"),
        Err(_) => wait::ready(()),
    })
    .await
    .unwrap();
    cluster.up().await.unwrap();
    let namespaces: Api<Namespace> = Api::all(cluster.client().await.unwrap());
    assert!(namespaces.get_opt("agents").await.unwrap().is_none(), "it starts from nothing");

    let processes = cluster.processes().unwrap();
    cluster.down().await.unwrap();
    assert!(processes.values().all(|(id, _)| !id.is_alive()));
    let left: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "logs" || name == "lock"), "{left:?}");
    std::fs::remove_dir_all(&dir).unwrap();
}

async fn governed_namespace(cluster: &Cluster) {
    let namespaces: Api<Namespace> = Api::all(cluster.client().await.unwrap());
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "agents", "labels": {"perpro.dev/enforce": "all"}},
    });
    namespaces.create(&PostParams::default(), &serde_json::from_value(namespace).unwrap()).await.unwrap();
}

/// The API server learns of a webhook, and of its absence, a moment later.
async fn refuses(pods: &Api<Pod>, because: &str) {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "nobody-"},
        "spec": {"containers": [{"name": "main", "image": "localhost/none:1"}]},
    });
    let pod = serde_json::from_value(pod).unwrap();
    wait::until("a pod should be refused", Duration::from_secs(20), async || {
        match pods.create(&PostParams::default(), &pod).await {
            Err(error) if error.to_string().contains(because) => wait::ready(()),
            Err(error) => wait::not_yet(error),
            Ok(_) => wait::not_yet("it was created"),
        }
    })
    .await
    .unwrap();
}

async fn kill_9(pid: i32) {
    let status = tokio::process::Command::new("kill").args(["-9", &pid.to_string()]).status().await;
    assert!(status.unwrap().success());
}
