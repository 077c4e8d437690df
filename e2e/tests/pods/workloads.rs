//! Pods that Kubernetes' own controllers make.

use std::collections::BTreeSet;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams};
use perpro_core::names;
use perpro_e2e::wait;
use serde_json::{Value, json};

use crate::common::{World, account_of, agent, pod, when};
use crate::inside::{create, end, in_time, is_pinned, is_ready, world};

/// A pod template out of a pod, for the workload called `name`.
fn template(pod: &Pod, name: &str, change: Value) -> Value {
    let mut pod = serde_json::to_value(pod).unwrap();
    crate::common::merge(&mut pod, json!({"metadata": {"labels": {"app": name}}, "spec": change}));
    pod["metadata"].as_object_mut().unwrap().remove("name");
    json!({"metadata": pod["metadata"], "spec": pod["spec"]})
}

/// A workload whose pods are told by their label.
fn workload(kind: &str, name: &str, replicas: Option<u32>, pod: &Pod) -> Value {
    let mut spec =
        json!({"selector": {"matchLabels": {"app": name}}, "template": template(pod, name, json!({}))});
    if let Some(replicas) = replicas {
        spec["replicas"] = json!(replicas);
    }
    if kind == "StatefulSet" {
        spec["serviceName"] = json!(name);
    }
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// A Job that looks at what it holds and completes.
fn job(name: &str, pod: &Pod) -> Value {
    let done = json!({"restartPolicy": "Never", "containers": [
        {"name": "agent", "args": ["holdings"]}, {"name": "tool", "args": ["holdings"]}]});
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": format!("{name}-")},
        "spec": {"backoffLimit": 2, "template": template(pod, name, done)}})
}

async fn pods_of(world: &World, name: &str) -> Vec<Pod> {
    world.pods().list(&ListParams::default().labels(&format!("app={name}"))).await.unwrap().items
}

/// Waits until a workload has this many pods that run, each with an account of its own.
async fn run(world: &World, name: &str, count: usize) -> Vec<Pod> {
    let pods = in_time(&format!("the pods of {name} should run"), async || {
        let pods = pods_of(world, name).await;
        let ready = pods.iter().filter(|pod| is_ready(pod)).count();
        if ready == count && pods.len() == count {
            wait::ready(pods)
        } else {
            let seen: Vec<_> = pods.iter().map(|pod| (pod.name_any(), pod.status.clone())).collect();
            wait::not_yet(format!("{ready} of {count} are ready: {seen:?}"))
        }
    })
    .await;
    let accounts: BTreeSet<_> = pods.iter().map(account_of).collect();
    assert_eq!(accounts.len(), count, "pods share an account");
    for pod in &pods {
        assert!(is_pinned(world, pod).await, "{} is not pinned to its pod", account_of(pod));
        assert!(world.may(&account_of(pod), "get", "configmaps").await);
    }
    pods
}

#[tokio::test]
#[ignore = "needs a cluster with a node"]
async fn each_replica_has_an_account_of_its_own_and_a_restart_gives_new_ones() {
    let world = world().await;
    world.identity("bot", json!({})).await;
    create::<Deployment>(&world, workload("Deployment", "web", Some(3), &agent(json!({})))).await;
    let old: BTreeSet<_> = run(&world, "web", 3).await.iter().map(account_of).collect();

    let deployments = Api::<Deployment>::namespaced(world.client.clone(), &world.namespace);
    let restart = json!({"spec": {"template": {"metadata": {"annotations": {"restarted": "yes"}}}}});
    deployments.patch("web", &PatchParams::default(), &Patch::Merge(restart)).await.unwrap();
    let renewed = async || {
        let left = pods_of(&world, "web").await.iter().filter(|pod| old.contains(&account_of(pod))).count();
        when(left == 0, &format!("{left} old pods are there"))
    };
    in_time("old pods should be replaced", renewed).await;
    let new: BTreeSet<_> = run(&world, "web", 3).await.iter().map(account_of).collect();
    assert!(new.is_disjoint(&old));
    join_all(old.iter().map(|account| world.gone(world.accounts(), account))).await;
    for account in &old {
        assert!(!world.may(account, "get", "configmaps").await);
    }
    end(world).await;
}

#[tokio::test]
#[ignore = "needs a cluster with a node"]
async fn pods_of_every_kind_of_workload_come_up() {
    let world = world().await;
    world.identity("bot", json!({})).await;
    let agent = agent(json!({}));
    create::<StatefulSet>(&world, workload("StatefulSet", "set", Some(2), &agent)).await;
    create::<DaemonSet>(&world, workload("DaemonSet", "daemon", None, &agent)).await;
    world.accepts(&crate::common::agent(json!({"metadata": {"labels": {"app": "bare"}}}))).await;
    futures::join!(run(&world, "set", 2), run(&world, "daemon", 1), run(&world, "bare", 1));
    end(world).await;
}

#[tokio::test]
#[ignore = "needs a cluster with a node"]
async fn a_job_completes_and_its_account_ends_with_it() {
    let world = world().await;
    world.identity("bot", json!({})).await;
    let name = create::<Job>(&world, job("once", &agent(json!({})))).await.name_any();
    let jobs = Api::<Job>::namespaced(world.client.clone(), &world.namespace);
    in_time("the Job should complete", async || {
        let status = jobs.get(&name).await.unwrap().status.unwrap_or_default();
        when(status.succeeded == Some(1), &format!("{status:?}"))
    })
    .await;
    let pods = pods_of(&world, "once").await;
    assert_eq!(pods.len(), 1, "its pod stays, for its logs");
    world.gone(world.accounts(), &account_of(&pods[0])).await;
    world.gone(world.bindings(), &account_of(&pods[0])).await;
    end(world).await;
}

#[tokio::test]
#[ignore = "needs a cluster with a node"]
async fn without_an_identity_every_workload_is_told_why_it_has_no_pods() {
    let world = world().await;
    let plain = pod(json!({}));
    create::<Deployment>(&world, workload("Deployment", "web", Some(1), &plain)).await;
    create::<StatefulSet>(&world, workload("StatefulSet", "set", Some(1), &plain)).await;
    create::<DaemonSet>(&world, workload("DaemonSet", "daemon", None, &plain)).await;
    create::<Job>(&world, job("once", &plain)).await;
    world.rejects(&plain, "AID001").await;

    let events = Api::<Event>::namespaced(world.client.clone(), &world.namespace);
    world
        .eventually("every owner should be told", async || {
            let failed = ListParams::default().fields("reason=FailedCreate");
            let failed = events.list(&failed).await.unwrap().items;
            let told: BTreeSet<_> = failed
                .iter()
                .filter(|event| event.message.as_ref().is_some_and(|text| is_legible(text)))
                .filter_map(|event| event.involved_object.kind.clone())
                .collect();
            let wanted = ["DaemonSet", "Job", "ReplicaSet", "StatefulSet"].map(str::to_owned);
            when(told == BTreeSet::from(wanted), &format!("{failed:?}"))
        })
        .await;
    assert!(world.pods().list(&ListParams::default()).await.unwrap().items.is_empty());
    end(world).await;
}

/// The code, where, and what to do.
fn is_legible(text: &str) -> bool {
    text.contains("AID001 metadata.labels") && text.contains(names::IDENTITY_LABEL)
}
