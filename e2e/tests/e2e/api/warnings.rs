//! What who applies a workload is told of its pods, and what namespaces tell that only warn or have pods audited.
//! Nothing is refused: each is stored, with words or without.

use super::actors::Actor;
use super::policies::uses::workloads;
use crate::common::{World, merge, pod, when};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ListParams};
use perpro_core::api::AgentIdentity;
use perpro_core::names;
use serde_json::{Value, json};

/// What the API server answered: whether it did it, and perpro's warnings.
struct Answer {
    done: bool,
    warnings: Vec<String>,
}

impl World {
    /// Asks for something, and reads the webhook's warnings too.
    pub async fn tries(&self, method: &str, path: &str, body: &Value) -> (bool, Vec<String>) {
        let (done, warnings) = self.asks_aloud(method, path, body).await;
        (done, warnings.into_iter().filter(|w| w.starts_with("perpro ")).collect())
    }

    /// Asks for something, and reads all warnings too.
    pub async fn asks_aloud(&self, method: &str, path: &str, body: &Value) -> (bool, Vec<String>) {
        let content = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = http::Request::builder().method(method).uri(path).header("content-type", content);
        let body = kube::client::Body::from(serde_json::to_vec(body).unwrap());
        let response = self.client.send(request.body(body).unwrap()).await.unwrap();
        let warnings = response.headers().get_all("warning").iter();
        let warnings = warnings.map(|w| String::from_utf8_lossy(w.as_bytes()).replace("\\\"", "\""));
        let texts =
            warnings.filter_map(|w| Some(w.strip_prefix("299 - \"")?.trim_end_matches('"').to_owned()));
        (response.status().is_success(), texts.collect())
    }

    /// Labels the namespace, and nothing else of perpro's: an administrator's work.
    async fn says(&self, labels: &Value) {
        let mut all = json!({names::ENFORCE_LABEL: null, names::WARN_LABEL: null, names::AUDIT_LABEL: null});
        merge(&mut all, labels.clone());
        let path = format!("/api/v1/namespaces/{}", self.namespace);
        Actor::admin(self).sends("PATCH", &path, json!({"metadata": {"labels": all}})).await.unwrap();
    }

    /// The events of the audit log about a kind of object in the namespace.
    fn audited(&self, resource: &str) -> Vec<Value> {
        let log = std::fs::read_to_string(self.cluster.layout().logs().join("audit.log")).unwrap();
        let ours = log.lines().filter(|line| line.contains(&self.namespace));
        let events = ours.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let about = |event: &Value| {
            let object = &event["objectRef"];
            object["namespace"] == self.namespace.as_str() && object["resource"] == resource
        };
        events.filter(|event| about(event) && event["verb"] == "create").collect()
    }
}

async fn asks(world: &World, method: &str, path: &str, body: &Value) -> Answer {
    let (done, warnings) = world.tries(method, path, body).await;
    Answer { done, warnings }
}

/// Done, and this many warnings that begin so.
fn told(answer: &Answer, begin: &str, what: &str) {
    let Answer { done, warnings } = answer;
    assert!(*done, "{what} was refused");
    assert!(warnings.len() == 1 && warnings[0].starts_with(begin), "{what}: {warnings:?}");
    assert!(warnings[0].chars().count() <= 256, "{warnings:?}");
}

fn silent(answer: &Answer, what: &str) {
    assert!(answer.done && answer.warnings.is_empty(), "{what}: {} {:?}", answer.done, answer.warnings);
}

fn template_of<'a>(resource: &str, object: &'a mut Value) -> &'a mut Value {
    let path = if resource == "cronjobs" { "/spec/jobTemplate/spec/template" } else { "/spec/template" };
    object.pointer_mut(path).unwrap()
}

/// The same object, whose container takes a whole Secret.
fn greedy(resource: &str, mut object: Value) -> Value {
    let whole = json!({"envFrom": [{"secretRef": {"name": "crm"}}]});
    merge(&mut template_of(resource, &mut object)["spec"]["containers"][0], whole);
    object
}

fn named(name: &str, mut object: Value) -> Value {
    object["metadata"]["name"] = json!(name);
    object
}

/// A Deployment whose template has these labels.
fn deployment(labels: Value) -> Value {
    let (_, resource, mut object) = workloads().remove(0);
    let template = template_of(resource, &mut object);
    template["metadata"]["labels"] = json!({"app": "x"});
    merge(&mut template["metadata"]["labels"], labels);
    object
}

fn bot() -> Value {
    json!({names::IDENTITY_LABEL: "bot"})
}

const WHOLE: &str = "perpro AID012: container \"agent\" takes all of Secret \"crm\" by envFrom; list the keys it needs \
    under secretKeys of AgentIdentity \"bot\", and remove this envFrom (spec.";

#[tokio::test]
#[ignore = "needs a cluster"]
async fn who_applies_a_workload_is_told_what_its_pods_will_be_refused_for_when_its_template_changes() {
    for mode in ["all", "agents"] {
        let world = World::new(mode).await;
        world.identity("bot", json!({})).await;
        for (group, resource, object) in workloads() {
            let what = format!("{mode}: {resource}");
            let path = world.path(group, resource);
            silent(&asks(&world, "POST", &path, &named("good", object.clone())).await, &what);
            let wrong = greedy(resource, named("wrong", object.clone()));
            told(&asks(&world, "POST", &path, &wrong).await, WHOLE, &what);

            let wrong = format!("{path}/wrong");
            let note = json!({"metadata": {"annotations": {"note": "x"}, "labels": {"team": "x"}}});
            silent(&asks(&world, "PATCH", &wrong, &note).await, &what);
            if object["spec"]["replicas"].is_number() {
                let scale = json!({"spec": {"replicas": 0, "minReadySeconds": 1}});
                silent(&asks(&world, "PATCH", &wrong, &scale).await, &what);
            }
            if ["deployments", "replicasets", "statefulsets"].contains(&resource) {
                let zero = json!({"spec": {"replicas": 0}});
                silent(&asks(&world, "PATCH", &format!("{wrong}/scale"), &zero).await, &what);
            }
            silent(&asks(&world, "PATCH", &format!("{wrong}/status"), &note).await, &what);
            let mut changed = object.clone();
            *template_of(resource, &mut changed) = json!({"metadata": {"annotations": {"note": "x"}}});
            let change = if resource == "cronjobs" {
                json!({"spec": {"jobTemplate": {"spec": {"template": *template_of(resource, &mut changed)}}}})
            } else {
                json!({"spec": {"template": *template_of(resource, &mut changed)}})
            };
            told(&asks(&world, "PATCH", &wrong, &change).await, WHOLE, &what);
        }
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn who_labels_a_workload_and_not_its_pods_is_told_so() {
    let world = World::new("agents").await;
    world.identity("bot", json!({})).await;
    for (group, resource, mut object) in workloads() {
        let path = world.path(group, resource);
        template_of(resource, &mut object)["metadata"]["labels"] = json!({"app": "x"});
        let way = if resource == "cronjobs" { "spec.jobTemplate.spec.template" } else { "spec.template" };
        let begin =
            format!("perpro AID068: write label perpro.dev/identity under {way}.metadata.labels: here");
        silent(&asks(&world, "POST", &path, &named("plain", object.clone())).await, resource);
        let label = json!({"metadata": {"labels": bot()}});
        let labelled = asks(&world, "PATCH", &format!("{path}/plain"), &label).await;
        told(&labelled, &begin, resource);
        object["metadata"]["labels"] = bot();
        told(&asks(&world, "POST", &path, &named("labelled", object.clone())).await, &begin, resource);
        let agent = |says: &str| json!({names::AGENT_LABEL: says});
        object["metadata"]["labels"] = agent("false");
        silent(&asks(&world, "POST", &path, &named("none", object.clone())).await, resource);
        let begin = format!("perpro AID068: write label perpro.dev/agent under {way}.metadata.labels: here");
        let label = json!({"metadata": {"labels": agent("true")}});
        told(&asks(&world, "PATCH", &format!("{path}/none"), &label).await, &begin, resource);
        if resource == "cronjobs" {
            object["spec"]["jobTemplate"]["metadata"] = json!({"labels": agent("true")});
            told(&asks(&world, "POST", &path, &named("jobs", object)).await, &begin, resource);
        }
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_kubernetes_makes_of_a_workload_is_not_told_about_again() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    let deployments = world.path("apps/v1", "deployments");
    let wrong = named("web", greedy("deployments", deployment(bot())));
    told(&asks(&world, "POST", &deployments, &wrong).await, WHOLE, "deployment");
    world
        .eventually("the audit log should have both", async || {
            let both = [world.audited("deployments"), world.audited("replicasets")];
            when(both.iter().all(|events| !events.is_empty()), &format!("{both:?}"))
        })
        .await;
    let key = "all.templates.perpro.dev/would-refuse";
    assert_eq!(world.audited("deployments")[0]["annotations"][key], "AID012");
    for event in world.audited("replicasets") {
        assert_eq!(event["annotations"][key], Value::Null, "{event}");
    }
    // Of controllers of other kinds nobody else has been told.
    let (group, resource, job) = workloads().into_iter().find(|w| w.1 == "jobs").unwrap();
    for (kind, is_told) in [("CronJob", false), ("Workflow", true)] {
        let mut job = greedy(resource, named("job", job.clone()));
        job["metadata"]["ownerReferences"] = json!([{"apiVersion": "x.example.com/v1", "kind": kind, "name": "x",
            "uid": "x", "controller": true}]);
        let path = format!("{}?dryRun=All", world.path(group, resource));
        let answer = asks(&world, "POST", &path, &job).await;
        if is_told { told(&answer, WHOLE, kind) } else { silent(&answer, kind) }
    }
}

/// The codes that Deployments earn whose templates are plain, say that they are agents, and name an identity.
async fn codes(world: &World) -> [Option<String>; 3] {
    let mut found = [None, None, None];
    for (i, labels) in [json!({}), json!({names::AGENT_LABEL: "true"}), bot()].into_iter().enumerate() {
        let path = format!("{}?dryRun=All", world.path("apps/v1", "deployments"));
        let answer = asks(world, "POST", &path, &named("web", deployment(labels))).await;
        assert!(answer.done);
        let code = |w: &String| w.trim_start_matches("perpro ").chars().take(6).collect();
        found[i] = answer.warnings.first().map(code);
    }
    found
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_namespace_warns_of_every_template_or_of_agents_alone_and_of_none_by_another_word() {
    let world = World::new("").await;
    world.identity("bot", json!({})).await;
    let label = |label: &str, value: &str| json!({label: value});
    let both = json!({names::ENFORCE_LABEL: "agents", names::WARN_LABEL: "all"});
    // Each is another than the one before it, so that it is seen to count.
    for (labels, expected) in [
        (label(names::WARN_LABEL, "all"), [Some("AID001"), Some("AID001"), Some("AID010")]),
        (label(names::WARN_LABEL, "al"), [None; 3]),
        (label(names::WARN_LABEL, "agents"), [None, Some("AID001"), Some("AID010")]),
        (label(names::AUDIT_LABEL, "all"), [None; 3]),
        (label(names::ENFORCE_LABEL, "agents"), [None, Some("AID001"), None]),
        (both, [Some("AID001"), Some("AID001"), None]),
        (json!({}), [None; 3]),
        (label(names::ENFORCE_LABEL, "all"), [Some("AID001"), Some("AID001"), None]),
    ] {
        world.says(&labels).await;
        world
            .eventually(&format!("{labels} should count"), async || {
                let codes = codes(&world).await;
                when(codes.each_ref().map(Option::as_deref) == expected, &format!("{codes:?}"))
            })
            .await;
    }
}

/// What is said of a pod: to who makes it, and in the audit log.
async fn of_pod(world: &World, name: &str, change: Value) -> (bool, Option<String>) {
    let object = json!(pod(change));
    let answer = asks(world, "POST", &world.path("v1", "pods"), &named(name, object)).await;
    assert!(answer.done, "{name} was refused");
    let log = world
        .eventually("the audit log should have it", async || {
            let found = world.audited("pods").into_iter().find(|e| e["objectRef"]["name"] == name);
            match found {
                Some(event) => perpro_e2e::wait::ready(event),
                None => perpro_e2e::wait::not_yet("it has not"),
            }
        })
        .await;
    let annotations = log["annotations"].as_object().cloned().unwrap_or_default();
    let code = annotations
        .iter()
        .find(|(key, _)| key.starts_with("audit") && key.ends_with(".pods.perpro.dev/would-refuse"));
    let told = answer.warnings.iter().any(|w| w.starts_with("perpro AID001: say who owns this agent"));
    (told, code.map(|(_, code)| code.as_str().unwrap().to_owned()))
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pod_without_identity_is_told_to_who_makes_it_and_to_the_audit_log_and_runs() {
    let world = World::new("").await;
    let yes = || Some("AID001".to_owned());
    let made = json!({"metadata": {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x",
        "uid": "x", "controller": true, "blockOwnerDeletion": false}]}});
    let agent = || json!({"metadata": {"labels": {names::AGENT_LABEL: "true"}}});
    for (i, (enforce, warn, audit, plain, of_agents)) in [
        (None, Some("all"), Some("all"), (true, yes()), (true, yes())),
        (None, Some("agents"), None, (false, None), (true, None)),
        (None, None, Some("agents"), (false, None), (false, yes())),
        (None, Some("al"), Some("al"), (false, None), (false, None)),
        (Some("agents"), Some("all"), Some("all"), (true, yes()), (false, None)),
        (Some("agents"), Some("agents"), Some("agents"), (false, None), (false, None)),
    ]
    .into_iter()
    .enumerate()
    {
        world
            .says(&json!({names::ENFORCE_LABEL: enforce, names::WARN_LABEL: warn, names::AUDIT_LABEL: audit}))
            .await;
        // The selectors read an informer; each row is another than the one before it.
        let mut turn = 0;
        world
            .eventually(&format!("row {i} should count"), async || {
                turn += 1;
                let found = of_pod(&world, &format!("plain-{i}-{turn}"), json!({})).await;
                when(found == plain, &format!("{found:?}"))
            })
            .await;
        if enforce.is_none() {
            assert_eq!(of_pod(&world, &format!("agent-{i}"), agent()).await, of_agents, "row {i}");
        }
        let told = of_pod(&world, &format!("made-{i}"), made.clone()).await;
        assert_eq!(told, (false, plain.1), "row {i}: nobody reads what a controller is told");
    }
}

/// The reasons of Events about an identity, with the beginning of their notes.
pub async fn events_of(world: &World, identity: &str) -> Vec<(String, String)> {
    let events = Api::<Event>::namespaced(world.client.clone(), &world.namespace);
    let about = format!("involvedObject.kind=AgentIdentity,involvedObject.name={identity}");
    let found = events.list(&ListParams::default().fields(&about)).await.unwrap().items;
    found.into_iter().map(|e| (e.reason.unwrap_or_default(), e.message.unwrap_or_default())).collect()
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_identity_is_told_of_its_own_end_once_and_of_nothing_while_all_is_well() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    world.condition("bot", "Ready", "True", "Ready").await;
    assert_eq!(events_of(&world, "bot").await, []);
    let second = json!({"secrets": [{"name": "crm", "rotateBy": "2036-01-01T00:00:00Z"}]});
    // Of twins it would be the smaller UID's.
    let bot =
        Api::<AgentIdentity>::namespaced(world.client.clone(), &world.namespace).get("bot").await.unwrap();
    let made = bot.metadata.creation_timestamp.unwrap().0.as_second();
    world
        .eventually("the second should be over", async || {
            let now = Timestamp::now().as_second();
            when(now > made, &now.to_string())
        })
        .await;
    world.identity("second", second).await;
    world.patch_identity("bot", json!({"suspended": true})).await;
    for (identity, reason, begin) in [
        ("bot", "Suspended", "AID006: ask who suspended AgentIdentity"),
        ("second", "SecretShared", "AID022: give AgentIdentity"),
    ] {
        world.condition(identity, "Ready", "False", reason).await;
        world
            .eventually(&format!("{identity} should be told"), async || {
                let events = events_of(&world, identity).await;
                let one = matches!(events.as_slice(), [(r, note)] if r == reason && note.starts_with(begin));
                when(one, &format!("{events:?}"))
            })
            .await;
    }
    world.patch_identity("bot", json!({"suspended": false})).await;
    world.condition("bot", "Ready", "True", "Ready").await;
    assert_eq!(events_of(&world, "bot").await.len(), 1);
}
