//! Pods without identity are kept off agents' Secrets and accounts. In namespaces with `agents` no webhook of ours is
//! asked about them: what refuses is the API server, whether perpro runs or not.

use super::running;
use crate::api::actors::{Actor, Guard};
use crate::common::{World, account_of, agent, merge, message, pod, uid, when};
use futures::future::join;
use kube::api::{DeleteParams, PostParams};
use perpro_core::decide::named::named_secrets;
use perpro_core::decide::pod::AgentPod;
use perpro_core::names;
use perpro_e2e::wait;
use serde_json::{Value, json};

const SECRETS: Guard = Guard::Policy("AID096");
const ACCOUNTS: Guard = Guard::Policy("AID097");
const RESERVED: Guard = Guard::Policy("AID083");

impl World {
    /// What the GovernedNamespace says, if there is one.
    async fn governed(&self) -> Option<Value> {
        let path = self.path("perpro.dev/v1alpha1", "governednamespaces/perpro");
        Actor::admin(self).sends("GET", &path, json!(null)).await.ok()
    }

    /// Waits until a Secret is claimed by this identity, or by nobody.
    async fn claimed(&self, secret: &str, by: Option<&str>) -> Value {
        self.eventually(&format!("{secret} should be claimed by {by:?}"), async || {
            let governed = self.governed().await.unwrap_or_default();
            let owner = governed["spec"]["claimedSecrets"][secret].as_str();
            if owner != by {
                return wait::not_yet(governed.to_string());
            }
            if by.is_some() {
                // The API server's policy learns of it by a watch.
                let volume = json!({"name": "v", "secret": {"secretName": secret}});
                let asks = plain("asks", json!({"volumes": [volume]}));
                if Actor::admin(self).asks("POST", &self.path("v1", "pods"), asks).await.is_ok() {
                    return wait::not_yet("the policy does not know yet");
                }
            }
            wait::ready(governed)
        })
        .await
    }
}

/// A pod without identity, with one change of its spec.
fn plain(name: &str, spec: Value) -> Value {
    json!(pod(json!({"metadata": {"name": name}, "spec": spec})))
}

/// One change of a spec for each field in which a pod names a Secret.
fn doors(secret: &str) -> Vec<Value> {
    let reference = json!({"name": secret});
    let env = json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": secret, "key": "k"}}}]);
    let from = json!([{"configMapRef": {"name": "c"}}, {"secretRef": reference}]);
    let security = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let init = |field: &str, value: &Value| {
        let mut container = json!({"name": "init", "image": "perpro-tests", "securityContext": security});
        container[field] = value.clone();
        json!({ "initContainers": [container] })
    };
    let volumes = [
        json!({"secret": {"secretName": secret}}),
        json!({"secret": {"secretName": secret, "items": [{"key": "k", "path": "p"}]}}),
        json!({"projected": {"sources": [{"configMap": {"name": "c"}}, {"secret": reference}]}}),
        json!({"azureFile": {"secretName": secret, "shareName": "x"}}),
        json!({"cephfs": {"monitors": ["m"], "secretRef": reference}}),
        json!({"cinder": {"volumeID": "v", "secretRef": reference}}),
        json!({"csi": {"driver": "d.example.com", "nodePublishSecretRef": reference}}),
        json!({"flexVolume": {"driver": "a/d", "secretRef": reference}}),
        json!({"iscsi": {"iqn": "iqn.2001-04.com.example:d", "lun": 0, "targetPortal": "1.2.3.4", "secretRef": reference}}),
        json!({"rbd": {"image": "i", "monitors": ["m"], "secretRef": reference}}),
        json!({"scaleIO": {"gateway": "g", "system": "s", "volumeName": "v", "secretRef": reference}}),
        json!({"storageos": {"volumeName": "v", "secretRef": reference}}),
    ];
    let volumes = volumes.into_iter().map(|mut volume| {
        volume["name"] = json!("v");
        json!({"volumes": [{"name": "other", "emptyDir": {}}, volume]})
    });
    [
        json!({"containers": [{"name": "tool", "env": env}]}),
        json!({"containers": [{"name": "tool", "envFrom": from}]}),
        init("env", &env),
        init("envFrom", &from),
        json!({"imagePullSecrets": [{"name": "pull"}, reference]}),
    ]
    .into_iter()
    .chain(volumes)
    .collect()
}

/// A world where plain pods may run, with any volume, and where identity `bot` has claimed Secret `crm`.
async fn beside_agents() -> World {
    let world = World::new("agents").await;
    let relaxed = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}});
    let path = format!("/api/v1/namespaces/{}", world.namespace);
    Actor::admin(&world).sends("PATCH", &path, relaxed).await.unwrap();
    world.identity("bot", json!({})).await;
    world.claimed("crm", Some("bot")).await;
    world
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pod_without_identity_is_kept_off_an_agents_secret_in_every_field() {
    let world = beside_agents().await;
    let path = world.path("v1", "pods");
    for actor in [Actor::admin(&world), Actor::person(&world, "eve", "edit").await] {
        for (mine, theirs) in doors("mine").into_iter().zip(doors("crm")) {
            let pod = plain("p", theirs);
            // The controller sees the same.
            let seen = named_secrets(&AgentPod::parse(&pod.to_string()).unwrap());
            assert!(seen.contains("crm"), "{pod}");
            actor.may_not(SECRETS, "POST", &path, pod).await;
            actor.may("POST", &path, plain("p", mine)).await;
        }
    }
    let error =
        Actor::admin(&world).asks("POST", &path, plain("p", doors("crm").remove(5))).await.unwrap_err();
    let said =
        "AID096 spec.volumes: use another Secret than \"crm\", or run this pod under AgentIdentity \"bot\"";
    assert!(error.contains(said), "{error}");
    // The agent itself.
    world.released_agent().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_debug_container_of_a_pod_without_identity_is_kept_off_an_agents_secret() {
    let world = beside_agents().await;
    world.accepts(&serde_json::from_value(plain("web", json!({}))).unwrap()).await;
    let path = world.path("v1", "pods/web/ephemeralcontainers");
    let debug = |secret: &str| {
        json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "perpro-tests",
            "envFrom": [{"secretRef": {"name": secret}}]}]}})
    };
    let admin = Actor::admin(&world);
    admin.may_not(SECRETS, "PATCH", &path, debug("crm")).await;
    admin.may("PATCH", &path, debug("mine")).await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_secret_that_pods_without_identity_name_is_claimed_when_the_last_of_them_is_gone() {
    let world = World::new("agents").await;
    let volume = json!({"volumes": [{"name": "v", "secret": {"secretName": "crm"}}]});
    for name in ["old-1", "old-2"] {
        world.accepts(&serde_json::from_value(plain(name, volume.clone())).unwrap()).await;
    }
    world.identity("bot", json!({})).await;
    let identity = world.condition("bot", "SecretsExclusive", "False", "SecretInUse").await;
    let told = identity.status.unwrap().conditions;
    assert!(told.iter().any(|c| c.message.contains("\"crm\": old-1, old-2;")), "{told:?}");
    world.condition("bot", "Ready", "False", "SecretInUse").await;
    let governed = world.claimed("crm", None).await;
    assert_eq!(governed["status"]["secretsInUse"]["crm"], "old-1, old-2");
    // What ran before goes on, and so do its like; a workload that becomes an agent has both for a while.
    let path = world.path("v1", "pods");
    let admin = Actor::admin(&world);
    admin.may("POST", &path, plain("old-3", volume.clone())).await;
    world.released_agent().await;

    let now = DeleteParams::default().grace_period(0);
    world.pods().delete("old-1", &now).await.unwrap();
    // One that has finished names nothing any more.
    let finished = json!({"status": {"phase": "Succeeded"}});
    admin.sends("PATCH", &world.path("v1", "pods/old-2/status"), finished).await.unwrap();
    world.condition("bot", "SecretsExclusive", "True", "Exclusive").await;
    world.condition("bot", "Ready", "True", "Ready").await;
    world.claimed("crm", Some("bot")).await;
    admin.may_not(SECRETS, "POST", &path, plain("old-3", volume.clone())).await;

    // Whoever is no identity's any more is everybody's.
    world.identities().delete("bot", &DeleteParams::default()).await.unwrap();
    world.claimed("crm", None).await;
    admin.may("POST", &path, plain("old-3", volume)).await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn of_two_identities_that_are_created_at_once_one_has_the_secret_and_everybody_agrees_which() {
    let world = World::new("agents").await;
    let second = world.as_user("system:admin", &["system:masters"]).await;
    let spec = crate::common::usual_spec();
    let (a, b) =
        join(world.apply_as(&world.client, "a", spec.clone()), world.apply_as(&second, "b", spec.clone()))
            .await;
    let [a, b] = [a.unwrap(), b.unwrap()];
    let age =
        |i: &perpro_core::api::AgentIdentity| (i.metadata.creation_timestamp.clone().unwrap().0, uid(i));
    let (owner, other) = if age(&a) < age(&b) { ("a", "b") } else { ("b", "a") };
    world.claimed("crm", Some(owner)).await;
    world.condition(other, "SecretsExclusive", "False", "SecretShared").await;
    world.condition(owner, "SecretsExclusive", "True", "Exclusive").await;
    let of = |identity: &str| {
        agent(json!({"metadata": {"name": identity, "labels": {names::IDENTITY_LABEL: identity}}}))
    };
    world.rejects(&of(other), "AID022").await;
    world.accepts(&of(owner)).await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pod_without_identity_runs_under_no_agents_account_wherever_it_is() {
    let (world, account) = running().await;
    let actor = Actor::admin(&world);
    let label = json!({"metadata": {"labels": {names::ENFORCE_LABEL: "agents"}}});
    let namespace = format!("/api/v1/namespaces/{}", world.namespace);
    for mode in ["agents", ""] {
        let mut label = label.clone();
        if mode.is_empty() {
            label["metadata"]["labels"][names::ENFORCE_LABEL] = json!(null);
        }
        actor.sends("PATCH", &namespace, label).await.unwrap();
        let path = world.path("v1", "pods");
        world
            .eventually("pods without identity should be welcome", async || {
                let made = actor.asks("POST", &path, plain("p", json!({}))).await;
                when(made.is_ok(), &format!("{made:?}"))
            })
            .await;
        for field in ["serviceAccountName", "serviceAccount"] {
            actor.may_not(ACCOUNTS, "POST", &path, plain("p", json!({field: account}))).await;
            actor.may("POST", &path, plain("p", json!({field: "default"}))).await;
        }
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_a_governed_namespace_says_is_perpros_and_goes_with_the_label() {
    let world = beside_agents().await;
    world.released_agent().await;
    world
        .eventually("the numbers should be told", async || {
            let status = world.governed().await.unwrap()["status"].clone();
            let expected = json!({"enforce": "agents", "identities": 1, "instances": 1, "gated": 0});
            when(status == expected, &status.to_string())
        })
        .await;
    let all = world.path("perpro.dev/v1alpha1", "governednamespaces");
    let path = format!("{all}/perpro");
    let named = |name: &str| {
        json!({"apiVersion": "perpro.dev/v1alpha1", "kind": "GovernedNamespace",
        "metadata": {"name": name}, "spec": {"claimedSecrets": {"mine": "bot"}}})
    };
    let admin = Actor::admin(&world);
    for (method, path, body) in [
        ("POST", &all, named("other")),
        ("PATCH", &path, json!({"spec": {"claimedSecrets": null}})),
        ("PATCH", &path, json!({"metadata": {"finalizers": ["example.com/hold"]}})),
        ("DELETE", &path, json!(null)),
        ("DELETE", &all, json!(null)),
    ] {
        admin.may_not(RESERVED, method, path, body).await;
    }
    let collector =
        Actor::impersonated(&world, "system:serviceaccount:kube-system:namespace-controller").await;
    collector.may("DELETE", &all, json!(null)).await;

    let eve = Actor::person(&world, "eve", "admin").await;
    eve.sends("GET", &path, json!(null)).await.unwrap();
    eve.may_not(Guard::Rbac, "DELETE", &path, json!(null)).await;

    let label = json!({"metadata": {"labels": {names::ENFORCE_LABEL: null}}});
    admin.sends("PATCH", &format!("/api/v1/namespaces/{}", world.namespace), label).await.unwrap();
    world
        .eventually("it should be gone", async || when(world.governed().await.is_none(), "it is there"))
        .await;
    let volume = json!({"volumes": [{"name": "v", "secret": {"secretName": "crm"}}]});
    admin.may("POST", &world.path("v1", "pods"), plain("p", volume)).await;
}

/// What Kubernetes does to pods and their workloads beside agents goes on.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn workloads_without_identity_go_on_beside_agents() {
    let world = beside_agents().await;
    let admin = Actor::admin(&world);
    let pod = plain(
        "web",
        json!({"containers": [{"name": "agent", "envFrom": [{"secretRef": {"name": "mine"}}]}]}),
    );
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": pod["spec"]});
    let deployment = json!({"metadata": {"name": "web"}, "spec": {"replicas": 1,
        "selector": {"matchLabels": {"app": "web"}}, "template": template}});
    admin.sends("POST", &world.path("apps/v1", "deployments"), deployment).await.unwrap();
    let mut once = template.clone();
    merge(&mut once, json!({"spec": {"restartPolicy": "Never"}}));
    let job = json!({"metadata": {"name": "once"}, "spec": {"template": once}});
    admin.sends("POST", &world.path("batch/v1", "jobs"), job).await.unwrap();
    let of = async |selector: &str| {
        let list = world.pods().list(&kube::api::ListParams::default().labels(selector)).await.unwrap();
        list.items
    };
    world
        .eventually("both should have their pods", async || {
            let (web, all) = (of("app=web,!batch.kubernetes.io/job-name").await, of("app=web").await);
            when(web.len() == 1 && all.len() == 2, &format!("{} of {}", web.len(), all.len()))
        })
        .await;
    // As an HPA does, and the kubelet.
    let scale = world.path("apps/v1", "deployments/web/scale");
    admin.sends("PATCH", &scale, json!({"spec": {"replicas": 2}})).await.unwrap();
    let running = json!({"status": {"phase": "Running"}});
    for pod in of("app=web").await {
        let path = world.path("v1", &format!("pods/{}/status", pod.metadata.name.unwrap()));
        admin.sends("PATCH", &path, running.clone()).await.unwrap();
    }
    world
        .eventually("there should be another", async || when(of("app=web").await.len() == 3, "there is not"))
        .await;
    admin.sends("DELETE", &world.path("apps/v1", "deployments/web"), json!(null)).await.unwrap();
    world
        .eventually("its pods should be collected", async || {
            let left = of("app=web,!batch.kubernetes.io/job-name").await;
            // Without nodes nobody ends a pod that is deleted.
            let left = left.iter().filter(|p| p.metadata.deletion_timestamp.is_none()).count();
            when(left == 0, "they are there")
        })
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_agents_own_pod_is_no_other_user_of_its_secret() {
    let world = beside_agents().await;
    let agents = world.accepts(&agent(json!({}))).await;
    assert!(account_of(&agents).starts_with("aid-"));
    world.released("pod").await;
    let other = json!({"metadata": {"name": "web", "labels": {"app": "web"}}});
    world.pods().create(&PostParams::default(), &pod(other)).await.map_err(message).unwrap();
    world.condition("bot", "SecretsExclusive", "True", "Exclusive").await;
    world.claimed("crm", Some("bot")).await;
}
