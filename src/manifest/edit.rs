//! Changing a tree: fields stay where people wrote them, and new ones come last.

use super::node::{Data, Field, Node};
use serde_json::Value;

impl Node {
    /// Text that stands nowhere yet.
    pub(crate) fn of_text(text: impl Into<String>) -> Self {
        Self { line: 0, data: Data::Text(text.into()) }
    }

    /// A map that stands nowhere yet.
    pub(crate) fn of_fields<const N: usize>(fields: [(&str, Node); N]) -> Self {
        let field = |(name, value): (&str, Node)| Field { name: name.to_owned(), line: 0, value };
        Self { line: 0, data: Data::Map(fields.into_iter().map(field).collect()) }
    }

    /// A list that stands nowhere yet.
    pub(crate) fn of_items(items: Vec<Node>) -> Self {
        Self { line: 0, data: Data::List(items) }
    }

    /// JSON as a tree; its maps are in their alphabet's order.
    pub(crate) fn of_json(value: Value) -> Self {
        let data = match value {
            Value::Null => Data::Null,
            Value::Bool(value) => Data::Bool(value),
            Value::Number(number) => Data::Number(number),
            Value::String(text) => Data::Text(text),
            Value::Array(items) => Data::List(items.into_iter().map(Self::of_json).collect()),
            Value::Object(fields) => Data::Map(
                fields
                    .into_iter()
                    .map(|(name, value)| Field { name, line: 0, value: Self::of_json(value) })
                    .collect(),
            ),
        };
        Self { line: 0, data }
    }

    /// The field of that name, to change it.
    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.fields_mut()?.iter_mut().find(|f| f.name == name).map(|f| &mut f.value)
    }

    /// The same with several names, one after the other.
    pub(crate) fn at_mut(&mut self, names: &[&str]) -> Option<&mut Node> {
        names.iter().try_fold(self, |node, name| node.get_mut(name))
    }

    /// The map in that field, made where there is none.
    pub(crate) fn map_mut(&mut self, name: &str) -> Option<&mut Node> {
        if !matches!(self.get(name).map(|n| &n.data), Some(Data::Map(_))) {
            self.set(name, Self::of_fields([]));
        }
        self.get_mut(name)
    }

    /// Its items, to change them; none if it is no list.
    pub(crate) fn items_mut(&mut self) -> &mut [Node] {
        match &mut self.data {
            Data::List(items) => items,
            _ => &mut [],
        }
    }

    /// Its fields, to change them; `None` if it is no map.
    pub(crate) fn fields_mut(&mut self) -> Option<&mut Vec<Field>> {
        match &mut self.data {
            Data::Map(fields) => Some(fields),
            _ => None,
        }
    }

    /// Sets a field: in its place, or last.
    pub(crate) fn set(&mut self, name: &str, value: Node) {
        match self.get_mut(name) {
            Some(there) => *there = value,
            None => {
                let field = Field { name: name.to_owned(), line: 0, value };
                self.fields_mut().into_iter().for_each(|fields| fields.push(field.clone()));
            }
        }
    }

    /// Takes a field away, and says what it was.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Node> {
        let fields = self.fields_mut()?;
        let at = fields.iter().position(|f| f.name == name)?;
        Some(fields.remove(at).value)
    }

    /// Whether it is a map or a list without anything in it, or nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.data {
            Data::Map(fields) => fields.is_empty(),
            Data::List(items) => items.is_empty(),
            Data::Null => true,
            _ => false,
        }
    }
}
