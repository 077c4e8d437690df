//! Identity for AI agents on Kubernetes: the operator, the admission webhook and their tools.
//!
//! `cli -> services -> {snapshot, cluster} -> perpro-core` and `cli -> {cluster, adopt, manifest, scan} -> perpro-core`;
//! everything may use `runtime`. The services never import each other. `tests/layers.rs` holds the arrows.

mod adopt;
mod certs;
mod cli;
mod cluster;
mod controller;
mod manifest;
mod runtime;
mod scan;
mod snapshot;
mod webhook;

use mimalloc::MiMalloc;
use std::process::ExitCode;

/// A pod is read into hundreds of small objects, and dropped: with glibc's allocator that is a fifth of what an answer
/// of the webhook costs. No huge pages: they would hold half as much memory again.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
