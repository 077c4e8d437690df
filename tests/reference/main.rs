//! docs/reference is generated: from the catalogue of codes, the definitions of the kinds, and
//! the constants in core `names`. This test fails when a page differs; `just docs` writes them.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod codes;
mod kinds;
mod marks;

use std::fs;
use std::path::Path;

/// Set, the pages are written instead of compared.
const WRITE: &str = "PERPRO_WRITE_DOCS";

fn pages() -> Vec<(String, String)> {
    let kinds = perpro_core::api::definitions();
    let kinds =
        kinds.iter().map(|k| (format!("{}.md", k.spec.names.singular.as_deref().unwrap()), kinds::page(k)));
    let rest = [("codes.md".to_owned(), codes::page()), ("marks.md".to_owned(), marks::page())];
    kinds.chain(rest).collect()
}

#[test]
fn the_reference_is_what_the_code_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference");
    let pages = pages();
    if std::env::var_os(WRITE).is_some() {
        for (name, page) in &pages {
            fs::write(folder.join(name), page).unwrap();
        }
    }
    for (name, page) in &pages {
        let found = fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(found == *page, "docs/reference/{name} differs from the code: run `just docs`");
    }
    // The list of metrics is written by hand; an API-level test compares it with what is served.
    let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).chain(["metrics.md"]).collect();
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.ends_with(".md") || names.contains(&name.as_str()), "{name} is not generated");
    }
}

/// A cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
