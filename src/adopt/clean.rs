//! Taking away what an API server and its controllers wrote, so that what is left can be applied.

use super::target::Kind;
use crate::manifest::{Data, Node};

/// How people begin an object.
const FIRST: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];

/// Metadata of the API server's own.
const METADATA: [&str; 9] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "uid",
];

/// Annotations that kubectl and controllers keep their books in.
const ANNOTATIONS: [&str; 4] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
    "batch.kubernetes.io/job-tracking",
];

/// Labels that the job controller puts on its pods.
const JOB_LABELS: [&str; 4] =
    ["controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"];

/// The volume that every API server adds to a pod.
const TOKEN_VOLUME: &str = "kube-api-access-";

/// The object as a person would have written it.
pub(super) fn clean(object: &mut Node, kind: &Kind) {
    object.remove("status");
    if let Some(fields) = object.fields_mut() {
        // An API server begins with the kind.
        fields.sort_by_key(|f| FIRST.iter().position(|name| f.name == *name).unwrap_or(FIRST.len()));
    }
    if let Some(metadata) = object.get_mut("metadata") {
        metadata.remove("selfLink");
        metadata_of(metadata);
    }
    if kind.kind == "Job" && !super::env::is_true(object.at(&["spec", "manualSelector"])) {
        if let Some(spec) = object.get_mut("spec") {
            spec.remove("selector");
        }
        for path in [&["metadata"] as &[_], &["spec", "template", "metadata"]] {
            if let Some(metadata) = object.at_mut(path) {
                without(metadata, "labels", &JOB_LABELS);
            }
        }
    }
    if kind.kind == "Pod"
        && let Some(spec) = object.get_mut("spec")
    {
        // The scheduler's, and of people who looked in.
        spec.remove("nodeName");
        spec.remove("ephemeralContainers");
    }
    if let Some(template) = object.at_mut(kind.template) {
        if let Some(metadata) = template.get_mut("metadata") {
            metadata_of(metadata);
        }
        if template.get("metadata").is_some_and(Node::is_empty) {
            template.remove("metadata");
        }
        template.get_mut("spec").into_iter().for_each(without_token);
    }
}

fn metadata_of(metadata: &mut Node) {
    for field in METADATA {
        metadata.remove(field);
    }
    without(metadata, "annotations", &ANNOTATIONS);
}

/// Takes entries out of a map, and the map if it held nothing else.
fn without(node: &mut Node, map: &str, names: &[&str]) {
    let Some(entries) = node.get_mut(map) else { return };
    for name in names {
        entries.remove(name);
    }
    if entries.is_empty() {
        node.remove(map);
    }
}

/// Takes away the default token, which is mounted anew for each pod that is to have one.
fn without_token(spec: &mut Node) {
    let is_token = |node: &Node, field: &str| {
        node.get(field).and_then(Node::text).is_some_and(|name| name.starts_with(TOKEN_VOLUME))
    };
    let lists = [("initContainers", "volumeMounts"), ("containers", "volumeMounts")];
    for (containers, mounts) in lists {
        for container in spec.get_mut(containers).map(Node::items_mut).unwrap_or_default() {
            retain(container, mounts, |m| !is_token(m, "name"));
        }
    }
    retain(spec, "volumes", |v| !is_token(v, "name"));
}

fn retain(node: &mut Node, list: &str, keep: impl Fn(&Node) -> bool) {
    let Some(Data::List(items)) = node.get_mut(list).map(|n| &mut n.data) else { return };
    let before = items.len();
    items.retain(keep);
    if items.is_empty() && before > 0 {
        node.remove(list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn cleaned(group: &str, kind: &str, object: Value) -> Value {
        let mut node = Node::of_json(object);
        clean(&mut node, Kind::of(group, kind).unwrap());
        node.to_json()
    }

    #[rstest]
    fn what_the_server_wrote_is_not_written_again(
        #[values(("", "Pod"), ("apps", "Deployment"), ("batch", "CronJob"))] (group, kind): (&str, &str),
    ) {
        let metadata = json!({"name": "x", "uid": "u", "resourceVersion": "1", "generation": 2, "creationTimestamp": "t",
            "managedFields": [{}], "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"password\": 1}", "mine": "a"}});
        let object = json!({"kind": kind, "metadata": metadata, "spec": {"x": 1}, "status": {"y": 1}});
        let expected =
            json!({"kind": kind, "metadata": {"name": "x", "annotations": {"mine": "a"}}, "spec": {"x": 1}});
        assert_eq!(cleaned(group, kind, object), expected);
    }

    #[test]
    fn a_job_can_be_made_again() {
        let labels =
            json!({"controller-uid": "u", "job-name": "j", "batch.kubernetes.io/job-name": "j", "app": "a"});
        let job = |template: Value| json!({"metadata": {"name": "j"}, "spec": {"selector": {}, "template": template}});
        let expected = json!({"metadata": {"name": "j"}, "spec": {"template": {"metadata": {"labels": {"app": "a"}}, "spec": {}}}});
        assert_eq!(
            cleaned("batch", "Job", job(json!({"metadata": {"labels": labels}, "spec": {}}))),
            expected
        );
    }

    #[test]
    fn a_pod_is_not_bound_to_its_node_and_its_token() {
        let token = json!({"name": "kube-api-access-x1", "mountPath": "/t"});
        let spec = json!({"nodeName": "n", "containers": [{"name": "a", "volumeMounts": [token]}],
            "volumes": [{"name": "kube-api-access-x1", "projected": {}}]});
        let pod = json!({"metadata": {"name": "p", "generateName": "p-"}, "spec": spec});
        let expected = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}]}});
        assert_eq!(cleaned("", "Pod", pod), expected);
    }
}
