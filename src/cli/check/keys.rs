//! The keys of the Secrets among the manifests, for what identities list of them. Values are looked at by nobody.

use super::judge::SECRET;
use crate::manifest::{Node, Object};
use std::collections::{BTreeMap, BTreeSet};

/// By namespace, then by Secret.
pub(super) type Keys = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Collects them. Of a Secret that stands there more than once, as for a patch, all keys; one without any is not among
/// them, since somebody else fills it.
pub(super) fn of<'a>(objects: impl Iterator<Item = (&'a str, &'a Object)>) -> Keys {
    let mut keys = Keys::new();
    for (namespace, object) in objects.filter(|(_, o)| o.group().is_empty() && o.kind == SECRET) {
        let fields = ["data", "stringData"].into_iter().filter_map(|field| object.node.get(field));
        let found: BTreeSet<_> = fields.flat_map(Node::fields).map(|f| f.name.clone()).collect();
        if let Some(name) = object.name().filter(|_| !found.is_empty()) {
            let secrets = keys.entry(namespace.to_owned()).or_default();
            secrets.entry(name.to_owned()).or_default().extend(found);
        }
    }
    keys
}
