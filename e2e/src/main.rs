//! The end-to-end harness of perpro, as a program.

use std::process::ExitCode;

use clap::Parser;
use perpro_e2e::cli::cluster::{self, ClusterArgs};
use perpro_e2e::cli::demo::{self, DemoArgs};
use perpro_e2e::cli::test::{self, TestArgs};

/// The end-to-end harness of perpro
#[derive(Debug, Parser)]
#[command(name = "e2e")]
enum Command {
    Cluster(ClusterArgs),
    Demo(DemoArgs),
    Test(TestArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Cluster(args) => cluster::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Test(args) => test::run(args).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
