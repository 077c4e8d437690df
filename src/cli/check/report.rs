//! What was found, and where it stands in its source.

use super::input::{self, File, Input};
use super::judge::SECRET;
use super::masks::{self, Masks};
use crate::manifest::{Lines, Node, Object};
use perpro_core::decide::check::{has_parameter, may_hold_value};
use perpro_core::decide::refusal::{Reason, Refusal};
use std::collections::{BTreeMap, BTreeSet};

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Report<'a> {
    pub(super) findings: Vec<Finding<'a>>,
    pub(super) problems: Vec<Problem<'a>>,
    /// Identities, as `namespace/name`, that pods name and nobody could look at.
    pub(super) unseen: BTreeSet<String>,
    pub(super) files: usize,
    /// What must not be shown of the files.
    pub(super) masks: Masks<'a>,
    /// Pods and pod templates, ours or not.
    pub(super) pods: usize,
    /// Those of them that were judged: who says that it is an agent, and where every pod is one.
    pub(super) agents: usize,
}

/// Something that cannot be read.
#[derive(Debug)]
pub(super) struct Problem<'a> {
    pub(super) file: &'a str,
    /// `None` for the whole file.
    pub(super) line: Option<u32>,
    pub(super) what: &'a str,
}

/// One refusal or warning, where it stands in its source.
#[derive(Debug)]
pub(super) struct Finding<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
    pub(super) lines: Lines,
    /// Whether the lines are not shown: somebody's secret may stand there.
    pub(super) hidden: bool,
    /// What somebody is told who applies it, with the path from the document on.
    pub(super) refusal: Refusal,
    /// Whether it would pass all the same.
    pub(super) warning: bool,
    pub(super) object: Named,
}

/// What the finding is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// An object and where it stands.
pub(super) struct Placed<'a> {
    pub(super) file: &'a File,
    pub(super) object: &'a Object,
    pub(super) namespace: String,
}

impl<'a> Report<'a> {
    /// Of the files that could not be read, and of nothing else yet.
    pub(super) fn of(input: &'a Input) -> Self {
        let line = |line| Some(line).filter(|line| *line != input::WHOLE);
        let problems = input.files.iter().flat_map(|file| {
            let of_file = file.manifest.problems.iter();
            of_file.map(move |p| Problem { file: &file.name, line: line(p.line), what: &p.what })
        });
        Self { files: input.files.len(), problems: problems.collect(), ..Self::default() }
    }

    /// With the findings as they stand in the files.
    pub(super) fn in_order_of(mut self, input: &Input) -> Self {
        let order: BTreeMap<_, _> =
            input.files.iter().enumerate().map(|(i, f)| (f.name.as_str(), i)).collect();
        self.findings.sort_by_key(|f| (order.get(f.file).copied(), f.lines.first));
        self
    }

    /// Adds findings, whose paths begin at `below` in their object.
    pub(super) fn tell(
        &mut self,
        placed: &Placed<'a>,
        below: &str,
        refusals: Vec<Refusal>,
        warnings: Vec<Refusal>,
    ) {
        let Placed { file, object, namespace } = placed;
        let named = Named {
            kind: object.kind.clone(),
            namespace: namespace.clone(),
            name: object.name().unwrap_or_default().to_owned(),
        };
        let all = refusals.into_iter().map(|r| (r, false)).chain(warnings.into_iter().map(|w| (w, true)));
        for (Refusal { path, reason }, warning) in all {
            // What is wrong with a pod as a whole.
            let path = if path == "object" { String::new() } else { path };
            let path = [below, &path].into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(".");
            let mut lines = object.node.locate(&path);
            let node = object.node.find(&path);
            let value = node.and_then(Node::text).unwrap_or_default();
            let is_literal = matches!(reason, Reason::LiteralCredential { .. });
            // Something else will stand there, which may be right. Not where the field itself is wrong.
            let is_unknown = matches!(reason, Reason::UnknownField { .. });
            let is_parameter = !is_literal && !is_unknown && has_parameter(value);
            let called = called(&object.node, &path);
            let is_misspelled = is_unknown || matches!(reason, Reason::Unreadable { .. });
            // What is no credential by its form may still be one.
            let hidden = object.kind == SECRET
                || called.is_some() && !is_literal
                || is_misspelled && may_hold_value(&path);
            if is_literal {
                let name = called.unwrap_or_default();
                self.masks.add(&file.name, &file.text, value, name);
                let from = node.map_or(lines.first, |node| node.line);
                if let Some(line) = masks::line_of(&file.text, from, value, name) {
                    lines = Lines { first: line, last: line };
                }
            }
            let path =
                [&object.path, &path].into_iter().filter(|p| !p.is_empty()).cloned().collect::<Vec<_>>();
            self.findings.push(Finding {
                file: &file.name,
                text: &file.text,
                lines,
                hidden,
                refusal: Refusal { path: path.join("."), reason },
                warning: warning || is_parameter,
                object: named.clone(),
            });
        }
    }
}

/// Name of the environment variable, or header of a probe, that has its value in what stands at `path`: the value itself,
/// or all of it.
fn called<'n>(object: &'n Node, path: &str) -> Option<&'n str> {
    let (below, list) =
        [".env[", ".httpHeaders["].iter().find_map(|list| Some((path.rsplit_once(list)?, list)))?;
    let (item, _) = below.1.split_once(']')?;
    let item = object.find(&format!("{}{list}{item}]", below.0))?;
    item.get("value").and_then(|_| item.get("name")?.text())
}
