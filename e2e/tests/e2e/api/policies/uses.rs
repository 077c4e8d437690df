//! Who may run pods as an identity.

use super::RBAC;
use crate::api::actors::{Actor, Guard};
use crate::common::{World, agent, pod, when};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use perpro_core::names;
use serde_json::{Value, json};

const USE: Guard = Guard::Policy("AID084");

/// The eight kinds that hold a pod or its template, and one that runs identity `bot`.
pub fn workloads() -> Vec<(&'static str, &'static str, Value)> {
    let labels = json!({"app": "x", names::IDENTITY_LABEL: "bot"});
    let spec = |restart: &str| {
        let mut spec = json!(pod(json!({})))["spec"].clone();
        spec["restartPolicy"] = json!(restart);
        spec
    };
    let template = |restart: &str| json!({"metadata": {"labels": labels}, "spec": spec(restart)});
    let selected =
        json!({"replicas": 0, "selector": {"matchLabels": {"app": "x"}}, "template": template("Always")});
    let job = json!({"suspend": true, "template": template("Never")});
    let mut set = selected.clone();
    set.as_object_mut().unwrap().remove("replicas");
    let mut stateful = selected.clone();
    stateful["serviceName"] = json!("x");
    vec![
        ("apps/v1", "deployments", json!({"spec": selected})),
        ("apps/v1", "replicasets", json!({"spec": selected})),
        ("apps/v1", "statefulsets", json!({"spec": stateful})),
        ("apps/v1", "daemonsets", json!({"spec": set})),
        ("batch/v1", "jobs", json!({"spec": job})),
        (
            "batch/v1",
            "cronjobs",
            json!({"spec": {"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": {"spec": job}}}),
        ),
        (
            "v1",
            "replicationcontrollers",
            json!({"spec": {"replicas": 0, "selector": {"app": "x"}, "template": template("Always")}}),
        ),
    ]
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn whoever_writes_what_runs_as_an_identity_needs_its_use() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    world.identity("other", json!({"secrets": null, "containers": null})).await;
    world.may_use("bot", "jane@example.com").await;
    let jane = Actor::person(&world, "jane", "edit").await;
    let eve = Actor::person(&world, "eve", "edit").await;
    let ungoverned = World::new("").await;
    let mallory = Actor::person(&ungoverned, "mallory", "edit").await;
    for (group, resource, mut object) in workloads() {
        object["metadata"] = json!({"name": "x"});
        let path = world.path(group, resource);
        eve.may_not(USE, "POST", &path, object.clone()).await;
        mallory.may_not(USE, "POST", &ungoverned.path(group, resource), object.clone()).await;
        jane.may("POST", &path, object.clone()).await;
        jane.sends("POST", &path, object.clone()).await.unwrap();

        let path = format!("{path}/x");
        let template =
            if resource == "cronjobs" { "/spec/jobTemplate/spec/template" } else { "/spec/template" };
        let other = json!([{"op": "replace", "path": format!("{template}/metadata/labels/perpro.dev~1identity"), "value": "other"}]);
        let image = json!([{"op": "replace", "path": format!("{template}/spec/containers/0/image"), "value": "evil"}]);
        let restart = json!([{"op": "add", "path": format!("{template}/metadata/annotations"), "value": {"kubectl.kubernetes.io/restartedAt": "now"}}]);
        let strip =
            json!([{"op": "remove", "path": format!("{template}/metadata/labels/perpro.dev~1identity")}]);
        // A Job's template is fixed but for a few fields, among them its labels while it is suspended.
        let changes = if resource == "jobs" {
            vec![other.clone(), restart.clone()]
        } else {
            vec![other.clone(), image.clone(), restart.clone()]
        };
        for change in changes {
            eve.may_not(USE, "PATCH", &path, change).await;
        }
        jane.may_not(USE, "PATCH", &path, other).await;
        jane.may("PATCH", &path, restart).await;
        if resource != "jobs" {
            jane.may("PATCH", &path, image).await;
            eve.may("PATCH", &path, strip).await;
        }
        eve.may(
            "PATCH",
            &path,
            json!({"metadata": {"annotations": {"note": "x"}, "finalizers": ["example.com/x"]}}),
        )
        .await;
        if ["deployments", "replicasets", "statefulsets"].contains(&resource) {
            eve.may("PATCH", &format!("{path}/scale"), json!({"spec": {"replicas": 3}})).await;
        }
        if object["spec"]["replicas"].is_number() {
            eve.may("PATCH", &path, json!({"spec": {"replicas": 2}})).await;
        }
        eve.may("DELETE", &path, json!(null)).await;
    }
    let pods = world.path("v1", "pods");
    eve.may_not(USE, "POST", &pods, json!(agent(json!({})))).await;
    jane.may("POST", &pods, json!(agent(json!({})))).await;
    let other = agent(json!({"metadata": {"labels": {names::IDENTITY_LABEL: "other"}}}));
    jane.may_not(USE, "POST", &pods, json!(other)).await;
    mallory.may("POST", &ungoverned.path("v1", "pods"), json!(pod(json!({})))).await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn who_may_not_use_an_identity_has_no_account_made_for_it() {
    for mode in ["all", "agents"] {
        let world = World::new(mode).await;
        world.identity("bot", json!({})).await;
        let eve = Actor::person(&world, "eve", "edit").await;
        let refused =
            eve.sends("POST", &world.path("v1", "pods"), json!(agent(json!({})))).await.unwrap_err();
        assert!(refused.contains("AID084"), "{mode}: {refused}");
        assert!(world.instance_accounts().await.is_empty(), "{mode}");
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn kubernetes_makes_the_pods_of_a_template_that_was_checked_and_anybody_may_scale_it() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    world.may_use("bot", "jane@example.com").await;
    let jane = Actor::person(&world, "jane", "edit").await;
    let eve = Actor::person(&world, "eve", "edit").await;
    let (group, resource, mut object) = workloads().remove(0);
    object["metadata"] = json!({"name": "web"});
    object["spec"]["replicas"] = json!(1);
    jane.sends("POST", &world.path(group, resource), object).await.unwrap();
    let scale = json!({"spec": {"replicas": 2}});
    eve.sends("PATCH", &world.path(group, "deployments/web/scale"), scale).await.unwrap();
    let deployments = Api::<Deployment>::namespaced(world.client.clone(), &world.namespace);
    world
        .eventually("both pods should be released", async || {
            let pods = world.pods().list(&ListParams::default()).await.unwrap().items;
            let released = pods.iter().filter(|p| !crate::common::gated(p)).count();
            let status = deployments.get("web").await.unwrap().status;
            when(
                released == 2,
                &format!("{released} of {}: {:?}", pods.len(), status.and_then(|s| s.conditions)),
            )
        })
        .await;
}

/// Asked by an annotation, which is none of the template, the controller of Deployments writes the template.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn nobody_has_kubernetes_roll_back_what_runs_as_an_identity() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    world.may_use("bot", "jane@example.com").await;
    let jane = Actor::person(&world, "jane", "edit").await;
    let eve = Actor::person(&world, "eve", "edit").await;
    let deployments = Api::<Deployment>::namespaced(world.client.clone(), &world.namespace);
    let template = |d: &Deployment| json!(d.spec.template);
    let (group, resource, object) = workloads().remove(0);
    let path = world.path(group, resource);
    for (name, labels) in
        [("agent", json!({"app": "x", names::IDENTITY_LABEL: "bot"})), ("plain", json!({"app": "x"}))]
    {
        let mut object = object.clone();
        object["metadata"] = json!({"name": name});
        object["spec"]["template"]["metadata"]["labels"] = labels;
        jane.sends("POST", &path, object).await.unwrap();
        let revision = async |number: &str| {
            world
                .eventually("the template should have a ReplicaSet", async || {
                    let found = deployments.get(name).await.unwrap();
                    let is = found.annotations().get("deployment.kubernetes.io/revision");
                    when(is.is_some_and(|is| is == number), &format!("{is:?}"))
                })
                .await;
        };
        revision("1").await;
        let second = json!({"spec": {"template": {"metadata": {"annotations": {"second": "x"}}}}});
        jane.sends("PATCH", &format!("{path}/{name}"), second).await.unwrap();
        revision("2").await;
    }
    let newest = template(&deployments.get("agent").await.unwrap());
    let back = json!({"metadata": {"annotations": {"deprecated.deployment.rollback.to": "1"}}});
    for name in ["agent", "plain"] {
        eve.sends("PATCH", &format!("{path}/{name}"), back.clone()).await.unwrap();
    }
    world
        .eventually("the plain one should be rolled back", async || {
            let plain = template(&deployments.get("plain").await.unwrap());
            when(!plain.to_string().contains("second"), &plain.to_string())
        })
        .await;
    assert_eq!(template(&deployments.get("agent").await.unwrap()), newest);
}

impl World {
    /// Lets a person run pods as an identity.
    pub async fn may_use(&self, identity: &str, user: &str) {
        let role = json!({"apiVersion": RBAC, "kind": "Role", "metadata": {"name": format!("use-{identity}")},
            "rules": [{"apiGroups": [names::GROUP], "resources": ["agentidentities"], "resourceNames": [identity], "verbs": ["use"]}]});
        self.roles().create(&Default::default(), &serde_json::from_value(role).unwrap()).await.unwrap();
        self.bind(user, "Role", &format!("use-{identity}")).await;
    }
}
