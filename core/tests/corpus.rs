//! The pods that fuzzing keeps, through its checks.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

#[path = "../../fuzz/checks/pod.rs"]
mod check;

use std::fs;

#[test]
fn every_pod_that_fuzzing_keeps_is_injected_once_and_admitted_with_what_is_listed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/pod");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let read = files.inspect(|file| check::check(&fs::read(file).unwrap())).count();
    assert!(read > 20, "{read}");
}
