//! What containers hold, as they see it themselves.

use std::collections::BTreeSet;

use perpro_core::names;
use serde_json::json;

use crate::common::agent;
use crate::inside::{CRM_KEY, end, exec, holdings, runs, world};

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

    let held = holdings(&world, "pod", "tool").await;
    assert_eq!(held.own_files(), BTreeSet::new());
    assert!(!held.mounts.iter().any(|mount| mount.contains("secrets")), "{:?}", held.mounts);
    assert!(!held.env.values().any(|value| value.contains(CRM_KEY)));
    // No in-cluster configuration, so kubectl falls back to what is nowhere.
    let why = exec(&world, "pod", "tool", &["/kubectl", "get", "configmap", "feedback"]).await.unwrap_err();
    assert!(why.contains("localhost:8080"), "{why}");

    let held = holdings(&world, "pod", "agent").await;
    assert_eq!(held.env["CRM_KEY"], CRM_KEY);
    assert_eq!(exec(&world, "pod", "agent", &["/probe", "show", KEY_FILE]).await.unwrap(), CRM_KEY);
    let folders = ["/run/secrets/perpro.dev", names::TOKEN_DIR];
    let mounts: BTreeSet<_> =
        held.mounts.iter().map(String::as_str).filter(|m| m.contains("secrets")).collect();
    assert_eq!(mounts, BTreeSet::from(folders));
    // The kubelet's links into its own folders aside.
    let files: BTreeSet<_> = held.own_files().into_iter().filter(|file| !file.contains("/..")).collect();
    let token = |name: &str| format!("{}/{name}", names::TOKEN_DIR);
    let [authority, namespace, token] = ["ca.crt", "namespace", "token"].map(token);
    let listed = ["/run/secrets/perpro.dev/crm", &*authority, &*namespace, &*token];
    assert_eq!(files, BTreeSet::from(listed));
    assert!(
        !held.env.values().any(|value| value.contains("not for agents")),
        "keys that are not listed stay away"
    );
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
    assert_eq!(holdings(&world, "pod", "tool").await.own_files(), BTreeSet::new());
    end(world).await;
}
