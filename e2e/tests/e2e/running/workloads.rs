//! Pods that Kubernetes' own controllers make, and controllers of others.

use std::collections::BTreeSet;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams};
use perpro_core::names;
use perpro_e2e::wait;
use serde_json::{Value, json};

use super::inside::{end, in_time, is_pinned, is_ready, told, world};
use super::kinds::{self, Kind};
use crate::common::{World, account_of, agent, merge, pod, when};

/// The change that makes both containers run this.
fn running(program: &str) -> Value {
    let run = |name: &str| json!({"name": name, "args": [program]});
    json!({"spec": {"containers": [run("agent"), run("tool")]}})
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
    join_all(pods.iter().map(|pod| has_its_power(world, pod))).await;
    pods
}

/// Its account is pinned to it, and may do what the identity lists and nothing else.
async fn has_its_power(world: &World, pod: &Pod) {
    let account = account_of(pod);
    assert!(names::is_account_of(&account, "bot"), "{account}");
    assert!(is_pinned(world, pod).await, "{account} is not pinned to its pod");
    assert!(world.may(&account, "get", "configmaps").await);
    for (verb, resource) in [("list", "configmaps"), ("get", "secrets"), ("create", "pods")] {
        assert!(!world.may(&account, verb, resource).await, "{verb} {resource}");
    }
}

/// Its containers hold what the identity lists for each of them.
async fn holds_its_own(world: &World, pod: &Pod) {
    let name = pod.name_any();
    let (agent, tool) = futures::join!(told(world, &name, "agent"), told(world, &name, "tool"));
    agent.are_those_of_the_agent();
    tool.are_none();
}

#[tokio::test]
#[ignore = "needs a cluster with a node"]
async fn a_pod_of_any_workload_runs_under_an_account_of_its_own_with_exactly_what_is_listed() {
    let world = world().await;
    world.identity("bot", json!({})).await;
    let agent = agent(running("tell"));
    join_all(Kind::ALL.map(|kind| kind.create(&world, &agent))).await;
    let pods = join_all(Kind::ALL.map(|kind| {
        let world = &world;
        async move {
            let pod = run(world, &kind.name(), 1).await.remove(0);
            let owner = pod.owner_references().iter().find(|owner| owner.controller == Some(true));
            let expected = Kind::workloads().any(|one| one == kind).then(|| kind.owner());
            assert_eq!(owner.map(|owner| owner.kind.clone()), expected, "{kind:?}");
            holds_its_own(world, &pod).await;
            pod
        }
    }))
    .await;
    let accounts: BTreeSet<_> = pods.iter().map(account_of).collect();
    assert_eq!(accounts.len(), Kind::ALL.len(), "workloads share an account");
    end(world).await;
}

#[tokio::test]
#[ignore = "needs a cluster with a node"]
async fn every_workload_is_told_why_it_has_no_pods() {
    let world = world().await;
    world.identity("bot", json!({"suspended": true})).await;
    let cases = [
        ("AID001", pod(json!({})), "metadata.labels"),
        ("AID006", agent(json!({})), "AgentIdentity \"bot\""),
    ];
    for (code, pod, words) in cases {
        for kind in [Kind::Bare, Kind::Generated] {
            let pod = serde_json::from_value(kind.object(&pod)).unwrap();
            let told = world.rejects(&pod, code).await;
            assert!(told.contains(words), "{kind:?}: {told}");
        }
        join_all(Kind::workloads().map(|kind| kind.create(&world, &pod))).await;
        join_all(Kind::workloads().map(|kind| is_told(&world, kind, code, words))).await;
        let condition = in_time("the Deployment should say it too", async || {
            let web = kinds::api(&world, &Kind::Deployment.object(&pod)).get("deployment").await.unwrap();
            let conditions = web.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
            match conditions.into_iter().find(|one| one["type"] == "ReplicaFailure") {
                Some(failure) => wait::ready(failure["message"].to_string()),
                None => wait::not_yet("it has no condition ReplicaFailure"),
            }
        })
        .await;
        assert!(condition.contains(code), "{condition}");
        assert!(world.pods().list(&ListParams::default()).await.unwrap().items.is_empty());
        join_all(Kind::workloads().map(|kind| delete(&world, kind, &pod))).await;
    }
    assert!(world.instance_accounts().await.is_empty());
    end(world).await;
}

/// The owner of the pods has an Event with the code, where, and what to do.
async fn is_told(world: &World, kind: Kind, code: &str, words: &str) {
    let events = Api::<Event>::namespaced(world.client.clone(), &world.namespace);
    let failed = ListParams::default().fields("reason=FailedCreate");
    in_time(&format!("the owner of the pods of {kind:?} should be told"), async || {
        let failed = events.list(&failed).await.unwrap().items;
        let about = |event: &Event| {
            let object = &event.involved_object;
            object.kind == Some(kind.owner())
                && object.name.as_ref().is_some_and(|name| name.starts_with(&kind.name()))
        };
        let legible = |event: &Event| {
            let text = event.message.as_deref().unwrap_or_default();
            text.contains(&format!("{code} ")) && text.contains(words)
        };
        when(failed.iter().any(|event| about(event) && legible(event)), &format!("{failed:?}"))
    })
    .await;
}

/// Deletes a workload and waits until it is gone.
async fn delete(world: &World, kind: Kind, pod: &Pod) {
    let api = kinds::api(world, &kind.object(pod));
    api.delete(&kind.name(), &kube::api::DeleteParams::background()).await.unwrap();
    in_time("it should be gone", async || {
        when(api.get_opt(&kind.name()).await.unwrap().is_none(), "it is there")
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster with a node"]
async fn each_replica_has_an_account_of_its_own_and_a_restart_gives_new_ones() {
    let world = world().await;
    world.identity("bot", json!({})).await;
    let mut web = Kind::Deployment.object(&agent(json!({})));
    merge(&mut web, json!({"metadata": {"name": "web"}, "spec": {"replicas": 3}}));
    kinds::create(&world, &web).await;
    let old: BTreeSet<_> = run(&world, "deployment", 3).await.iter().map(account_of).collect();

    let deployments = Api::<Deployment>::namespaced(world.client.clone(), &world.namespace);
    let restart = json!({"spec": {"template": {"metadata": {"annotations": {"restarted": "yes"}}}}});
    deployments.patch("web", &PatchParams::default(), &Patch::Merge(restart)).await.unwrap();
    let renewed = async || {
        let pods = pods_of(&world, "deployment").await;
        let left = pods.iter().filter(|pod| old.contains(&account_of(pod))).count();
        when(left == 0, &format!("{left} old pods are there"))
    };
    in_time("old pods should be replaced", renewed).await;
    let new: BTreeSet<_> = run(&world, "deployment", 3).await.iter().map(account_of).collect();
    assert!(new.is_disjoint(&old));
    join_all(old.iter().map(|account| world.gone(world.accounts(), account))).await;
    for account in &old {
        assert!(!world.may(account, "get", "configmaps").await);
    }
    end(world).await;
}

#[tokio::test]
#[ignore = "needs a cluster with a node"]
async fn a_job_with_a_sidecar_completes_and_its_account_ends_with_it() {
    let world = world().await;
    let mate = json!([{"name": "mate", "kubernetesAccess": "Token"}]);
    world.identity("bot", json!({"containers": mate})).await;
    let mut done = agent(running("holdings"));
    let mate = json!({"name": "mate", "image": "perpro-tests", "imagePullPolicy": "IfNotPresent", "restartPolicy": "Always",
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}});
    done.spec.as_mut().unwrap().init_containers = Some(vec![serde_json::from_value(mate).unwrap()]);
    kinds::create(&world, &Kind::Job.object(&done)).await;
    let jobs = Api::<Job>::namespaced(world.client.clone(), &world.namespace);
    in_time("the Job should complete", async || {
        let status = jobs.get("job").await.unwrap().status.unwrap_or_default();
        when(status.succeeded == Some(1), &format!("{status:?}"))
    })
    .await;
    let pods = pods_of(&world, "job").await;
    assert_eq!(pods.len(), 1, "its pod stays, for its logs");
    world.gone(world.accounts(), &account_of(&pods[0])).await;
    world.gone(world.bindings(), &account_of(&pods[0])).await;
    end(world).await;
}
