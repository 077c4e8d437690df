//! Every manifest of the catalogue of codes: the wrong one earns its code before any other, the
//! right one passes. So what `perpro explain` shows is what the API server does.

use crate::common::World;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DynamicObject, Patch};
use kube::core::{ApiResource, GroupVersionKind};
use perpro_core::catalogue::{self, Entry, Example, FIXTURE, Source};
use perpro_core::decide::refusal::learn_more;
use perpro_core::names;
use perpro_e2e::wait;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Codes without manifests; the catalogue says of each why.
const UNSHOWN: [&str; 36] = [
    "AID005", "AID008", "AID014", "AID018", "AID019", "AID023", "AID027", "AID028", "AID036", "AID037",
    "AID038", "AID049", "AID055", "AID056", "AID062", "AID063", "AID066", "AID067", "AID068", "AID070",
    "AID080", "AID081", "AID082", "AID084", "AID085", "AID086", "AID087", "AID089", "AID090", "AID091",
    "AID092", "AID093", "AID095", "AID096", "AID097", "AID098",
];

/// What the API server answered to a creation.
struct Answer {
    stored: bool,
    /// Its message, when it refused.
    message: String,
    warnings: Vec<String>,
}

fn documents(yaml: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(yaml).map(|d| Value::deserialize(d).unwrap()).collect()
}

fn resource(object: &Value) -> ApiResource {
    let (group, version) = object["apiVersion"].as_str().unwrap().split_once('/').unwrap_or(("", "v1"));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap()))
}

/// Every code in a text, in order.
fn codes(text: &str) -> Vec<String> {
    let digits = |rest: &&str| rest.len() >= 3 && rest.bytes().take(3).all(|b| b.is_ascii_digit());
    text.split("AID").skip(1).filter(digits).map(|rest| format!("AID{}", &rest[..3])).collect()
}

/// Path of the collection that the object goes to, in its own namespace or in the test's.
fn collection(world: &World, object: &Value) -> String {
    let resource = resource(object);
    let root =
        if resource.group.is_empty() { "api/v1".into() } else { format!("apis/{}", resource.api_version) };
    if object["kind"] == "AgentPolicy" {
        return format!("/{root}/{}", resource.plural);
    }
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or(&world.namespace);
    format!("/{root}/namespaces/{namespace}/{}", resource.plural)
}

async fn create(world: &World, object: &Value) -> Answer {
    let path = format!("{}?fieldValidation=Strict", collection(world, object));
    let request = http::Request::post(path).header("content-type", "application/json");
    let request = request.body(kube::client::Body::from(serde_json::to_vec(object).unwrap())).unwrap();
    let response = world.client.send(request).await.unwrap();
    let warnings = response.headers().get_all("warning").iter();
    let warnings = warnings.map(|w| String::from_utf8_lossy(w.as_bytes()).into_owned()).collect();
    let stored = response.status().is_success();
    let body: Value = serde_json::from_slice(&response.into_body().collect_bytes().await.unwrap()).unwrap();
    Answer { stored, message: body["message"].as_str().unwrap_or_default().to_owned(), warnings }
}

async fn delete(world: &World, object: &Value) {
    let name = object["metadata"]["name"].as_str().unwrap();
    let path = format!("{}/{name}", collection(world, object));
    let request = http::Request::delete(path).body(kube::client::Body::empty()).unwrap();
    assert!(world.client.send(request).await.unwrap().status().is_success(), "{name}");
    let resource = resource(object);
    let api: Api<DynamicObject> = if object["kind"] == "AgentPolicy" {
        Api::all_with(world.client.clone(), &resource)
    } else {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or(&world.namespace);
        Api::namespaced_with(world.client.clone(), namespace, &resource)
    };
    let gone = async || match api.get_opt(name).await.unwrap() {
        None => wait::ready(()),
        Some(_) => wait::not_yet("it is there"),
    };
    world.eventually(&format!("{name} should be gone"), gone).await;
}

/// A governed namespace with the policy and the identities that the examples assume.
async fn fixture() -> World {
    let world = World::new("all").await;
    // The examples are short, so Pod Security would refuse all of them.
    let relaxed = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}});
    let namespaces = Api::<Namespace>::all(world.client.clone());
    namespaces.patch(&world.namespace, &Default::default(), &Patch::Merge(relaxed)).await.unwrap();
    let mut older = None;
    for mut object in documents(FIXTURE) {
        if object["kind"] == "AgentPolicy" {
            object["metadata"]["name"] = json!(world.namespace);
            object["spec"]["namespaces"] = json!([world.namespace]);
            let policies = Api::<DynamicObject>::all_with(world.client.clone(), &resource(&object));
            let params = kube::api::PatchParams::apply("test").force();
            policies.patch(&world.namespace, &params, &Patch::Apply(&object)).await.unwrap();
            continue;
        }
        if object["kind"] != "AgentIdentity" {
            assert!(create(&world, &object).await.stored, "{object}");
            continue;
        }
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        // Creation times have whole seconds, and the younger of two must be younger.
        let created = world
            .eventually("the identity should be stored in a second of its own", async || {
                let answer = create(&world, &object).await;
                assert!(answer.stored, "{name}: {}", answer.message);
                let stored = world.identities().get(&name).await.unwrap();
                let stamp = stored.metadata.creation_timestamp;
                if name == "younger" && stamp == older {
                    delete(&world, &object).await;
                    return wait::not_yet("it is the same second");
                }
                wait::ready(stamp)
            })
            .await;
        older = older.or(created);
    }
    world
}

/// Waits until those who decide know the fixture: a pod of its first identity passes, one of its
/// last is refused for that identity's own reason.
async fn known(world: &World) {
    let pod = |identity: &str| {
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "probe", "labels": {names::IDENTITY_LABEL: identity}},
            "spec": {"containers": [{"name": "agent", "image": "ghcr.io/acme/agent:1"}]}})
    };
    world
        .eventually("the fixture should be known", async || {
            let refused = create(world, &pod("overdue")).await;
            if codes(&refused.message).first().map(String::as_str) != Some("AID007") {
                return wait::not_yet(refused.message);
            }
            let passed = create(world, &pod("reader")).await;
            if !passed.stored {
                return wait::not_yet(passed.message);
            }
            delete(world, &pod("reader")).await;
            wait::ready(())
        })
        .await;
}

/// The codes that the object earns from `source`, or what happened instead.
async fn earned(world: &World, source: Source, object: &Value) -> Result<Vec<String>, String> {
    let answer = create(world, object).await;
    if answer.stored {
        delete(world, object).await;
    }
    match source {
        Source::Webhook | Source::Schema(_) | Source::Policy(_) if answer.stored => {
            Err("it was stored".to_owned())
        }
        Source::Webhook | Source::Schema(_) | Source::Policy(_) => {
            let told = codes(&answer.message);
            let learn_more = told.first().map(|code| learn_more(code)).unwrap_or_default();
            if answer.message.contains(&learn_more) { Ok(told) } else { Err(answer.message) }
        }
        Source::Warning if answer.stored => Ok(codes(&answer.warnings.concat())),
        Source::Warning => Err(answer.message),
        Source::Withheld | Source::Event => Err("the controller finds this later".to_owned()),
    }
}

/// The right manifest passes without warning.
async fn passes(world: &World, object: &Value) -> Result<(), String> {
    let answer = create(world, object).await;
    if !answer.stored {
        return Err(answer.message);
    }
    delete(world, object).await;
    let told = codes(&answer.warnings.concat());
    if told.is_empty() { Ok(()) } else { Err(format!("it passes with {told:?}")) }
}

async fn judge(world: &World, entry: &Entry, wrong: &str, right: &str) -> Result<(), String> {
    let [wrong, right] = [wrong, right].map(|yaml| documents(yaml).remove(0));
    let told = earned(world, entry.from[0], &wrong).await;
    let told = told.map_err(|e| format!("{}: the wrong manifest: {e}", entry.code))?;
    if told.first().map(String::as_str) != Some(entry.code) {
        return Err(format!("{}: the wrong manifest earns {told:?}", entry.code));
    }
    passes(world, &right).await.map_err(|e| format!("{}: the right manifest: {e}", entry.code))
}

/// The code of `fileKeyRef`, and the minor version of Kubernetes that has it first.
const FILE_KEYS: (&str, u32) = ("AID026", 34);

#[tokio::test]
#[ignore = "needs a cluster"]
async fn each_wrong_manifest_earns_its_code_first_and_each_right_one_passes() {
    let world = fixture().await;
    known(&world).await;
    let version = world.client.apiserver_version().await.unwrap();
    let minor: u32 = version.minor.trim_end_matches('+').parse().unwrap();
    let (mut shown, mut unshown, mut wrong_ones) = (0, BTreeSet::new(), Vec::new());
    for entry in catalogue::all() {
        match entry.example {
            Example::None(_) => {
                unshown.insert(entry.code);
            }
            // An API server that does not know the field refuses the pod for what is left of it.
            Example::Manifests { .. } if entry.code == FILE_KEYS.0 && minor < FILE_KEYS.1 => {}
            Example::Manifests { wrong, right } => {
                shown += 1;
                wrong_ones.extend(judge(&world, entry, wrong, right).await.err());
            }
        }
    }
    assert!(wrong_ones.is_empty(), "of {shown} pairs:\n{}", wrong_ones.join("\n"));
    assert_eq!(unshown, BTreeSet::from(UNSHOWN));
}
