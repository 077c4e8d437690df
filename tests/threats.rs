//! Every test that `docs/threats.md` names is there.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Where tests stand.
const SOURCES: [&str; 4] = ["core", "src", "tests", "e2e"];

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
}

/// Names of the tests in a source: functions with an attribute that makes them one.
fn tests(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim_start) {
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if ["#[test]", "#[tokio::test]", "#[rstest]"].iter().any(|attribute| line.starts_with(attribute)) {
            is_test = true;
        } else if let Some(function) = function {
            let name = function.split(['(', '<']).next().unwrap_or_default();
            found.extend(is_test.then(|| name.to_owned()));
            is_test = false;
        }
    }
    found
}

/// The last cell of each row of a page's tables, and the row.
fn rows(page: &str) -> Vec<(&str, &str)> {
    let rows = page.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    let cells = rows.filter_map(|row| Some((row.trim_end_matches('|').rsplit('|').next()?, row)));
    cells.filter(|(cell, _)| cell.trim() != "tests").collect()
}

/// What stands in backticks.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_attack_is_shown_by_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    SOURCES.iter().for_each(|folder| sources(&root.join(folder), &mut texts));
    let tests: BTreeSet<_> = texts.iter().flat_map(|text| tests(text)).collect();
    let page = fs::read_to_string(root.join("docs/threats.md")).unwrap();
    let rows = rows(&page);
    assert!(tests.len() > 100 && rows.len() > 20, "{} tests, {} rows", tests.len(), rows.len());
    for (cell, row) in rows {
        let named = names(cell);
        assert!(!named.is_empty(), "no test is named: {row}");
        let gone: Vec<_> = named.into_iter().filter(|name| !tests.contains(*name)).collect();
        assert!(gone.is_empty(), "no test is called {gone:?}: {row}");
    }
    let beside: Vec<_> =
        names(&page).into_iter().filter(|n| n.contains('_') && !tests.contains(*n)).collect();
    assert!(beside.is_empty(), "no test is called {beside:?}");
}

#[test]
fn a_name_counts_only_where_it_is_a_test() {
    let source = "#[test]\nfn a() {}\nfn b() {}\n#[rstest]\n#[case::x(1)]\nfn c(#[case] n: u8) {}\n\
        #[tokio::test]\n#[ignore = \"x\"]\nasync fn d() { fn e() {} }\n// fn f()";
    assert_eq!(tests(source), BTreeSet::from(["a", "c", "d"].map(str::to_owned)));
    let page = "| attack | what | tests |\n|---|---|---|\n| `x` | y | `a`, `c` |\nno row `z`";
    assert_eq!(rows(page).iter().map(|(cell, _)| names(cell)).collect::<Vec<_>>(), [["a", "c"]]);
}
