//! The manifests that fuzzing keeps, through its checks.

#[path = "../../fuzz/checks/manifest.rs"]
mod check;

use std::fs;

#[test]
fn every_manifest_that_fuzzing_keeps_is_read_as_others_read_it() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/manifest");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let read = files.inspect(|file| check::check(&fs::read(file).unwrap())).count();
    assert!(read > 50, "{read}");
}
