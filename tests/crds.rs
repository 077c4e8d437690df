//! What is committed under `crds/` and in the CRD chart is what the types generate.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_committed_definitions_are_the_generated_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fresh = std::env::temp_dir().join(format!("perpro-crds-{}", std::process::id()));
    fs::create_dir_all(&fresh).unwrap();
    let status =
        Command::new(env!("CARGO_BIN_EXE_perpro")).args(["crds", "--out-dir"]).arg(&fresh).status().unwrap();
    assert!(status.success());
    let mut names: Vec<_> = fs::read_dir(&fresh).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["agentidentities.yaml", "agentpolicies.yaml", "governednamespaces.yaml"]);
    for folder in ["crds", "charts/perpro-crds/files"] {
        let folder = root.join(folder);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), names.len(), "stray file in {}", folder.display());
        for name in &names {
            let expected = fs::read_to_string(fresh.join(name)).unwrap();
            let found = fs::read_to_string(folder.join(name)).unwrap_or_default();
            assert!(found == expected, "{} differs: run `just crds`", folder.join(name).display());
        }
    }
    fs::remove_dir_all(&fresh).unwrap();
}
