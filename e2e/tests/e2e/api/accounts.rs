//! Templates that name an account of their own: perpro's takes its place, and the pull Secrets stay.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use perpro_core::api::AgentPolicy;
use perpro_core::names;
use perpro_e2e::wait;
use serde_json::{Value, json};

use crate::common::{World, account_of, agent, gated};

/// A namespace with identity `bot`, and accounts `app` and `default` that may pull images.
async fn world() -> World {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    for (account, secret) in [("app", "app-registry"), ("default", "registry")] {
        // The controller manager makes `default` too.
        let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account},
            "imagePullSecrets": [{"name": secret}]});
        let params = PatchParams::apply("test").force();
        world.accounts().patch(account, &params, &Patch::Apply(object)).await.unwrap();
    }
    world
        .eventually("the API server should know the accounts' pull Secrets", async || {
            let shown = world.accepts_dry(&agent(json!({}))).await;
            let asked = world.accepts_dry(&agent(json!({"spec": {"serviceAccountName": "app"}}))).await;
            match (pull_secrets(&shown).len(), pull_secrets(&asked).len()) {
                (1, 1) => wait::ready(()),
                other => wait::not_yet(format!("{other:?}")),
            }
        })
        .await;
    world
}

fn pull_secrets(pod: &Pod) -> BTreeSet<String> {
    let secrets = pod.spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
    secrets.map(|secret| secret.name.clone()).collect()
}

/// The pod as it was stored, and the warnings that kubectl would show.
async fn warned(world: &World, pod: &Pod) -> (Pod, Vec<String>) {
    let request = http::Request::post(format!("/api/v1/namespaces/{}/pods", world.namespace))
        .header("content-type", "application/json")
        .body(kube::client::Body::from(serde_json::to_vec(pod).unwrap()))
        .unwrap();
    let answer = world.client.send(request).await.unwrap();
    let warnings =
        answer.headers().get_all("warning").iter().map(|w| w.to_str().unwrap().to_owned()).collect();
    let body = answer.into_body().collect_bytes().await.unwrap();
    (serde_json::from_slice(&body).unwrap(), warnings)
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_account_that_a_pod_names_is_replaced_with_a_warning_and_its_pull_secrets_stay() {
    let world = world().await;
    let own = json!({"imagePullSecrets": [{"name": "own"}]});
    let cases = [
        ("nothing", json!({}), "registry", false),
        ("default", json!({"serviceAccountName": "default"}), "registry", false),
        ("account", json!({"serviceAccountName": "app"}), "app-registry", true),
        ("old-name", json!({"serviceAccount": "app"}), "app-registry", true),
        ("both", json!({"serviceAccount": "default", "serviceAccountName": "app"}), "app-registry", true),
        ("own", own.clone(), "own", false),
        (
            "own-account",
            json!({"serviceAccountName": "app", "imagePullSecrets": own["imagePullSecrets"]}),
            "own",
            true,
        ),
    ];
    for (name, spec, secret, warns) in cases {
        let (pod, warnings) = warned(&world, &agent(json!({"metadata": {"name": name}, "spec": spec}))).await;
        assert!(names::is_account_of(&account_of(&pod), "bot"), "{name}: {pod:?}");
        assert_eq!(pod.spec.as_ref().unwrap().service_account, Some(account_of(&pod)), "{name}");
        assert_eq!(pull_secrets(&pod), BTreeSet::from([secret.to_owned()]), "{name}");
        let told = warnings.iter().any(|text| text.contains("AID061") && text.contains("app"));
        assert_eq!(told, warns, "{name}: {warnings:?}");
        assert_eq!(pull_secrets(&world.released(name).await), BTreeSet::from([secret.to_owned()]), "{name}");
    }
    let missing = agent(json!({"metadata": {"name": "missing"}, "spec": {"serviceAccountName": "nobody"}}));
    let error = world.pods().create(&PostParams::default(), &missing).await.map_err(crate::common::message);
    assert!(error.as_ref().is_err_and(|e| e.contains("\"nobody\" not found")), "{error:?}");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_pull_secrets_of_an_account_are_bounded_as_the_pods_own_are() {
    let world = world().await;
    let policies = Api::<AgentPolicy>::all(world.client.clone());
    let ceiling = Patch::Merge(json!({"spec": {"imagePullSecrets": ["registry"]}}));
    policies.patch(&world.namespace, &PatchParams::default(), &ceiling).await.unwrap();
    let asks = |account: &str| {
        agent(json!({"metadata": {"name": account}, "spec": {"serviceAccountName": account}}))
    };
    let refusal = world
        .eventually("the ceiling should count", async || {
            let params = PostParams { dry_run: true, ..PostParams::default() };
            match world.pods().create(&params, &asks("app")).await.map_err(crate::common::message) {
                Err(error) => wait::ready(error),
                Ok(_) => wait::not_yet("it is allowed"),
            }
        })
        .await;
    assert!(refusal.contains("AID015") && refusal.contains("app-registry"), "{refusal}");
    world.rejects(&asks("app"), "AID015").await;
    world.accepts(&asks("default")).await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn pods_of_a_deployment_that_names_an_account_run_under_their_own() {
    let world = world().await;
    let pod = serde_json::to_value(agent(
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"serviceAccountName": "app"}}),
    ));
    let pod: Value = pod.unwrap();
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": pod["metadata"]["labels"]}, "spec": pod["spec"]}}});
    let deployments = Api::<Deployment>::namespaced(world.client.clone(), &world.namespace);
    deployments.create(&PostParams::default(), &serde_json::from_value(deployment).unwrap()).await.unwrap();
    let pods = world
        .eventually("both pods should be released", async || {
            let pods = world.pods().list(&ListParams::default().labels("app=web")).await.unwrap().items;
            if pods.len() == 2 && !pods.iter().any(gated) {
                wait::ready(pods)
            } else {
                wait::not_yet(pods.len())
            }
        })
        .await;
    for pod in &pods {
        assert!(names::is_account_of(&account_of(pod), "bot"));
        assert_eq!(pull_secrets(pod), BTreeSet::from(["app-registry".to_owned()]));
    }
    let app: ServiceAccount = world.accounts().get("app").await.unwrap();
    assert!(
        !world.may(&app.metadata.name.unwrap(), "get", "configmaps").await,
        "the named account has nothing"
    );
}
