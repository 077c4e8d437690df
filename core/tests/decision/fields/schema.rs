//! The schema of a kind as paths: every field that an object of it can have. A list is written `items[]`.
//!
//! Reads the JSON Schema of the types and the OpenAPI v3 of an API server alike.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// A schema and the definitions that it refers to.
pub struct Schema {
    document: Value,
    root: String,
}

impl Schema {
    /// The schema at `root` of `document`, a JSON pointer.
    pub fn at(document: Value, root: &str) -> Self {
        Self { document, root: root.to_owned() }
    }

    fn root(&self) -> &Value {
        self.resolve(self.document.pointer(&self.root).unwrap())
    }

    fn resolve<'a>(&'a self, node: &'a Value) -> &'a Value {
        let node = node["allOf"].get(0).unwrap_or(node);
        match node["$ref"].as_str() {
            Some(reference) => self.resolve(self.document.pointer(&reference[1..]).unwrap()),
            None => node,
        }
    }

    fn fields<'a>(&'a self, node: &'a Value) -> Option<&'a Map<String, Value>> {
        self.resolve(node)["properties"].as_object()
    }

    /// The schema of a list's items, where these are objects.
    fn items<'a>(&'a self, node: &'a Value) -> Option<&'a Value> {
        self.resolve(node).get("items").filter(|items| self.fields(items).is_some())
    }

    /// Paths of all fields that hold a value and no fields of their own, and paths of all objects; both below `root`.
    pub fn paths(&self, root: &str) -> (BTreeSet<String>, BTreeSet<String>) {
        let (mut leaves, mut objects) = (BTreeSet::new(), BTreeSet::new());
        self.collect(self.root(), root.to_owned(), &mut leaves, &mut objects);
        (leaves, objects)
    }

    fn collect(
        &self,
        node: &Value,
        path: String,
        leaves: &mut BTreeSet<String>,
        objects: &mut BTreeSet<String>,
    ) {
        assert!(path.matches('.').count() < 20, "the schema has no end: {path}");
        if let Some(items) = self.items(node) {
            self.collect(items, format!("{path}[]"), leaves, objects);
        } else if let Some(fields) = self.fields(node) {
            for (name, field) in fields {
                self.collect(field, format!("{path}.{name}"), leaves, objects);
            }
            objects.insert(path);
        } else {
            leaves.insert(path);
        }
    }

    /// Puts what `path` names into `object`, with all that the schema requires around it. Of a list it takes the item
    /// that `chosen` says, or adds one. Text is `text`.
    pub fn put(&self, object: &mut Value, path: &str, text: &str, chosen: &dyn Fn(&str) -> Option<usize>) {
        let steps: Vec<_> = path.split('.').skip(1).collect();
        self.put_in(self.root(), object, &steps, text, "", chosen);
    }

    fn put_in(
        &self,
        schema: &Value,
        at: &mut Value,
        steps: &[&str],
        text: &str,
        above: &str,
        chosen: &dyn Fn(&str) -> Option<usize>,
    ) {
        // What is there already is kept, but for the value that is put.
        if at.is_null() || (steps.is_empty() && self.fields(schema).is_none()) {
            *at = self.sample(schema, text);
        }
        let Some((step, rest)) = steps.split_first() else { return };
        let name = step.trim_end_matches("[]");
        let field = &self.fields(schema).unwrap()[name];
        let place = &mut at[name];
        let here = format!("{above}.{name}");
        let Some(items) = self.items(field) else {
            return self.put_in(field, place, rest, text, &here, chosen);
        };
        if place.is_null() {
            *place = json!([]);
        }
        let list = place.as_array_mut().unwrap();
        let nth = chosen(&here).filter(|nth| *nth < list.len()).unwrap_or(list.len());
        if nth == list.len() {
            list.push(Value::Null);
        }
        self.put_in(items, &mut list[nth], rest, text, &here, chosen);
    }

    /// The least value that the schema allows. Booleans are true, as what is dangerous is never the default.
    fn sample(&self, node: &Value, text: &str) -> Value {
        let node = self.resolve(node);
        if let Some(fields) = self.fields(node) {
            let required = node["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            return required.map(|name| (name.to_owned(), self.sample(&fields[name], text))).collect();
        }
        match node["type"].as_str().unwrap_or_default() {
            "boolean" => json!(true),
            "integer" | "number" => json!(1),
            "array" => json!([self.sample(&node["items"], text)]),
            "object" => match node.get("additionalProperties") {
                Some(values) => json!({"x": self.sample(values, text)}),
                None => json!({}),
            },
            _ if node["format"] == "date-time" => json!("2026-01-01T00:00:00Z"),
            _ => json!(text),
        }
    }
}
