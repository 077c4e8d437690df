//! Pods: who comes up, who does not, and what they hold.

use crate::common::{World, account_of, agent, gated, pod, uid};
use futures::future::join_all;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::ResourceExt;
use kube::api::{Api, PostParams};
use perpro_core::names;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_legal_pod_runs_under_an_account_of_its_own_with_exactly_what_is_listed() {
    let world = World::new("all").await;
    let identity = world.identity("bot", json!({})).await;
    let created = world.accepts(&agent(json!({}))).await;
    let released = world.released("pod").await;
    let account = account_of(&released);

    assert!(names::is_account_of(&account, "bot"), "{account}");
    assert_eq!(account, account_of(&created));
    let stored = world.accounts().get(&account).await.unwrap();
    let annotation = |key: &str| stored.annotations().get(key).cloned().unwrap_or_default();
    assert_eq!(annotation(names::OWNER), "User:jane@example.com");
    assert_eq!(annotation(names::EXPIRES_AT), "2036-01-01T00:00:00Z");
    assert_eq!(annotation(names::JUSTIFICATION), "Reads feedback and answers it");
    assert_eq!(annotation(names::IDENTITY_UID), uid(&identity));
    assert_eq!(annotation(names::CLAIMED_BY_UID), uid(&released));
    assert_eq!(stored.owner_references()[0].uid, uid(&released));

    assert!(world.may(&account, "get", "configmaps").await);
    for (verb, resource) in [("list", "configmaps"), ("get", "secrets"), ("get", "pods"), ("create", "pods")]
    {
        assert!(!world.may(&account, verb, resource).await, "{verb} {resource}");
    }

    let spec = released.spec.unwrap();
    assert_eq!(spec.automount_service_account_token, Some(false));
    let volumes: Vec<_> = spec.volumes.iter().flatten().map(|v| v.name.as_str()).collect();
    assert_eq!(volumes, ["perpro-keys-agent", "perpro-token-agent"]);
    let projected = spec.volumes.iter().flatten().filter_map(|v| v.projected.as_ref());
    let sources = projected.flat_map(|p| p.sources.iter().flatten());
    let seconds: Vec<_> =
        sources.filter_map(|s| s.service_account_token.as_ref()?.expiration_seconds).collect();
    assert_eq!(seconds, [700], "the policy's kubernetesTokenSeconds");
    let tool = spec.containers.iter().find(|c| c.name == "tool").unwrap();
    assert!(
        tool.volume_mounts.iter().flatten().next().is_none() && tool.env.iter().flatten().next().is_none()
    );
    let status = world.condition("bot", "Ready", "True", "Ready").await.status.unwrap();
    assert_eq!(status.observed_generation, Some(1));
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pod_that_breaks_a_rule_is_refused_with_its_code_and_its_twin_passes() {
    let world = World::new("all").await;
    world.identity("bot", json!({"containers": [{"name": "agent", "images": ["perpro-tests"]}]})).await;
    let env = |value: Value| json!({"spec": {"containers": [{"name": "tool", "env": [value]}]}});
    let volume = |source: Value| {
        let mut volume = json!({"name": "v"});
        crate::common::merge(&mut volume, source);
        json!({"spec": {"volumes": [volume], "containers": [{"name": "tool", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}})
    };
    let key = |name: &str, key: &str| json!({"name": "X", "valueFrom": {"secretKeyRef": {"name": name, "key": key}}});
    let cases = [
        ("AID001", json!({"metadata": {"labels": {names::IDENTITY_LABEL: ""}}})),
        ("AID002", json!({"metadata": {"labels": {names::IDENTITY_LABEL: "nobody"}}})),
        ("AID002", json!({"metadata": {"labels": {names::IDENTITY_LABEL: "../other"}}})),
        ("AID003", json!({"spec": {"nodeName": "node"}})),
        ("AID009", json!({"metadata": {"labels": {"perpro.dev/owner": "jane"}}})),
        ("AID009", json!({"metadata": {"annotations": {"perpro.dev/pod-uid": "0"}}})),
        ("AID011", volume(json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}))),
        (
            "AID011",
            volume(
                json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": "vault"}}]}}),
            ),
        ),
        (
            "AID012",
            json!({"spec": {"containers": [{"name": "agent", "envFrom": [{"secretRef": {"name": "crm"}}]}]}}),
        ),
        ("AID012", volume(json!({"secret": {"secretName": "crm"}}))),
        ("AID012", volume(json!({"projected": {"sources": [{"secret": {"name": "crm"}}]}}))),
        ("AID016", json!({"spec": {"imagePullSecrets": [{"name": "crm"}]}})),
        ("AID017", json!({"metadata": {"annotations": {names::MIRROR_POD: "x"}}})),
        ("AID020", json!({"spec": {"containers": [{"name": "agent", "image": "ghcr.io/other/bot:1"}]}})),
        ("AID021", env(key("crm", "key"))),
        ("AID021", env(key("llm", "key"))),
        ("AID021", volume(json!({"secret": {"secretName": "crm", "items": [{"key": "key", "path": "k"}]}}))),
        (
            "AID024",
            json!({"spec": {"containers": [{"name": "agent", "env": [{"name": "CRM_KEY", "value": "mine"}]}]}}),
        ),
        (
            "AID025",
            json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}],
            "containers": [{"name": "agent", "volumeMounts": [{"name": "v", "mountPath": names::TOKEN_DIR}]}]}}),
        ),
    ];
    for (code, change) in cases {
        let label = change["metadata"]["labels"][names::IDENTITY_LABEL].as_str() == Some("");
        let pod = if label { pod(json!({})) } else { agent(change) };
        world.rejects(&pod, code).await;
    }
    // The nearest legal things.
    let legal = [
        json!({"metadata": {"labels": {names::AGENT_LABEL: "true"}}}),
        json!({"spec": {"containers": [{"name": "tool", "envFrom": [{"configMapRef": {"name": "c"}}]}]}}),
        json!({"spec": {"containers": [{"name": "agent", "env": [key("crm", "key")]}]}}),
        json!({"spec": {"imagePullSecrets": [{"name": "registry"}]}}),
        json!({"spec": {"containers": [{"name": "agent", "image": "perpro-tests:2"}]}}),
        json!({"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}}}}}),
        volume(json!({"configMap": {"name": "c"}})),
        volume(json!({"projected": {"sources": [{"configMap": {"name": "c"}}]}})),
    ];
    for (i, change) in legal.into_iter().enumerate() {
        let mut pod = agent(change);
        pod.metadata.name = Some(format!("legal-{i}"));
        world.accepts(&pod).await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pod_that_reaches_its_node_or_its_neighbour_is_refused() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    // Pod Security would refuse some of these first.
    let patch = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}});
    let namespaces = Api::<k8s_openapi::api::core::v1::Namespace>::all(world.client.clone());
    namespaces.patch(&world.namespace, &Default::default(), &kube::api::Patch::Merge(patch)).await.unwrap();
    let security =
        |value: Value| json!({"spec": {"containers": [{"name": "tool", "securityContext": value}]}});
    let volume = |kind: &str, source: Value| json!({"spec": {"volumes": [{"name": "v", kind: source}]}});
    let cases = [
        ("AID004", json!({"spec": {"hostPID": true}})),
        ("AID004", json!({"spec": {"hostIPC": true}})),
        ("AID004", json!({"spec": {"hostNetwork": true}})),
        ("AID004", json!({"spec": {"shareProcessNamespace": true}})),
        ("AID004", security(json!({"privileged": true, "allowPrivilegeEscalation": true}))),
        ("AID004", security(json!({"capabilities": {"add": ["SYS_PTRACE"]}}))),
        ("AID004", volume("hostPath", json!({"path": "/"}))),
        ("AID013", volume("csi", json!({"driver": "secrets-store.csi.k8s.io"}))),
        ("AID013", volume("nfs", json!({"server": "s", "path": "/"}))),
        ("AID013", volume("azureFile", json!({"secretName": "crm", "shareName": "s"}))),
    ];
    for (code, change) in cases {
        world.rejects(&agent(change), code).await;
    }
    world.accepts(&agent(volume("emptyDir", json!({})))).await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn all_that_is_wrong_is_told_at_once() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    let wrong = agent(
        json!({"spec": {"nodeName": "n", "containers": [{"name": "agent", "envFrom": [{"secretRef": {"name": "crm"}}]}]}}),
    );
    let error = world.rejects(&wrong, "AID003").await;
    assert!(
        error.ends_with("(1 more: AID012 spec.containers[0].envFrom[0]) (kubectl perpro explain AID003)"),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_identity_label_where_nobody_opted_in_is_refused_by_policy() {
    let world = World::new("").await;
    world.identity("bot", json!({})).await;
    let error = world.rejects(&agent(json!({})), "AID010").await;
    assert!(error.contains("perpro.dev/enforce=all"), "{error}");
    world.accepts(&pod(json!({}))).await;
    let condition = world.condition("bot", "Ready", "False", "NamespaceNotGoverned").await;
    assert_eq!(condition.status.unwrap().instances, Some(0));

    let system = Api::<Pod>::namespaced(world.client.clone(), "kube-system");
    let error = system.create(&PostParams::default(), &agent(json!({}))).await.unwrap_err();
    assert!(crate::common::message(error).contains("AID010"));
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn where_only_agents_are_governed_plain_pods_are_left_alone() {
    let world = World::new("agents").await;
    world.identity("bot", json!({})).await;
    let plain = world.accepts(&pod(json!({"metadata": {"name": "plain"}}))).await;
    assert_eq!(account_of(&plain), "default");
    assert!(!gated(&plain));
    world.rejects(&pod(json!({"metadata": {"labels": {names::AGENT_LABEL: "true"}}})), "AID001").await;
    world.released_agent().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_dry_run_decides_and_creates_nothing() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    let shown = world.accepts_dry(&agent(json!({}))).await;
    assert_eq!(account_of(&shown), "default");
    assert!(world.instance_accounts().await.is_empty());
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let bad = agent(
        json!({"spec": {"containers": [{"name": "agent", "envFrom": [{"secretRef": {"name": "crm"}}]}]}}),
    );
    let error = world.pods().create(&params, &bad).await.unwrap_err();
    assert!(crate::common::message(error).contains("AID012"));
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn forged_stamps_and_account_names_are_overwritten() {
    let world = World::new("all").await;
    let identity = world.identity("bot", json!({})).await;
    let account = ServiceAccount {
        metadata: kube::api::ObjectMeta { name: Some("rich".into()), ..Default::default() },
        ..ServiceAccount::default()
    };
    world.accounts().create(&PostParams::default(), &account).await.unwrap();
    let forged = agent(json!({
        "metadata": {"annotations": {names::IDENTITY_UID: "other", names::IDENTITY_GENERATION: "99"}},
        "spec": {"serviceAccountName": "rich", "automountServiceAccountToken": true, "schedulingGates": [{"name": names::GATE}]}
    }));
    let stored = world.accepts(&forged).await;
    assert!(names::is_account_of(&account_of(&stored), "bot"));
    assert_eq!(stored.annotations()[names::IDENTITY_UID], uid(&identity));
    assert_eq!(stored.annotations()[names::IDENTITY_GENERATION], "1");
    world.released("pod").await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn pods_created_at_once_never_share_an_account() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    let names: Vec<_> = (0..20).map(|i| format!("pod-{i}")).collect();
    let pods: Vec<_> = names.iter().map(|n| agent(json!({"metadata": {"name": n}}))).collect();
    join_all(pods.iter().map(|p| world.accepts(p))).await;
    let released = join_all(names.iter().map(|n| world.released(n))).await;
    let accounts: BTreeSet<_> = released.iter().map(account_of).collect();
    assert_eq!(accounts.len(), 20);
    assert_eq!(world.instance_accounts().await.len(), 20);
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn no_more_accounts_than_the_policy_allows() {
    let world = World::new("all").await;
    let policies = Api::<perpro_core::api::AgentPolicy>::all(world.client.clone());
    let patch = kube::api::Patch::Merge(json!({"spec": {"maxInstances": 0}}));
    policies.patch(&world.namespace, &Default::default(), &patch).await.unwrap();
    world.identity("bot", json!({})).await;
    world
        .eventually("the webhook should see the limit", async || {
            let params = PostParams { dry_run: true, ..PostParams::default() };
            match world.pods().create(&params, &agent(json!({}))).await {
                Err(_) => perpro_e2e::wait::ready(()),
                Ok(_) => perpro_e2e::wait::not_yet("it is allowed"),
            }
        })
        .await;
    world.rejects(&agent(json!({})), "AID008").await;

    // Accounts of others count for nothing, whatever identity they name.
    let one = kube::api::Patch::Merge(json!({"spec": {"maxInstances": 1}}));
    policies.patch(&world.namespace, &Default::default(), &one).await.unwrap();
    let theirs = json!({"metadata": {"name": "theirs", "labels": {names::IDENTITY_LABEL: "bot"}}});
    world.accounts().create(&Default::default(), &serde_json::from_value(theirs).unwrap()).await.unwrap();
    world
        .eventually("one agent should be allowed", async || {
            let params = PostParams { dry_run: true, ..PostParams::default() };
            let refused = world.pods().create(&params, &agent(json!({}))).await.err();
            crate::common::when(refused.is_none(), &format!("{refused:?}"))
        })
        .await;
}
