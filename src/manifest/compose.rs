//! A document composed value by value: what is open, and what its anchors stand for. Knows no parser. How deep a document
//! may be is bounded here, and how far its aliases may multiply it.

use super::fields::Fields;
use super::node::{Data, Node};
use std::collections::HashMap;

/// Most values that are copied for the anchors and aliases of a document. A few lines of aliases to aliases would fill
/// any memory.
const MAX_COPIES: usize = 100_000;
/// How deep values may be nested; what reads them as JSON goes no deeper.
const MAX_DEPTH: usize = 120;

/// A document that is being read.
#[derive(Default)]
pub(super) struct Tree {
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    /// Values copied so far.
    pub(super) copies: usize,
    /// The whole document, once nothing is open.
    pub(super) root: Option<Node>,
}

/// A list or map of which there is more to come.
struct Open {
    line: u32,
    anchor: usize,
    part: Part,
}

pub(super) enum Part {
    List(Vec<Node>),
    Map(Fields),
}

/// What an alias stands for.
struct Anchored {
    node: Node,
    size: usize,
    depth: usize,
}

impl Tree {
    /// Begins a list or map.
    pub(super) fn open(&mut self, line: u32, anchor: usize, part: Part) -> Result<(), String> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep());
        }
        self.open.push(Open { line, anchor, part });
        Ok(())
    }

    /// Takes a `<<` where a map wants a name; elsewhere it is text.
    pub(super) fn merge(&mut self) -> bool {
        match self.open.last_mut().map(|open| &mut open.part) {
            Some(Part::Map(fields)) => fields.merge(),
            _ => false,
        }
    }

    /// The list or map that ends here, and its anchor.
    pub(super) fn close(&mut self) -> Option<(Node, usize)> {
        let Open { line, anchor, part } = self.open.pop()?;
        let data = match part {
            Part::List(items) => Data::List(items),
            Part::Map(fields) => Data::Map(fields.done()),
        };
        Some((Node { line, data }, anchor))
    }

    /// Takes a value that is whole. `anchor`: 0 for none.
    pub(super) fn put(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        if anchor != 0 {
            let (size, depth) = node.size();
            self.copied(size)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), size, depth });
        }
        match self.open.last_mut().map(|open| &mut open.part) {
            None => self.root = Some(node),
            Some(Part::List(items)) => items.push(node),
            Some(Part::Map(fields)) => fields.put(node)?,
        }
        Ok(())
    }

    /// A copy of what is anchored. It stands where the alias does, and so does what lies in it: there it is used, and there
    /// it can be changed without changing others.
    pub(super) fn alias(&mut self, line: u32, anchor: usize) -> Result<Node, String> {
        let Some(Anchored { node, size, depth }) = self.anchors.get(&anchor) else {
            return Err("an alias stands within what it stands for".to_owned());
        };
        if self.open.len() + depth > MAX_DEPTH {
            return Err(too_deep());
        }
        let size = *size;
        let mut copy = node.clone();
        self.copied(size)?;
        copy.put_on(line);
        Ok(copy)
    }

    fn copied(&mut self, size: usize) -> Result<(), String> {
        self.copies += size;
        if self.copies > MAX_COPIES {
            return Err(format!("anchors and aliases make more than {MAX_COPIES} values of this document"));
        }
        Ok(())
    }
}

fn too_deep() -> String {
    format!("it is nested deeper than {MAX_DEPTH} levels")
}
