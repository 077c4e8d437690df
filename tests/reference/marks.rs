//! marks.md: the constants of core `names`, whose comments say what they are.

use super::cell;
use std::fmt::Write;

const SOURCE: &str = include_str!("../../core/src/names.rs");

/// A string constant and its comment.
struct Mark {
    value: String,
    about: String,
}

fn marks() -> Vec<Mark> {
    let (mut found, mut about) = (Vec::new(), Vec::new());
    for line in SOURCE.lines() {
        if let Some(comment) = line.strip_prefix("/// ") {
            about.push(comment);
        } else {
            let value = line.split_once(": &str = \"").and_then(|(_, rest)| rest.split_once('"'));
            if let Some((value, _)) = value.filter(|_| line.starts_with("pub const")) {
                found.push(Mark { value: value.to_owned(), about: about.join(" ") });
            }
            about.clear();
        }
    }
    found
}

/// Headings, and whose comments begin or continue how.
fn room(about: &str) -> &'static str {
    let begin = about.split(':').next().unwrap_or_default().to_lowercase();
    if begin.contains("label") && !begin.contains("prefix") {
        "Labels"
    } else if begin.contains("annotation") && !begin.contains("prefix") {
        "Annotations"
    } else {
        "Names, prefixes and places"
    }
}

pub fn page() -> String {
    let marks = marks();
    assert!(marks.len() > 20, "the constants were not found");
    let mut page = "# Marks\nEvery label, annotation, name and prefix that perpro writes or reads. \
        Generated from `core/src/names.rs`.\n"
        .to_owned();
    for heading in ["Labels", "Annotations", "Names, prefixes and places"] {
        let _ = write!(page, "\n## {heading}\n| | |\n|---|---|\n");
        for mark in marks.iter().filter(|m| room(&m.about) == heading) {
            let _ = writeln!(page, "| `{}` | {} |", mark.value, cell(&plain(&mark.about)));
        }
    }
    page
}

/// A comment without rustdoc's links.
fn plain(comment: &str) -> String {
    comment.replace("[`", "`").replace("`]", "`")
}
