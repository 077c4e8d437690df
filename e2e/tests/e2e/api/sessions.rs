//! Who gets into a running agent. There is no kubelet here, so whoever may get in learns that the pod has no node.

use super::actors::{Actor, Guard};
use crate::common::{World, agent, pod, when};
use perpro_core::names;
use serde_json::{Value, json};

const SESSIONS: Guard = Guard::Webhook("AID095");
/// How to run a command in a pod.
const EXEC: &str = "exec?command=sh&container=agent";

/// Ways to connect to a pod, as paths below the pods of a namespace.
fn doors(pod: &str) -> [String; 6] {
    [
        format!("{pod}/{EXEC}"),
        format!("{pod}/attach?container=agent&stdin=true"),
        format!("{pod}/portforward?ports=80"),
        format!("{pod}/proxy"),
        format!("https:{pod}:8443/proxy/path"),
        format!("{pod}:80/proxy/"),
    ]
}

/// A container that somebody adds to a pod, for Pod Security's eyes too.
fn added(change: Value) -> Value {
    let mut container = json!({"name": "debug", "image": "perpro-tests", "targetContainerName": "agent",
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}});
    container.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    json!({"spec": {"ephemeralContainers": [container]}})
}

impl World {
    /// A person with the role `edit`, who may also add containers to pods, in these groups.
    async fn editor(&self, name: &str, groups: &[&str]) -> Actor {
        let name = format!("{name}@example.com");
        self.bind(&name, "ClusterRole", "edit").await;
        let rules = json!([{"apiGroups": [""], "resources": ["pods/ephemeralcontainers"], "resourceNames": [],
            "verbs": ["update", "patch"]}, {"apiGroups": [""], "resources": ["pods"], "resourceNames": [], "verbs": ["get"]}]);
        self.grant(&name, rules).await;
        let groups = groups.iter().chain(&["system:authenticated"]).map(|&g| g.to_owned()).collect();
        Actor::in_groups(self, &name, groups).await
    }
}

/// Every guard lets them through: what is left is that the pod runs nowhere.
async fn gets_in(actor: &Actor, world: &World, pod: &str) {
    for door in doors(pod) {
        for method in ["GET", "POST"] {
            let path = world.path("v1", &format!("pods/{door}"));
            let error = actor.sends(method, &path, json!(null)).await.unwrap_err();
            let nowhere = ["does not have a host assigned", "address not allowed", "no IP"];
            assert!(nowhere.iter().any(|w| error.contains(w)), "{} {method} {path}: {error}", actor.name);
        }
    }
    actor.may("PATCH", &world.path("v1", &format!("pods/{pod}/ephemeralcontainers")), added(json!({}))).await;
}

async fn stays_out(actor: &Actor, world: &World, pod: &str) {
    for door in doors(pod) {
        for method in ["GET", "POST"] {
            let path = world.path("v1", &format!("pods/{door}"));
            actor.may_not_connect(SESSIONS, method, &path).await;
        }
    }
    let path = world.path("v1", &format!("pods/{pod}/ephemeralcontainers"));
    actor.may_not(SESSIONS, "PATCH", &path, added(json!({}))).await;
}

/// The API server's audit log says who it was, which agent, and as whom they got in.
async fn recorded(world: &World, webhook: &str, insider: &str) {
    let log = world.cluster.layout().logs().join("audit.log");
    let marks = [("identity", format!("{}/bot", world.namespace)), ("session", insider.to_owned())];
    let marks = marks.map(|(key, value)| format!("\"{webhook}.pods.perpro.dev/{key}\":\"{value}\""));
    world
        .eventually(&format!("{marks:?} should be in the audit log"), async || {
            let text = std::fs::read_to_string(&log).unwrap();
            when(text.lines().any(|line| marks.iter().all(|m| line.contains(m))), "no event has them")
        })
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_owner_of_an_agent_gets_into_it_and_who_breaks_the_glass_and_nobody_else() {
    for mode in ["all", "agents"] {
        let world = World::new(mode).await;
        world.identity("bot", json!({})).await;
        world
            .identity(
                "team",
                json!({"owner": {"kind": "Group", "name": "support"}, "secrets": null, "containers": null}),
            )
            .await;
        world.accepts(&agent(json!({}))).await;
        let theirs = json!({"metadata": {"name": "theirs", "labels": {names::IDENTITY_LABEL: "team"}}});
        world.accepts(&agent(theirs)).await;
        let jane = world.editor("jane", &["support-readers"]).await;
        let joe = world.editor("joe", &["support"]).await;
        let oncall = world.editor("olga", &["oncall"]).await;
        let clerk = Actor::person(&world, "clerk", "admin").await;
        gets_in(&jane, &world, "pod").await;
        stays_out(&jane, &world, "theirs").await;
        gets_in(&joe, &world, "theirs").await;
        stays_out(&joe, &world, "pod").await;
        let exec = world.path("v1", &format!("pods/pod/{EXEC}"));
        clerk.may_not_connect(SESSIONS, "POST", &exec).await;
        clerk.may("GET", &world.path("v1", "pods/pod"), json!(null)).await;

        stays_out(&oncall, &world, "pod").await;
        world.set_ceiling(json!({"breakGlassGroups": ["oncall"]})).await;
        gets_in(&oncall, &world, "pod").await;
        for (webhook, insider) in [("connect", "owner"), ("debug", "owner"), ("connect", "break-glass")] {
            recorded(&world, webhook, insider).await;
        }
        // Of these the webhook is never asked.
        gets_in(&Actor::admin(&world), &world, "theirs").await;
    }
}

/// Narrowing needs nothing, and neither does taking over what has nothing left: but its pods hold what they were given.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn whoever_becomes_the_owner_of_an_agent_gets_into_newer_pods_alone() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    world.accepts(&agent(json!({}))).await;
    let eve = world.editor("eve", &[]).await;
    let jane = world.editor("jane", &[]).await;
    gets_in(&jane, &world, "pod").await;
    world.patch_identity("bot", json!({"permissions": [], "secrets": [], "containers": []})).await;
    let owner = json!({"owner": {"kind": "User", "name": eve.name}});
    world.patch_identity("bot", owner).await;
    for person in [&eve, &jane] {
        stays_out(person, &world, "pod").await;
    }
    world.accepts(&agent(json!({"metadata": {"name": "newer"}}))).await;
    gets_in(&eve, &world, "newer").await;
    stays_out(&jane, &world, "newer").await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn other_pods_are_open_to_whoever_may_exec() {
    let governed = World::new("agents").await;
    let ungoverned = World::new("").await;
    for world in [&governed, &ungoverned] {
        world.accepts(&pod(json!({"metadata": {"name": "plain"}}))).await;
        let eve = world.editor("eve", &[]).await;
        gets_in(&eve, world, "plain").await;
        let absent = world.path("v1", &format!("pods/absent/{EXEC}"));
        let error = eve.sends("POST", &absent, json!(null)).await.unwrap_err();
        assert!(error.contains("not found"), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_container_that_its_owner_adds_to_an_agent_holds_nothing_of_its_own() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    let stored = world.accepts(&agent(json!({}))).await;
    let jane = world.editor("jane", &[]).await;
    let path = world.path("v1", "pods/pod/ephemeralcontainers");
    let volume =
        stored.spec.unwrap().volumes.unwrap().into_iter().find(|v| v.name.starts_with(names::KEYS_VOLUME));
    let key = json!({"secretKeyRef": {"name": "crm", "key": "key"}});
    for (code, wrong) in [
        ("AID012", json!({"envFrom": [{"secretRef": {"name": "other"}}]})),
        ("AID021", json!({"env": [{"name": "KEY", "valueFrom": key}]})),
        ("AID021", json!({"volumeMounts": [{"name": volume.unwrap().name, "mountPath": "/keys"}]})),
    ] {
        jane.may_not(Guard::Webhook(code), "PATCH", &path, added(wrong)).await;
    }
    jane.may("PATCH", &path, added(json!({"env": [{"name": "A", "value": "b"}]}))).await;
    jane.sends("PATCH", &path, added(json!({}))).await.unwrap();
    world
        .eventually("the container should be there", async || {
            let pod = world.pods().get("pod").await.unwrap();
            when(pod.spec.unwrap().ephemeral_containers.is_some_and(|c| c.len() == 1), "it is not")
        })
        .await;
}
