//! Where the pods of an object are.

use super::node::{Data, Node};
use super::object::Object;

/// Kinds that make pods, their API group, and the way to their template.
const WORKLOADS: [(&str, &str, &[&str]); 9] = [
    ("", "Pod", &[]),
    ("", "ReplicationController", &["spec", "template"]),
    ("", "PodTemplate", &["template"]),
    ("apps", "Deployment", &["spec", "template"]),
    ("apps", "ReplicaSet", &["spec", "template"]),
    ("apps", "StatefulSet", &["spec", "template"]),
    ("apps", "DaemonSet", &["spec", "template"]),
    ("batch", "Job", &["spec", "template"]),
    ("batch", "CronJob", &["spec", "jobTemplate", "spec", "template"]),
];

/// A pod, or what pods are made from.
#[derive(Clone, Debug)]
pub(crate) struct Template<'a> {
    /// Where it lies in its object: empty for a pod, `spec.template` in a Deployment.
    pub(crate) path: String,
    /// With its metadata and spec.
    pub(crate) node: &'a Node,
    /// Whether it belongs to a kind that somebody else has defined, or is carried by one, whose controller may add to it:
    /// containers, images, values of parameters.
    pub(crate) partial: bool,
}

/// Every pod template of an object.
pub(crate) fn templates(object: &Object) -> Vec<Template<'_>> {
    let known = WORKLOADS.iter().find(|(group, kind, _)| *group == object.group() && *kind == object.kind);
    if let Some((_, _, path)) = known {
        let node = object.node.at(path);
        return node
            .map(|node| Template { path: path.join("."), node, partial: object.carried.is_some() })
            .into_iter()
            .collect();
    }
    let mut found = Vec::new();
    search(&object.node, &mut String::new(), &mut found);
    found
}

/// Whatever has the form of a pod template, at any depth.
fn search<'a>(node: &'a Node, path: &mut String, found: &mut Vec<Template<'a>>) {
    // What lies beside the spec of the object itself is the object's metadata, not a pod's.
    if !path.is_empty() && is_template(node) {
        found.push(Template { path: path.clone(), node, partial: true });
        return;
    }
    let here = path.len();
    match &node.data {
        Data::List(items) => {
            for (i, item) in items.iter().enumerate() {
                path.push_str(&format!("[{i}]"));
                search(item, path, found);
                path.truncate(here);
            }
        }
        Data::Map(fields) => {
            for field in fields {
                if matches!(field.value.data, Data::List(_) | Data::Map(_)) {
                    if here > 0 {
                        path.push('.');
                    }
                    path.push_str(&field.name);
                    search(&field.value, path, found);
                    path.truncate(here);
                }
            }
        }
        _ => {}
    }
}

/// A spec with containers that have names, or at least images: Knative names one that has none.
fn is_template(node: &Node) -> bool {
    let containers = node.at(&["spec", "containers"]).map(Node::items).unwrap_or_default();
    let is_one = |c: &Node| ["name", "image"].iter().any(|f| c.get(f).and_then(Node::text).is_some());
    !containers.is_empty() && containers.iter().all(is_one)
}

#[cfg(test)]
mod tests {
    use crate::manifest::{read, templates};
    use rstest::rstest;

    /// Path and line of each pod template.
    fn found(text: &str) -> Vec<(String, u32)> {
        let manifest = read(text.as_bytes());
        assert_eq!(manifest.problems, []);
        let all = manifest.objects.iter().flat_map(|o| templates(o).into_iter().map(move |t| (o, t)));
        all.map(|(o, t)| ([o.path.as_str(), &t.path].join("/"), t.node.line)).collect()
    }

    const SPEC: &str = "{containers: [{name: a, image: i}]}";

    #[rstest]
    #[case("v1", "Pod", "spec: SPEC", "/")]
    #[case("v1", "ReplicationController", "spec: {template: {spec: SPEC}}", "/spec.template")]
    #[case("v1", "PodTemplate", "template: {spec: SPEC}", "/template")]
    #[case("apps/v1", "Deployment", "spec: {template: {spec: SPEC}}", "/spec.template")]
    #[case("apps/v1", "ReplicaSet", "spec: {template: {spec: SPEC}}", "/spec.template")]
    #[case("apps/v1", "StatefulSet", "spec: {template: {spec: SPEC}}", "/spec.template")]
    #[case("apps/v1", "DaemonSet", "spec: {template: {spec: SPEC}}", "/spec.template")]
    #[case("batch/v1", "Job", "spec: {template: {spec: SPEC}}", "/spec.template")]
    #[case(
        "batch/v1",
        "CronJob",
        "spec: {jobTemplate: {spec: {template: {spec: SPEC}}}}",
        "/spec.jobTemplate.spec.template"
    )]
    #[case("agents.x-k8s.io/v1alpha1", "Sandbox", "spec: {podTemplate: {spec: SPEC}}", "/spec.podTemplate")]
    #[case(
        "extensions.agents.x-k8s.io/v1alpha1",
        "SandboxTemplate",
        "spec: {podTemplate: {spec: SPEC}}",
        "/spec.podTemplate"
    )]
    #[case(
        "toolhive.stacklok.dev/v1alpha1",
        "MCPServer",
        "spec: {podTemplateSpec: {spec: SPEC}}",
        "/spec.podTemplateSpec"
    )]
    #[case(
        "ray.io/v1",
        "RayCluster",
        "spec: {workerGroupSpecs: [{template: {spec: SPEC}}]}",
        "/spec.workerGroupSpecs[0].template"
    )]
    #[case("example.com/v1", "Deployment", "spec: {a: {template: {spec: SPEC}}}", "/spec.a.template")]
    #[case(
        "serving.knative.dev/v1",
        "Service",
        "spec: {template: {spec: {containers: [{image: i}]}}}",
        "/spec.template"
    )]
    fn a_pod_is_found_in_every_kind(
        #[case] version: &str,
        #[case] kind: &str,
        #[case] rest: &str,
        #[case] path: &str,
    ) {
        let text = format!("apiVersion: {version}\nkind: {kind}\n{}\n", rest.replace("SPEC", SPEC));
        let found = found(&text);
        assert_eq!(found.iter().map(|f| f.0.as_str()).collect::<Vec<_>>(), [path], "{text}");
    }

    #[rstest]
    #[case::values_of_a_chart("replicas: 1\nspec: {containers: [{name: a}]}\n")]
    #[case::a_kind_without_pods("apiVersion: v1\nkind: Service\nspec: {ports: [{name: a}]}\n")]
    #[case::a_definition(
        "apiVersion: x/v1\nkind: Y\nspec: {properties: {spec: {properties: {containers: {type: array}}}}}\n"
    )]
    #[case::containers_that_are_no_pods(
        "apiVersion: x/v1\nkind: Y\nmetadata: {name: a}\nspec: {containers: [{name: a}]}\n"
    )]
    #[case::a_workload_that_says_nothing("apiVersion: apps/v1\nkind: Deployment\n")]
    #[case::text("just text\n")]
    fn what_makes_no_pod_has_none(#[case] text: &str) {
        assert_eq!(found(text), []);
    }

    #[test]
    fn lists_are_opened_and_say_for_their_items_what_these_are() {
        let text = format!(
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  spec: {SPEC}\n- apiVersion: apps/v1\n  \
             kind: DeploymentList\n  items:\n  - spec:\n      template: {{spec: {SPEC}}}\n---\napiVersion: v1\nkind: PodList\nitems:\n- spec: {SPEC}\n"
        );
        let expected = [("items[0]/", 4), ("items[1].items[0]/spec.template", 11), ("items[0]/", 16)];
        let found = found(&text);
        assert_eq!(found.iter().map(|(p, l)| (p.as_str(), *l)).collect::<Vec<_>>(), expected);
    }
}
