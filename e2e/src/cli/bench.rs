//! `e2e/bench`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::bench::{self, Bench};

/// What perpro costs, beside the least that the same work can cost.
///
/// Prints one line of JSON on stdout, and fails when a limit is missed. API servers that it starts end with it.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What is measured
    bench: Bench,
    /// Only see that it works: a few rounds, and no limits
    #[arg(long)]
    smoke: bool,
}

/// A webhook that allows everything, as a process of its own; benchmarks start it.
#[derive(Debug, Args)]
pub struct FloorArgs {
    /// On this port of 127.0.0.1
    port: u16,
    /// Folder with tls.crt and tls.key
    tls: PathBuf,
}

/// Runs the subcommand.
///
/// # Errors
/// Those of the benchmark.
pub async fn run(args: BenchArgs) -> Result<()> {
    bench::run(args.bench, args.smoke).await
}

/// Serves.
///
/// # Errors
/// When it cannot.
pub async fn floor(args: FloorArgs) -> Result<()> {
    bench::floor::serve(args.port, &args.tls).await
}
