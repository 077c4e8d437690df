//! The arrows between the folders of `src/`, read off its `crate::` paths.
//!
//! `cli -> services -> {snapshot, cluster} -> perpro-core` and `cli -> adopt -> manifest`; everything may use
//! `runtime`, which uses nothing of ours. The compiler holds the arrow to the core; this test holds the others.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each folder may use.
fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("main", &["cli"] as &[_]),
        ("cli", &["adopt", "certs", "controller", "webhook", "cluster", "manifest", "scan", "runtime"]),
        ("adopt", &["manifest"]),
        ("certs", &["cluster", "runtime"]),
        ("controller", &["cluster", "snapshot", "runtime"]),
        ("webhook", &["cluster", "snapshot", "runtime"]),
        ("snapshot", &["runtime"]),
        ("cluster", &["runtime"]),
        ("manifest", &[]),
        ("scan", &[]),
        ("runtime", &[]),
    ])
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}

/// First segment after each `crate::`, `{a, b}` included.
fn uses(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in source.split("crate::").skip(1) {
        let names = match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap_or_default(),
            None => rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default(),
        };
        for name in names.split(',') {
            let name = name.trim().split("::").next().unwrap_or_default();
            if !name.is_empty() && name != "self" {
                found.insert(name.to_owned());
            }
        }
    }
    found
}

/// Every arrow in `src` that is not allowed, as `from -> to (file)`.
fn forbidden(files: &[(String, String)]) -> Vec<String> {
    let allowed = allowed();
    let mut found = Vec::new();
    for (file, source) in files {
        let from = file.split('/').next().unwrap_or_default().trim_end_matches(".rs");
        match allowed.get(from) {
            None => found.push(format!("{from} has no place in the layers ({file})")),
            Some(may) => {
                let wrong = uses(source).into_iter().filter(|to| to != from && !may.contains(&to.as_str()));
                found.extend(wrong.map(|to| format!("{from} -> {to} ({file})")));
            }
        }
    }
    found
}

#[test]
fn the_folders_use_each_other_only_downwards() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files: Vec<_> = rust_files(&root)
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    assert!(files.len() > 10, "the sources were not found");
    assert_eq!(forbidden(&files), Vec::<String>::new());
}

#[test]
fn an_arrow_upwards_is_seen() {
    let file = |name: &str, source: &str| (name.to_owned(), source.to_owned());
    let files = [
        file("webhook/pods.rs", "use crate::{cluster::Cluster, controller};"),
        file("runtime/tls.rs", "let x = crate::cluster::f();"),
        file("new/mod.rs", ""),
    ];
    assert_eq!(
        forbidden(&files),
        [
            "webhook -> controller (webhook/pods.rs)",
            "runtime -> cluster (runtime/tls.rs)",
            "new has no place in the layers (new/mod.rs)"
        ]
    );
}
