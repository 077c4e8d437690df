//! Objects in documents: what has an apiVersion and a kind, also in lists, and in objects that carry others.

use super::node::{Data, Field, Node};

/// An object of the Kubernetes API, as somebody wrote it.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    /// Group and version; empty when it is an item of a list that does not say it.
    pub(crate) api_version: String,
    pub(crate) kind: String,
    /// Where it lies in its document: empty, or `items[3]`.
    pub(crate) path: String,
    pub(crate) node: Node,
    /// Of one that another carries.
    pub(crate) carried: Option<Carried>,
}

/// How an object is carried: to another cluster, as by a ManifestWork, or to be made of parameters, as by a Template.
#[derive(Clone, Debug)]
pub(crate) struct Carried {
    /// Where the carrier says that it is itself.
    namespace: Option<String>,
}

impl Object {
    /// The API group; "" is the core group.
    pub(crate) fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// Its name, if it has one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.metadata("name").or_else(|| self.metadata("generateName"))
    }

    /// Its namespace, if it says one.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.metadata("namespace").or_else(|| self.carried.as_ref()?.namespace.as_deref())
    }

    /// Whether others may lie in it. In Kubernetes' own kinds none do but claims; a Template of OpenShift may say that it
    /// is of the core group.
    fn may_carry(&self) -> bool {
        match self.group() {
            "" => self.kind == "Template",
            "apps" | "autoscaling" | "batch" | "policy" => false,
            group => !group.ends_with(".k8s.io"),
        }
    }

    fn metadata(&self, field: &str) -> Option<&str> {
        self.node.at(&["metadata", field])?.text().filter(|t| !t.is_empty())
    }
}

/// Every object of a document. What has no apiVersion and kind is none: values of charts, configuration of tools.
pub(super) fn objects(document: Node) -> Vec<Object> {
    let mut found = Vec::new();
    let text = |field| document.get(field).and_then(Node::text).unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    collect(document, api_version, kind, String::new(), &mut found);
    found
}

/// These, and each after its carrier those that it carried, which are no part of it any more.
pub(super) fn unpack(objects: Vec<Object>) -> Vec<Object> {
    let mut all = Vec::with_capacity(objects.len());
    for mut object in objects {
        let mut inner = Vec::new();
        if object.may_carry() {
            let mut path = object.path.clone();
            take(&mut object.node, &mut path, &mut inner);
        }
        let carried = Carried { namespace: object.namespace().map(str::to_owned) };
        for inner in &mut inner {
            inner.carried = Some(carried.clone());
        }
        all.push(object);
        all.append(&mut unpack(inner));
    }
    all
}

/// Takes the objects out of what lies in `node`, which itself lies at `path`.
fn take(node: &mut Node, path: &mut String, found: &mut Vec<Object>) {
    let here = path.len();
    let mut step = |inner: &mut Node, step: &str, path: &mut String| {
        if !matches!(inner.data, Data::List(_) | Data::Map(_)) {
            return;
        }
        path.push_str(if path.is_empty() { step.trim_start_matches('.') } else { step });
        let text = |field| inner.get(field).and_then(Node::text).unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let is_object = !api_version.is_empty()
            && !kind.is_empty()
            && inner.get("metadata").is_some_and(|m| matches!(m.data, Data::Map(_)));
        if is_object {
            let node = Node { line: inner.line, data: std::mem::replace(&mut inner.data, Data::Null) };
            collect(node, api_version, kind, path.clone(), found);
        } else {
            take(inner, path, found);
        }
        path.truncate(here);
    };
    match &mut node.data {
        Data::List(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                step(item, &format!("[{i}]"), path);
            }
        }
        Data::Map(fields) => {
            for Field { name, value, .. } in fields {
                step(value, &format!(".{name}"), path);
            }
        }
        _ => {}
    }
}

fn collect(node: Node, api_version: String, kind: String, path: String, found: &mut Vec<Object>) {
    if api_version.is_empty() || kind.is_empty() {
        return;
    }
    let Some(item_kind) = kind.strip_suffix("List").filter(|_| node.get("items").is_some()) else {
        found.push(Object { api_version, kind, path, node, carried: None });
        return;
    };
    let Data::Map(fields) = node.data else { return };
    let items = fields.into_iter().find(|f| f.name == "items").map(|f| f.value.data);
    let Some(Data::List(items)) = items else { return };
    for (i, item) in items.into_iter().enumerate() {
        // Items of a PodList need not say what they are, those of a List do.
        let text = |field, or: &str| item.get(field).and_then(Node::text).unwrap_or(or).to_owned();
        let (version, kind) = match item_kind {
            "" => (text("apiVersion", ""), text("kind", "")),
            kind => (text("apiVersion", &api_version), text("kind", kind)),
        };
        let path = if path.is_empty() { format!("items[{i}]") } else { format!("{path}.items[{i}]") };
        collect(item, version, kind, path, found);
    }
}
