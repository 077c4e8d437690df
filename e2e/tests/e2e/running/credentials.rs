//! What containers hold, as they see it themselves.

use serde_json::json;

use super::inside::{CRM_KEY, end, exec, holdings, runs, world};
use crate::common::agent;

const KEY_FILE: &str = "/run/secrets/perpro.dev/crm/key";

#[tokio::test]
#[ignore = "needs a cluster with a node"]
async fn kubectl_works_unchanged_and_within_the_permissions() {
    let world = world().await;
    world.identity("bot", json!({})).await;
    world.accepts(&agent(json!({}))).await;
    runs(&world, "pod").await;

    let said =
        exec(&world, "pod", "agent", &["/kubectl", "get", "configmap", "feedback", "-o", "name"]).await;
    assert_eq!(said.unwrap().trim(), "configmap/feedback");
    for refused in [["get", "configmaps"], ["get", "secrets"], ["delete", "configmap/feedback"]] {
        let said = exec(&world, "pod", "agent", &["/kubectl", refused[0], refused[1]]).await;
        let why = said.expect_err("it was allowed");
        assert!(why.contains("Forbidden"), "{refused:?}: {why}");
    }
    end(world).await;
}

#[tokio::test]
#[ignore = "needs a cluster with a node"]
async fn each_container_holds_what_is_listed_for_it_and_nothing_else() {
    let world = world().await;
    world.identity("bot", json!({})).await;
    world.accepts(&agent(json!({}))).await;
    let pod = runs(&world, "pod").await;

    let spec = pod.spec.as_ref().unwrap();
    assert_eq!(spec.automount_service_account_token, Some(false));
    let tool = spec.containers.iter().find(|container| container.name == "tool").unwrap();
    assert!(tool.volume_mounts.iter().flatten().next().is_none(), "{:?}", tool.volume_mounts);
    assert!(tool.env.iter().flatten().next().is_none(), "{:?}", tool.env);
    assert!(tool.env_from.iter().flatten().next().is_none(), "{:?}", tool.env_from);

    holdings(&world, "pod", "tool").await.are_none();
    // No in-cluster configuration, so kubectl falls back to what is nowhere.
    let why = exec(&world, "pod", "tool", &["/kubectl", "get", "configmap", "feedback"]).await.unwrap_err();
    assert!(why.contains("localhost:8080"), "{why}");

    holdings(&world, "pod", "agent").await.are_those_of_the_agent();
    assert_eq!(exec(&world, "pod", "agent", &["/probe", "show", KEY_FILE]).await.unwrap(), CRM_KEY);
    end(world).await;
}

#[tokio::test]
#[ignore = "needs a cluster with a node"]
async fn init_containers_and_sidecars_hold_what_is_listed_for_them() {
    let world = world().await;
    let key = json!([{"secret": "crm", "key": "key", "env": "CRM_KEY", "path": "crm/key"}]);
    let containers = json!([
        {"name": "setup", "secretKeys": key},
        {"name": "proxy", "secretKeys": key, "kubernetesAccess": "Token"},
    ]);
    world.identity("bot", json!({"containers": containers})).await;
    let confined = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let variable = format!("CRM_KEY={CRM_KEY}");
    let file = format!("{KEY_FILE}={CRM_KEY}");
    world
        .accepts(&agent(json!({"spec": {"initContainers": [
            {"name": "setup", "image": "perpro-tests", "imagePullPolicy": "IfNotPresent",
             "args": ["check", variable, file], "securityContext": confined},
            {"name": "proxy", "image": "perpro-tests", "imagePullPolicy": "IfNotPresent",
             "restartPolicy": "Always", "securityContext": confined},
        ]}})))
        .await;
    // It would not run if the init container had failed.
    runs(&world, "pod").await;
    assert_eq!(holdings(&world, "pod", "proxy").await.env["CRM_KEY"], CRM_KEY);
    let said =
        exec(&world, "pod", "proxy", &["/kubectl", "get", "configmap", "feedback", "-o", "name"]).await;
    assert_eq!(said.unwrap().trim(), "configmap/feedback");
    holdings(&world, "pod", "tool").await.are_none();
    end(world).await;
}
