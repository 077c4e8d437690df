//! Sidecars that a service mesh injects, by a real webhook that is asked before perpro's, and again after it, or last.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use perpro_core::names;
use perpro_e2e::wait;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::common::later::{Answer, Later, Turn};
use crate::common::{World, account_of, agent, message};

/// Istio's own: which image the proxy has.
const PROXY_IMAGE: &str = "sidecar.istio.io/proxyImage";

/// What Istio's injector with the CNI plugin makes of a pod: a native sidecar, an init container, volumes. As Linkerd's,
/// it mounts the default token where it finds one. A second time it changes nothing.
fn inject(pod: &Value) -> Answer {
    let spec = &pod["spec"];
    let list = |of: &str| spec[of].as_array().cloned().unwrap_or_default();
    let (mut init, mut volumes) = (list("initContainers"), list("volumes"));
    if init.iter().any(|container| container["name"] == "istio-proxy") {
        return Answer::Allow;
    }
    let mut mounts = vec![
        json!({"name": "workload-socket", "mountPath": "/var/run/secrets/workload-spiffe-uds"}),
        json!({"name": "credential-socket", "mountPath": "/var/run/secrets/credential-uds"}),
        json!({"name": "workload-certs", "mountPath": "/var/run/secrets/workload-spiffe-credentials"}),
        json!({"name": "istiod-ca-cert", "mountPath": "/var/run/secrets/istio"}),
        json!({"name": "istio-data", "mountPath": "/var/lib/istio/data"}),
        json!({"name": "istio-envoy", "mountPath": "/etc/istio/proxy"}),
        json!({"name": "istio-token", "mountPath": "/var/run/secrets/tokens"}),
        json!({"name": "istio-podinfo", "mountPath": "/etc/istio/pod"}),
    ];
    let default_token = volumes.iter().find(|v| v["name"].as_str().unwrap().starts_with("kube-api-access-"));
    mounts.extend(
        default_token.map(|v| json!({"name": v["name"], "mountPath": names::TOKEN_DIR, "readOnly": true})),
    );
    let image =
        pod["metadata"]["annotations"][PROXY_IMAGE].as_str().unwrap_or("docker.io/istio/proxyv2:1.27.0");
    let security = json!({"allowPrivilegeEscalation": false, "privileged": false, "readOnlyRootFilesystem": true,
        "runAsGroup": 1337, "runAsNonRoot": true, "runAsUser": 1337, "capabilities": {"drop": ["ALL"]}});
    init.push(
        json!({"name": "istio-validation", "image": image, "args": ["istio-iptables", "--run-validation"],
        "securityContext": security}),
    );
    let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    init.push(
        json!({"name": "istio-proxy", "image": image, "args": ["proxy", "sidecar"], "restartPolicy": "Always",
        "securityContext": security, "volumeMounts": mounts, "env": [
            {"name": "POD_NAME", "valueFrom": field("metadata.name")},
            {"name": "SERVICE_ACCOUNT", "valueFrom": field("spec.serviceAccountName")},
            {"name": "CA_ADDR", "value": "istiod.istio-system.svc:15012"}]}),
    );
    let token = json!({"path": "istio-token", "expirationSeconds": 43200, "audience": "istio-ca"});
    let labels = json!([{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]);
    volumes.extend([
        json!({"name": "workload-socket"}),
        json!({"name": "credential-socket"}),
        json!({"name": "workload-certs"}),
        json!({"name": "istio-envoy", "emptyDir": {"medium": "Memory"}}),
        json!({"name": "istio-data", "emptyDir": {}}),
        json!({"name": "istio-podinfo", "downwardAPI": {"items": labels}}),
        json!({"name": "istio-token", "projected": {"sources": [{"serviceAccountToken": token}]}}),
        json!({"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}}),
    ]);
    Answer::Patch(json!([
        {"op": "add", "path": "/spec/initContainers", "value": init},
        {"op": "add", "path": "/spec/volumes", "value": volumes}
    ]))
}

fn agree(_: &Value) -> Answer {
    Answer::Allow
}

/// A pod whose proxy has this image.
fn pod(name: &str, image: &str) -> Pod {
    agent(json!({"metadata": {"name": name, "annotations": {PROXY_IMAGE: image}}}))
}

async fn create(world: &World, pod: &Pod, dry_run: bool) -> Result<Pod, String> {
    world.pods().create(&PostParams { dry_run, ..PostParams::default() }, pod).await.map_err(message)
}

/// Waits until the pod would be refused in these words.
async fn refused(world: &World, pod: &Pod, words: &[&str]) {
    world
        .eventually(&format!("it should be refused: {words:?}"), async || {
            match create(world, pod, true).await {
                Err(told) if words.iter().all(|w| told.contains(w)) => wait::ready(()),
                other => wait::not_yet(format!("{:?}", other.map(|_| ()))),
            }
        })
        .await;
    // And not only on a dry run.
    let told = create(world, pod, false).await.map(|_| ()).unwrap_err();
    assert!(words.iter().all(|w| told.contains(w)), "{told}");
}

/// The YAML of the page on injectors.
fn examples() -> Vec<Value> {
    let page = include_str!("../../../../docs/injectors.md");
    let blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(|yaml| Value::deserialize(serde_yaml::Deserializer::from_str(yaml)).unwrap()).collect()
}

/// The injectors that the page has for Istio.
fn for_istio() -> Value {
    let page = examples();
    let of_istio =
        page.iter().map(|policy| &policy["spec"]["injectors"]).find(|i| i[0]["name"] == "istio-proxy");
    of_istio.unwrap().clone()
}

/// Names of the containers that mount a volume.
fn mounting<'a>(pod: &'a Pod, volume: &str) -> Vec<&'a str> {
    let spec = pod.spec.as_ref().unwrap();
    let all = spec.init_containers.iter().flatten().chain(&spec.containers);
    let mounts = all.filter(|c| c.volume_mounts.iter().flatten().any(|m| m.name.starts_with(volume)));
    mounts.map(|c| c.name.as_str()).collect()
}

async fn a_sidecar_is_injected(turn: Turn) {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    let mesh = Later::start_in(&world, turn, inject, agree).await;
    let istio = "docker.io/istio/proxyv2:1.27.0";
    let unlisted = ["AID011", "container \"istio-proxy\"", "under injectors of each AgentPolicy"];
    refused(&world, &pod("meshed", istio), &unlisted).await;

    world
        .set_ceiling(
            json!({"permissions": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}],
        "injectors": for_istio()}),
        )
        .await;
    world
        .eventually("the policy should count", async || {
            match create(&world, &pod("meshed", istio), true).await {
                Ok(_) => wait::ready(()),
                Err(told) => wait::not_yet(told),
            }
        })
        .await;
    world.accepts(&pod("meshed", istio)).await;
    let stored = world.released("meshed").await;
    assert!(world.may(&account_of(&stored), "get", "configmaps").await, "{turn:?}: it is bound");
    assert_eq!(mounting(&stored, "istio-token"), ["istio-proxy"], "{turn:?}");
    assert_eq!(mounting(&stored, names::TOKEN_VOLUME), ["agent"], "{turn:?}");
    assert_eq!(mounting(&stored, "kube-api-access-"), Vec::<&str>::new(), "{turn:?}: the default token");

    // Whoever writes the pod says which image is injected.
    refused(&world, &pod("other", "evil.test/istio/proxyv2:1.27.0"), &["AID011", "gets nothing"]).await;
    let mut moved = for_istio();
    moved[0]["images"] = json!(["registry.example.com/istio/proxyv2:"]);
    world.set_ceiling(json!({"injectors": moved})).await;
    refused(&world, &pod("late", istio), &["AID011", "gets nothing"]).await;
    let running = world.pods().get("meshed").await.unwrap();
    assert!(running.metadata.deletion_timestamp.is_none(), "{turn:?}: what runs goes on");
    mesh.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_sidecar_that_is_injected_before_perpro_keeps_its_token_where_the_policy_lists_it() {
    a_sidecar_is_injected(Turn::Before).await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_sidecar_that_is_injected_after_perpro_keeps_its_token_where_the_policy_lists_it() {
    a_sidecar_is_injected(Turn::After).await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_policies_of_the_page_on_injectors_are_accepted() {
    let world = World::new("").await;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(names::GROUP, names::VERSION, "AgentPolicy"));
    let policies = Api::<DynamicObject>::all_with(world.client.clone(), &kind);
    let examples = examples();
    assert_eq!(examples.len(), 3, "Istio, Linkerd, an exception");
    for mut example in examples {
        // A page has one date, and exceptions end soon.
        if let Some(exception) = example["spec"].pointer_mut("/exceptions/0/expiresAt") {
            *exception = json!((jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24)).to_string());
        }
        let path = format!(
            "/apis/{}/{}/agentpolicies?dryRun=All&fieldValidation=Strict",
            names::GROUP,
            names::VERSION
        );
        let request = http::Request::post(path).header("content-type", "application/json");
        let request = request.body(serde_json::to_vec(&example).unwrap()).unwrap();
        let stored: DynamicObject = world.client.request(request).await.map_err(message).unwrap();
        assert!(policies.get_opt(&stored.name_any()).await.is_ok());
    }
}
