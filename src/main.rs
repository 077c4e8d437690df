//! Identity for AI agents on Kubernetes: the operator, the admission webhook and their tools.
//!
//! `cli -> services -> {snapshot, cluster} -> perpro-core`; everything may use `runtime`. The
//! services never import each other. `tests/layers.rs` holds the arrows.

mod certs;
mod cli;
mod cluster;
mod controller;
mod runtime;
mod snapshot;
mod webhook;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
