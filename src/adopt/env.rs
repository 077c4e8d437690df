//! Secrets in variables: what stays, and what the identity lists instead.

use super::keys::{Keys, Secret, Secrets, is_variable};
use super::notes::Notes;
use super::yaml::comment;
use crate::manifest::{Data, Node};
use serde_json::json;
use std::collections::BTreeSet;

/// A variable of a container whose Secret's key the identity lists under another name, or of a whole Secret.
struct Variable {
    name: String,
    secret: String,
    key: String,
    optional: bool,
}

/// Takes the keys in the variables of a container, and replaces whole Secrets among them.
pub(super) fn adopt(container: &mut Node, secrets: &Secrets, keys: &mut Keys, notes: &mut Notes) {
    let name = text(container, &["name"]).to_owned();
    let mut taken = BTreeSet::new();
    for env in container.get("env").map(Node::items).unwrap_or_default() {
        taken.insert(text(env, &["name"]).to_owned());
        if let Some(key) = env.at(&["valueFrom", "secretKeyRef"]) {
            keys.in_env(&name, text(key, &["name"]), text(key, &["key"]), text(env, &["name"]));
        }
    }
    let Some(sources) = container.get("envFrom").map(|f| f.items().to_vec()) else { return };
    let (mut kept, mut variables, mut later) = (Vec::new(), Vec::new(), None);
    // Of two that give a variable the later counts, and env before both.
    for source in sources.into_iter().rev() {
        let secret = text(&source, &["secretRef", "name"]).to_owned();
        if secret.is_empty() {
            later = source.at(&["configMapRef", "name"]).and_then(Node::text).map(str::to_owned).or(later);
            kept.push(source);
            continue;
        }
        let optional = is_true(source.at(&["secretRef", "optional"]));
        match secrets.of(&secret) {
            Secret::Keys(names) => {
                let prefix = text(&source, &["prefix"]).to_owned();
                notes.whole(&secret, &name, "envFrom", &names);
                if let Some(map) = &later {
                    notes.tell(format!(
                        "container \"{name}\": ConfigMap \"{map}\", which comes after Secret \"{secret}\" in envFrom, no longer \
                         wins where both have a key"
                    ));
                }
                for key in names {
                    let variable = format!("{prefix}{key}");
                    if !is_variable(&variable) {
                        notes.tell(format!(
                            "container \"{name}\": key \"{key}\" of Secret \"{secret}\" is left out, as \"{variable}\" is no \
                             variable that an identity can list"
                        ));
                    } else if taken.insert(variable.clone()) {
                        variables.push(Variable { name: variable, secret: secret.clone(), key, optional });
                    }
                }
            }
            Secret::Missing if optional => notes.absent(&secret, &name),
            Secret::Missing => {
                notes.unknown(
                    &secret,
                    &name,
                    "envFrom",
                    "it does not exist, so the pod does not start today either",
                );
                kept.push(source);
            }
            Secret::Unknown(why) => {
                notes.unknown(&secret, &name, "envFrom", &why);
                kept.push(source);
            }
        }
    }
    kept.reverse();
    let before = container.get("envFrom").map(|f| f.items().len()).unwrap_or_default();
    if kept.len() == before {
        return;
    }
    variables.sort_by(|a, b| (&a.secret, &a.key).cmp(&(&b.secret, &b.key)));
    let unlisted = variables.into_iter().filter(|v| !keys.in_env(&name, &v.secret, &v.key, &v.name));
    let unlisted: Vec<_> = unlisted.collect();
    add(container, unlisted);
    // An empty list, and not none: kubectl apply leaves alone what is not mentioned and it did not write.
    container.set("envFrom", Node::of_items(kept));
    if let Some(fields) = container.fields_mut()
        && let Some(at) = fields.iter().position(|f| f.name == "envFrom")
    {
        fields.insert(
            at,
            comment(
                "Secrets that were here are listed by key in the AgentIdentity; perpro sets their variables.",
            ),
        );
    }
}

/// Sets variables that the identity can't, before the container's own, which may refer to them.
fn add(container: &mut Node, variables: Vec<Variable>) {
    if variables.is_empty() {
        return;
    }
    let source = |v: Variable| {
        let mut key = json!({"name": v.secret, "key": v.key});
        if v.optional {
            key["optional"] = json!(true);
        }
        Node::of_fields([
            ("name", Node::of_text(v.name)),
            ("valueFrom", Node::of_json(json!({ "secretKeyRef": key }))),
        ])
    };
    let mut all: Vec<_> = variables.into_iter().map(source).collect();
    all.extend(container.get("env").map(|e| e.items().to_vec()).unwrap_or_default());
    container.set("env", Node::of_items(all));
}

/// Secrets whose key names must be known: those that a container has as a whole.
pub(super) fn whole(container: &Node) -> impl Iterator<Item = &str> {
    let from = container.get("envFrom").map(Node::items).unwrap_or_default();
    from.iter().filter_map(|f| f.at(&["secretRef", "name"])).filter_map(Node::text)
}

/// The text there, or "".
pub(super) fn text<'a>(node: &'a Node, names: &[&str]) -> &'a str {
    node.at(names).and_then(Node::text).unwrap_or_default()
}

pub(super) fn is_true(node: Option<&Node>) -> bool {
    node.is_some_and(|n| n.data == Data::Bool(true))
}

/// The containers of a pod's spec, those that start it first.
pub(super) fn containers(spec: &Node) -> impl Iterator<Item = &Node> {
    ["initContainers", "containers"]
        .into_iter()
        .flat_map(|list| spec.get(list).map(Node::items).unwrap_or_default())
}
