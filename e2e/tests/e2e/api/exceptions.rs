//! Exceptions of AgentPolicies: pods that start in spite of a code until a date, and what is told of them.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PostParams};
use perpro_core::names;
use perpro_e2e::wait;
use serde_json::{Value, json};

use crate::common::{World, agent, gated, message, when};

/// A governed namespace without Pod Security, which would refuse what is tried here.
async fn world() -> World {
    let world = World::new("all").await;
    let relaxed = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}});
    let namespaces = Api::<Namespace>::all(world.client.clone());
    namespaces.patch(&world.namespace, &Default::default(), &Patch::Merge(relaxed)).await.unwrap();
    world.identity("bot", json!({})).await;
    world
}

fn exception(world: &World, workload: &str, change: Value) -> Value {
    let end = Timestamp::now() + SignedDuration::from_hours(24 * 3);
    let mut exception = json!({"name": "mesh-init", "namespace": world.namespace, "workload": workload,
        "codes": ["AID004"], "owner": "mesh-team", "reason": "Until the CNI plugin is there.", "expiresAt": end.to_string()});
    exception.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    exception
}

/// A pod that changes the routes of its network, as meshes do.
fn routes(name: &str) -> Pod {
    let init = json!([{"name": "istio-init", "image": "perpro-tests",
        "securityContext": {"capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}}}]);
    agent(json!({"metadata": {"name": name}, "spec": {"initContainers": init}}))
}

async fn created(world: &World, pod: &Pod, dry_run: bool) -> (Result<(), String>, Vec<String>) {
    let dry_run = if dry_run { "?dryRun=All" } else { "" };
    let request = http::Request::post(format!("/api/v1/namespaces/{}/pods{dry_run}", world.namespace));
    let request = request.header("content-type", "application/json");
    let request = request.body(kube::client::Body::from(serde_json::to_vec(pod).unwrap())).unwrap();
    let answer = world.client.send(request).await.unwrap();
    let warnings =
        answer.headers().get_all("warning").iter().map(|w| w.to_str().unwrap().to_owned()).collect();
    let stored = answer.status().is_success();
    let body: Value = serde_json::from_slice(&answer.into_body().collect_bytes().await.unwrap()).unwrap();
    let told = body["message"].as_str().unwrap_or_default().to_owned();
    (if stored { Ok(()) } else { Err(told) }, warnings)
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_exception_lets_a_pod_start_until_it_ends_and_is_told_and_recorded() {
    let world = world().await;
    world.rejects(&routes("setup"), "AID004").await;
    world.set_ceiling(json!({"exceptions": [exception(&world, "Pod/setup", json!({}))]})).await;
    world
        .eventually("the exception should count", async || {
            match created(&world, &routes("setup"), true).await {
                (Ok(()), _) => wait::ready(()),
                (Err(told), _) => wait::not_yet(told),
            }
        })
        .await;
    let (stored, warnings) = created(&world, &routes("setup"), false).await;
    assert_eq!(stored, Ok(()));
    let told: Vec<_> = warnings.iter().filter(|w| w.contains("AID066")).collect();
    assert_eq!(told.len(), 1, "{warnings:?}");
    assert!(
        told[0].contains("mesh-init") && told[0].contains("mesh-team") && told[0].contains("ends in 2 days"),
        "{told:?}"
    );
    world.released("setup").await;
    world.rejects(&routes("other"), "AID004").await;

    let log = world.cluster.layout().logs().join("audit.log");
    let marks = [
        "/exceptions\":\"mesh-init AID004 spec.initContainers[0]",
        &format!("\"namespace\":\"{}\"", world.namespace),
    ];
    world
        .eventually("the audit log should have it", async || {
            let text = std::fs::read_to_string(&log).unwrap();
            when(text.lines().any(|line| marks.iter().all(|m| line.contains(m))), "no event has it")
        })
        .await;

    let soon = Timestamp::now() + SignedDuration::from_secs(3);
    let ending = exception(&world, "Pod/late", json!({"expiresAt": soon.to_string()}));
    world.set_ceiling(json!({"exceptions": [ending]})).await;
    world
        .eventually("the exception should end", async || match created(&world, &routes("late"), true).await {
            (Err(told), _) if told.contains("AID004") && Timestamp::now() > soon => wait::ready(()),
            other => wait::not_yet(format!("{other:?}")),
        })
        .await;
    let running = world.pods().get("setup").await.unwrap();
    assert!(running.metadata.deletion_timestamp.is_none(), "what runs goes on");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_pods_of_a_deployment_start_by_an_exception_for_it_and_no_others() {
    let world = world().await;
    world.set_ceiling(json!({"exceptions": [exception(&world, "Deployment/meshed", json!({}))]})).await;
    let deployments = Api::<Deployment>::namespaced(world.client.clone(), &world.namespace);
    for name in ["meshed", "other"] {
        let mut template = serde_json::to_value(routes(name)).unwrap();
        template["metadata"]["labels"]["app"] = json!(name);
        let deployment = json!({"metadata": {"name": name}, "spec": {"replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": template["metadata"]["labels"]}, "spec": template["spec"]}}});
        deployments
            .create(&PostParams::default(), &serde_json::from_value(deployment).unwrap())
            .await
            .unwrap();
    }
    world
        .eventually("its pod should be released", async || {
            let pods = world.pods().list(&ListParams::default().labels("app=meshed")).await.unwrap().items;
            when(pods.iter().any(|pod| !gated(pod)), &format!("{} pods", pods.len()))
        })
        .await;
    world
        .eventually("the other should be refused", async || {
            let other = deployments.get("other").await.unwrap();
            let conditions = other.status.and_then(|s| s.conditions).unwrap_or_default();
            let told = conditions.iter().any(|c| c.message.as_ref().is_some_and(|m| m.contains("AID004")));
            when(told, &format!("{conditions:?}"))
        })
        .await;
    let others = world.pods().list(&ListParams::default().labels("app=other")).await.unwrap().items;
    assert!(others.is_empty(), "{:?}", others.iter().map(ResourceExt::name_any).collect::<Vec<_>>());
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_exception_that_never_counts_is_refused_when_it_is_written() {
    let world = World::new("").await;
    let days = |days: i64| (Timestamp::now() + SignedDuration::from_hours(24 * days)).to_string();
    let policy = |change: Value| {
        json!({"apiVersion": "perpro.dev/v1alpha1", "kind": "AgentPolicy", "metadata": {"name": format!("{}-new", world.namespace)},
            "spec": {"namespaces": [world.namespace], "exceptions": [exception(&world, "Deployment/bot", change)]}})
    };
    let create = async |policy: Value| {
        let path = format!("/apis/{}/{}/agentpolicies?dryRun=All", names::GROUP, names::VERSION);
        let request = http::Request::post(path).header("content-type", "application/json");
        let request = request.body(serde_json::to_vec(&policy).unwrap()).unwrap();
        world.client.request::<Value>(request).await.map_err(message).map(|_| ())
    };
    assert_eq!(create(policy(json!({}))).await, Ok(()));
    for (change, code) in [
        (json!({"codes": ["AID004", "AID011"]}), "AID058"),
        (json!({"namespace": "elsewhere"}), "AID058"),
        (json!({"expiresAt": days(-1)}), "AID059"),
        (json!({"expiresAt": days(91)}), "AID059"),
    ] {
        let told = create(policy(change.clone())).await.unwrap_err();
        assert!(told.contains(code), "{change}: {told}");
    }
}
