//! perpro's own processes replaced, while agents run and new ones start: not one is refused, and none loses its power.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use perpro_e2e::cache::Cache;
use perpro_e2e::install::{self, Helm, NAMESPACE};
use perpro_e2e::wait;
use serde_json::json;

use super::inside::{end, in_time, runs, world};
use crate::common::{World, account_of, agent, gated, message, when};

/// How many agents start meanwhile, at least.
const STARTS: usize = 300;
/// One starts this often.
const EVERY: Duration = Duration::from_millis(250);
/// The processes of the release.
const DEPLOYMENTS: [&str; 2] = ["perpro-webhook", "perpro-controller"];

#[tokio::test]
#[ignore = "needs a cluster with a node"]
async fn agents_start_and_live_while_perpro_is_restarted_twice_upgraded_and_rolled_back() {
    let world = world().await;
    let helm = Helm::ensure(&Cache::from_env().unwrap()).await.unwrap();
    let kubeconfig = world.cluster.kubeconfig();
    let chart = install::chart("perpro").into_os_string().into_string().unwrap();
    let patiently = ["--namespace", NAMESPACE, "--wait", "--timeout", "3m"];
    let upgrade = ["upgrade", "perpro", &chart, "--reuse-values", "--set", "logFormat=text"];

    let changes = async {
        let before = log_formats(&world).await;
        restart(&world, "once").await;
        restart(&world, "twice").await;
        helm.run(&kubeconfig, &[&upgrade, &patiently[..]].concat()).await.unwrap();
        assert_eq!(log_formats(&world).await, ["text", "text"]);
        helm.run(&kubeconfig, &[&["rollback", "perpro"], &patiently[..]].concat()).await.unwrap();
        assert_eq!(log_formats(&world).await, before);
    };
    unnoticed(&world, changes).await;
    end(world).await;
}

/// Makes a change while agents start and one runs.
async fn unnoticed(world: &World, change: impl Future<Output = ()>) {
    world.identity("bot", json!({})).await;
    world.accepts(&agent(json!({"metadata": {"name": "lives"}}))).await;
    let lives = runs(world, "lives").await;
    let account = account_of(&lives);

    let changed = Cell::new(false);
    let change = async {
        change.await;
        changed.set(true);
    };
    let start = async |number: usize| {
        // Nobody schedules them, so they cost nothing once they are admitted, claimed and released as any.
        let name = format!("starts-{number}");
        let idle = json!({"metadata": {"name": name}, "spec": {"schedulerName": "nobody"}});
        let started = world.pods().create(&PostParams::default(), &agent(idle)).await;
        let power = world.may(&account, "get", "configmaps").await;
        (started.map(|pod| account_of(&pod)).map_err(message), power)
    };
    let ticks = futures::stream::unfold((tokio::time::interval(EVERY), 0), async |(mut ticks, number)| {
        ticks.tick().await;
        (number < STARTS || !changed.get()).then_some((number, (ticks, number + 1)))
    });
    let starts = ticks.map(start).buffer_unordered(STARTS).collect::<Vec<_>>();
    let ((), starts) = futures::join!(change, starts);

    println!("{} agents started meanwhile", starts.len());
    let refused: Vec<_> = starts.iter().filter_map(|(started, _)| started.as_ref().err()).collect();
    assert!(refused.is_empty(), "{} of {} were refused: {refused:?}", refused.len(), starts.len());
    assert!(starts.iter().all(|(_, power)| *power), "an agent that ran lost its power");
    let accounts: BTreeSet<_> = starts.iter().filter_map(|(started, _)| started.as_ref().ok()).collect();
    assert_eq!(accounts.len(), starts.len(), "agents share an account");
    let released = in_time("all should be released", async || {
        let pods = world.pods().list(&ListParams::default()).await.unwrap().items;
        let waiting = pods.iter().filter(|pod| gated(pod)).count();
        if waiting == 0 { wait::ready(pods) } else { wait::not_yet(format!("{waiting} are gated")) }
    })
    .await;
    assert_eq!(released.len(), starts.len() + 1);
    let still = world.pods().get("lives").await.unwrap();
    assert_eq!((still.uid(), restarts(&still)), (lives.uid(), 0));
}

fn restarts(pod: &Pod) -> i32 {
    pod.status.iter().flat_map(|s| s.container_statuses.iter().flatten()).map(|c| c.restart_count).sum()
}

fn deployments(world: &World) -> Api<Deployment> {
    Api::namespaced(world.client.clone(), NAMESPACE)
}

/// What `kubectl rollout restart` does and `kubectl rollout status` waits for, of both at once.
async fn restart(world: &World, when_: &str) {
    let restart =
        json!({"spec": {"template": {"metadata": {"annotations": {"perpro.test/restarted": when_}}}}});
    join_all(DEPLOYMENTS.map(|name| {
        let restart = Patch::Merge(&restart);
        async move {
            let deployments = deployments(world);
            deployments.patch(name, &PatchParams::default(), &restart).await.unwrap();
            in_time(&format!("{name} should be rolled out"), async || {
                let deployment = deployments.get(name).await.unwrap();
                when(is_rolled_out(&deployment), &format!("{:?}", deployment.status))
            })
            .await;
        }
    }))
    .await;
}

fn is_rolled_out(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.replicas;
    deployment.status.as_ref().is_some_and(|status| {
        let counts = [status.replicas, status.updated_replicas, status.available_replicas];
        status.observed_generation == deployment.metadata.generation
            && counts.iter().all(|count| *count == wanted)
    })
}

/// How the processes write their logs.
async fn log_formats(world: &World) -> Vec<String> {
    let format = async |name: &str| {
        let deployment = deployments(world).get(name).await.unwrap();
        let containers = deployment.spec.template.spec.unwrap().containers;
        let mut variables = containers.into_iter().flat_map(|container| container.env.unwrap_or_default());
        variables.find(|variable| variable.name == "PERPRO_LOG_FORMAT").unwrap().value.unwrap()
    };
    join_all(DEPLOYMENTS.map(format)).await
}
