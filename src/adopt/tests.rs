//! What is written of workloads, and that admission lets it through.

mod random;
mod table;

use super::template::image_prefix;
use super::*;
use crate::manifest::read;
use perpro_core::api::{AgentIdentity, KubernetesAccess};
use perpro_core::decide::check::{Governance, Pod, World, as_stored, check};
use perpro_core::decide::definition::Definitions;
use perpro_core::decide::grant;
use serde_json::json;

fn now() -> Timestamp {
    "2026-11-01T12:00:00Z".parse().unwrap()
}

/// What a person says who says all.
fn whole_wish() -> Wish {
    Wish {
        owner: Some(Owner { kind: perpro_core::api::OwnerKind::User, name: "jane@example.com".to_owned() }),
        expires: Some("2027-01-30T12:00:00Z".parse().unwrap()),
        justification: Some("Reads what customers say.".to_owned()),
        ..Wish::default()
    }
}

/// Secrets `crm` and `llm` with keys, and none that is called `gone`.
fn known() -> Known {
    let keys = |names: &[&str]| Secret::Keys(names.iter().map(|n| (*n).to_owned()).collect());
    let mut known = Known::default();
    known.secrets.0 = [
        ("crm".to_owned(), keys(&["k1", "k2"])),
        ("llm".to_owned(), keys(&["API_KEY", "k1", "tls.crt", "9", ".hidden"])),
        ("empty".to_owned(), keys(&[])),
        ("gone".to_owned(), Secret::Missing),
    ]
    .into();
    known
}

/// A Deployment whose pods have this spec, as an API server has it.
fn deployment(spec: &Value) -> Object {
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "bot", "namespace": "ns", "uid": "u", "resourceVersion": "7"},
        "spec": {"replicas": 1, "template": {"metadata": {"creationTimestamp": null, "labels": {"app": "bot"}}, "spec": spec}},
        "status": {"replicas": 1}});
    read(object.to_string().as_bytes()).objects.remove(0)
}

fn adopted(spec: &Value, known: &Known, wish: &Wish) -> Adopted {
    let object = deployment(spec);
    let target = Target::of(&object).unwrap();
    adopt(&target, &object, "ns", known, wish, now()).unwrap()
}

/// The documents: policies, the identity, the workload.
struct Written {
    policies: Vec<AgentPolicy>,
    identity: AgentIdentity,
    workload: Value,
}

fn written(text: &str) -> Written {
    let read = read(text.as_bytes());
    assert_eq!(read.problems, [], "{text}");
    let definitions = Definitions::default();
    let (mut policies, mut identity, mut workload) = (Vec::new(), None, None);
    for object in &read.objects {
        let json = object.node.to_json();
        match object.kind.as_str() {
            "AgentPolicy" => {
                let judged = definitions.policy(&json);
                assert_eq!(judged.refusals, [], "{text}");
                policies.extend(judged.object);
            }
            "AgentIdentity" => {
                let judged = definitions.identity(&json);
                assert_eq!(judged.refusals, [], "{text}");
                identity = judged.object;
            }
            _ => workload = Some(json),
        }
    }
    Written { policies, identity: identity.unwrap(), workload: workload.unwrap() }
}

/// All that admission would refuse when the documents are applied one after the other.
fn refused(text: &str) -> Vec<String> {
    let Written { policies, identity, workload } = written(text);
    let mut world = World::new(policies, true);
    let stored = as_stored(identity, "ns", None, 0, now());
    let (mut refusals, warnings) = grant::judge(&stored.spec, &world.ceiling("ns"), now());
    assert_eq!(warnings, [], "{text}");
    world.add("ns", vec![stored]);
    let template = &workload["spec"]["template"];
    let pod = Pod { written: template, namespace: "ns", governance: Governance::All, partial: false };
    refusals.extend(check(pod, &world, now()).unwrap().verdict.refusals);
    refusals.iter().map(|r| format!("{} {}", r.code(), r.path)).collect()
}
