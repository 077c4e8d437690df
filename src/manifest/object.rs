//! Objects in documents: what has an apiVersion and a kind, also in lists.

use super::node::{Data, Node};

/// An object of the Kubernetes API, as somebody wrote it.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    /// Group and version; empty when it is an item of a list that does not say it.
    pub(crate) api_version: String,
    pub(crate) kind: String,
    /// Where it lies in its document: empty, or `items[3]`.
    pub(crate) path: String,
    pub(crate) node: Node,
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
        self.metadata("namespace")
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

fn collect(node: Node, api_version: String, kind: String, path: String, found: &mut Vec<Object>) {
    if api_version.is_empty() || kind.is_empty() {
        return;
    }
    let Some(item_kind) = kind.strip_suffix("List").filter(|_| node.get("items").is_some()) else {
        found.push(Object { api_version, kind, path, node });
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
