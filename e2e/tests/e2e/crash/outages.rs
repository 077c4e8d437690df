//! While processes of perpro are down, agents are refused or go on as they are, and nobody else is held up.

use super::free_the_lease;
use crate::common::{World, agent, message, pod, when};
use kube::api::PostParams;
use perpro_core::names;
use perpro_e2e::install::{HostProcess, HostProcesses};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
#[ignore = "needs a cluster"]
async fn with_the_webhook_down_agents_are_refused_and_all_else_goes_on() {
    let world = World::new("agents").await;
    let processes = HostProcesses::of(&world.cluster);
    world.identity("bot", json!({})).await;
    let account = world.released_agent().await;
    let rules = json!([{"apiGroups": [""], "resources": ["pods/exec"], "resourceNames": [], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["pods"], "resourceNames": [], "verbs": ["get"]}]);
    world.grant("jane@example.com", rules).await;
    let owner = world.as_user("jane@example.com", &["system:authenticated"]).await;
    let exec = async |client: &kube::Client| {
        let path = format!("/api/v1/namespaces/{}/pods/pod/exec?command=sh&container=agent", world.namespace);
        let request = http::Request::post(path).body(Vec::new()).unwrap();
        client.request::<serde_json::Value>(request).await.map_err(message).unwrap_err()
    };
    // There is no kubelet: this is how far one gets.
    let in_it = "does not have a host assigned";
    assert!(exec(&owner).await.contains(in_it));
    processes.kill(HostProcess::Webhook).await.unwrap();
    let refused = exec(&owner).await;
    assert!(refused.contains("failed calling webhook \"connect.pods.perpro.dev\""), "{refused}");
    assert!(exec(&world.client).await.contains(in_it), "who breaks the glass is not kept out");
    assert!(
        world
            .pods()
            .create(&PostParams::default(), &agent(json!({"metadata": {"name": "new"}})))
            .await
            .is_err()
    );
    world.accepts(&pod(json!({"metadata": {"name": "plain"}}))).await;
    assert!(world.may(&account, "get", "configmaps").await, "running agents live on");
    // The plug can be pulled without it.
    world.patch_identity("bot", json!({"suspended": true})).await;
    world.gone(world.pods(), "pod").await;
    processes.start(HostProcess::Webhook, &[]).await.unwrap();
}

/// What is only told is told by nobody then, and holds nobody up.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn with_the_webhook_down_workloads_and_plain_pods_pass_at_once_where_they_would_be_told_something() {
    let world = World::new("agents").await;
    let labels = json!({"metadata": {"labels": {names::WARN_LABEL: "all", names::AUDIT_LABEL: "all"}}});
    let namespace = format!("/api/v1/namespaces/{}", world.namespace);
    assert!(world.tries("PATCH", &namespace, &labels).await.0);
    let deployments = format!("/apis/apps/v1/namespaces/{}/deployments", world.namespace);
    let deployment = |name: &str| {
        let template = json!({"metadata": {"labels": {"app": "x"}}, "spec": json!(pod(json!({})))["spec"]});
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "x"}}, "template": template}})
    };
    let mut turn = 0;
    world
        .eventually("the label should count", async || {
            turn += 1;
            let (_, told) = world.tries("POST", &deployments, &deployment(&format!("up-{turn}"))).await;
            when(told.len() == 1 && told[0].starts_with("perpro AID001"), &format!("{told:?}"))
        })
        .await;
    let processes = HostProcesses::of(&world.cluster);
    processes.kill(HostProcess::Webhook).await.unwrap();
    let began = Instant::now();
    let pods = format!("/api/v1/namespaces/{}/pods", world.namespace);
    let plain = json!(pod(json!({"metadata": {"name": "plain"}})));
    for (path, object) in [(&deployments, deployment("down")), (&pods, plain)] {
        assert_eq!(world.tries("POST", path, &object).await, (true, vec![]), "{path}");
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    processes.start(HostProcess::Webhook, &[]).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_agent_is_suspended_with_all_of_perpro_down_and_who_asked_is_told_that_it_has_power() {
    let world = World::new("all").await;
    let processes = HostProcesses::of(&world.cluster);
    world.identity("bot", json!({})).await;
    let account = world.released_agent().await;
    for process in [HostProcess::Webhook, HostProcess::Controller] {
        processes.kill(process).await.unwrap();
    }
    let said = world.perpro(&["suspend", "bot", "--timeout", "2s", "-n", &world.namespace]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(world.identities().get("bot").await.unwrap().spec.suspended, "{said:?}");
    assert!(said.out.contains("1 instance still with power") && said.out.contains(&account), "{said:?}");
    assert!(said.out.contains(&format!("kubectl -n {} delete pods -l", world.namespace)), "{said:?}");

    free_the_lease(&world).await;
    for process in [HostProcess::Webhook, HostProcess::Controller] {
        processes.start(process, &[]).await.unwrap();
    }
    let said = world.perpro(&["suspend", "bot", "-n", &world.namespace]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(world.accounts().get_opt(&account).await.unwrap().is_none());
}
