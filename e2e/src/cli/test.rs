//! `e2e/test`.

use anyhow::Result;
use clap::Args;

use crate::suite::{self, Stage};

/// Everything that must pass, in stages, and how many tests passed, failed and were skipped.
///
/// Clusters are started in folders of the tests' own and end with them.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Run this stage only; may be repeated
    #[arg(long, value_name = "STAGE")]
    only: Vec<Stage>,
}

/// Runs the subcommand.
///
/// # Errors
/// When anything failed.
pub async fn run(args: TestArgs) -> Result<()> {
    suite::run(&args.only).await
}
