//! The reviews that fuzzing keeps, through its checks.

#[path = "../../fuzz/checks/review.rs"]
mod check;

use std::fs;

#[test]
fn every_review_that_fuzzing_keeps_is_answered_by_one_that_fits_it() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/review");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let read = files.inspect(|file| check::check(&fs::read(file).unwrap())).count();
    assert!(read > 20, "{read}");
}
