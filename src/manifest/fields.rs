//! The fields of a map as they come: names written twice, and what `<<` brings in.

use super::node::{Data, Field, Node};
use super::scalar;
use std::collections::HashMap;

/// A map of more fields than this looks its names up in an index.
const FEW_FIELDS: usize = 16;

/// A map of which there is more to come.
#[derive(Default)]
pub(super) struct Fields {
    fields: Vec<Field>,
    /// For each of them, whether it is written there, and not brought in by `<<`.
    own: Vec<bool>,
    /// Where each name is, once there are many.
    names: HashMap<String, usize>,
    /// What the next value is for.
    key: Option<Key>,
}

enum Key {
    /// The field of that name, on that line.
    Name(String, u32),
    /// `<<`.
    Merge,
}

impl Fields {
    /// Takes a `<<` where a name is wanted; elsewhere it is text.
    pub(super) fn merge(&mut self) -> bool {
        let wanted = self.key.is_none();
        if wanted {
            self.key = Some(Key::Merge);
        }
        wanted
    }

    /// All of them, when there is no more to come.
    pub(super) fn done(self) -> Vec<Field> {
        self.fields
    }

    /// Takes a name, or the value for the last one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn put(&mut self, node: Node) -> Result<(), String> {
        match self.key.take() {
            None => {
                let line = node.line;
                let name = scalar::key(node.data)?;
                if self.find(&name).is_some_and(|at| self.own[at]) {
                    return Err(format!("field {name:?} is there twice"));
                }
                self.key = Some(Key::Name(name, line));
            }
            Some(Key::Merge) => self.bring_in(node)?,
            Some(Key::Name(name, line)) => self.set(Field { name, line, value: node }, true),
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Option<usize> {
        if self.fields.len() > FEW_FIELDS {
            self.names.get(name).copied()
        } else {
            self.fields.iter().position(|f| f.name == name)
        }
    }

    /// What comes later counts, whether it is written there or brought in.
    fn set(&mut self, field: Field, own: bool) {
        if let Some(at) = self.find(&field.name) {
            self.fields[at] = field;
            self.own[at] |= own;
            return;
        }
        if self.fields.len() == FEW_FIELDS {
            self.names = self.fields.iter().enumerate().map(|(at, f)| (f.name.clone(), at)).collect();
        }
        if self.fields.len() >= FEW_FIELDS {
            self.names.insert(field.name.clone(), self.fields.len());
        }
        self.fields.push(field);
        self.own.push(own);
    }

    /// The fields that `<<` brings in, over those before it; of several maps the first that has one wins.
    fn bring_in(&mut self, node: Node) -> Result<(), String> {
        let maps = match node.data {
            Data::Map(_) => vec![node],
            Data::List(items) if items.iter().all(|i| matches!(i.data, Data::Map(_))) => items,
            _ => return Err("<< takes a map, or a list of maps".to_owned()),
        };
        for map in maps.into_iter().rev() {
            let Data::Map(fields) = map.data else { continue };
            for field in fields {
                self.set(field, false);
            }
        }
        Ok(())
    }
}
