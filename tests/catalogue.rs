//! Every code in the sources stands in the catalogue, and every entry there is a code in use.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

use perpro_core::catalogue;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Where codes are said.
const SOURCES: [&str; 3] = ["core/src", "src", "charts"];
/// The catalogue itself proves nothing about itself.
const CATALOGUE: &str = "core/src/catalogue";

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Every `AID` and three digits in a text.
fn codes(text: &str) -> BTreeSet<String> {
    let digits = |rest: &str| rest.len() >= 3 && rest.bytes().take(3).all(|b| b.is_ascii_digit());
    let rests = text.split("AID").skip(1).filter(|rest| digits(rest));
    rests.map(|rest| format!("AID{}", &rest[..3])).collect()
}

/// A source without its tests.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default()
}

/// The part of a source that says codes to people: no comments.
fn said(product: &str) -> String {
    let comment = |line: &&str| {
        let line = line.trim_start();
        line.starts_with("//") || line.starts_with('#')
    };
    product
        .lines()
        .filter(|line| !comment(line) || line.contains("x_kube") || line.contains("kube("))
        .collect()
}

#[test]
fn the_catalogue_has_exactly_the_codes_that_the_sources_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut mentioned, mut used) = (BTreeMap::new(), BTreeSet::new());
    for file in SOURCES.iter().flat_map(|folder| files(&root.join(folder))) {
        let name = file.strip_prefix(root).unwrap().display().to_string();
        if name.starts_with(CATALOGUE) {
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        let text = product(&text);
        mentioned.extend(codes(text).into_iter().map(|code| (code, name.clone())));
        used.extend(codes(&said(text)));
    }
    let known: BTreeSet<_> = catalogue::all().iter().map(|e| e.code.to_owned()).collect();
    let unknown: Vec<_> = mentioned.iter().filter(|(code, _)| !known.contains(*code)).collect();
    assert!(unknown.is_empty(), "say in {CATALOGUE} what these mean: {unknown:?}");
    let unused: Vec<_> = known.difference(&used).collect();
    assert!(unused.is_empty(), "nothing says these any more: {unused:?}");
}

/// Names of the policies that a template of the chart makes.
fn policies(template: &str) -> Vec<String> {
    let made = template.split("include \"perpro.policy\" (list . \"").skip(1);
    made.map(|rest| format!("perpro-{}", rest.split('"').next().unwrap_or_default())).collect()
}

#[test]
fn the_catalogue_names_exactly_the_policies_of_the_chart() {
    let templates = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/perpro/templates"));
    let made: BTreeSet<_> =
        templates.iter().flat_map(|t| policies(&fs::read_to_string(t).unwrap())).collect();
    let sources = catalogue::all().into_iter().flat_map(|e| e.from);
    let named: BTreeSet<_> = sources
        .filter_map(|s| if let catalogue::Source::Policy(name) = s { Some((*name).to_owned()) } else { None })
        .collect();
    assert!(!made.is_empty(), "the policies were not found");
    assert_eq!(named, made, "`perpro status` expects what the catalogue names");
}

#[test]
fn every_folder_of_manifests_is_shown_by_a_code() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/codes");
    let folders: BTreeSet<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap())
        .filter(|e| e.path().is_dir())
        .map(|e| e.file_name().into_string().unwrap())
        .collect();
    let shown: BTreeSet<_> = catalogue::all()
        .iter()
        .filter(|e| matches!(e.example, catalogue::Example::Manifests { .. }))
        .map(|e| e.code.to_owned())
        .collect();
    assert_eq!(folders, shown);
}

#[test]
fn a_code_in_a_comment_or_a_test_is_not_in_use() {
    let source = "// AID001\nfn f() -> &str { \"AID002\" }\n# AID003\n#[cfg(test)]\nmod tests { \"AID004\" }";
    assert_eq!(codes(&said(product(source))), BTreeSet::from(["AID002".to_owned()]));
    assert_eq!(codes(source).len(), 4);
}
