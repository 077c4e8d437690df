//! Benchmarks: what perpro costs, beside the least that the same work can cost, measured in the same minutes.
//!
//! Each but `check` starts API servers of its own and ends them, prints one line of JSON, and fails when a limit is missed.
//! docs/benchmarks.md tells how to read them.

mod admission;
mod api;
mod burst;
mod check;
mod floor;
mod load;
mod objects;
mod processor;
mod report;
mod reviews;
mod webhook;
mod writes;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};

use perpro_e2e::cache::Cache;
use perpro_e2e::cluster::signals::Interrupt;
use perpro_e2e::cluster::{Cluster, Options};
use perpro_e2e::progress;

/// Longest wait for what takes a second or less on a machine that has nothing else to do.
const SOON: Duration = Duration::from_secs(60);

/// What perpro costs, beside the least that the same work can cost.
///
/// Prints one line of JSON on stdout, and fails when a limit is missed. API servers that it starts end with it.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// Only see that it works: a few rounds, and no limits
    #[arg(long, global = true)]
    smoke: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reviews a second by our webhook process, asked directly; its memory, and the size of the program
    Webhook,
    /// How long the creation of a pod takes through an API server
    Admission,
    /// How fast many agents come to their power
    Burst,
    /// Manifests a second by `perpro check`; no API server
    Check,
    /// A webhook that allows everything; benchmarks start it
    #[command(hide = true)]
    Floor {
        /// On this port of 127.0.0.1
        port: u16,
        /// Folder with tls.crt and tls.key
        tls: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(Args { command, smoke }: Args) -> Result<()> {
    let cache = Cache::from_env()?;
    let report = match command {
        Command::Webhook => webhook::run(&cache, smoke).await?,
        Command::Admission => admission::run(&cache, smoke).await?,
        Command::Burst => burst::run(&cache, smoke).await?,
        Command::Check => check::run(&cache, smoke)?,
        Command::Floor { port, tls } => return floor::serve(port, &tls).await,
    };
    for finding in &report.findings {
        progress::say(&finding.to_string());
    }
    println!("{}", report.json(&processor::machine()));
    if report.passed() { Ok(()) } else { bail!("a limit is missed") }
}

/// An API server of the benchmarks' own, never that of a person.
fn cluster(cache: &Cache, name: &str) -> Result<Cluster> {
    let dir = Some(cache.clusters().join(format!("bench-{name}")));
    Cluster::open(cache, &Options { dir, nodeless: true, version: None })
}

/// The path of the accounts of a namespace's instances.
fn accounts(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/serviceaccounts?labelSelector=perpro.dev/identity")
}

/// Starts clusters, runs `work`, and ends them, whatever happens.
async fn on_clusters<T>(clusters: &[&Cluster], work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut interrupt = None;
    let mut result = async {
        for cluster in clusters {
            // What a run that was killed has left is not measured.
            cluster.down().await?;
            cluster.up().await?;
        }
        interrupt.insert(Interrupt::listen()?).or(work).await
    }
    .await;
    for cluster in clusters {
        let ended = cluster.down().await;
        result = result.and_then(|value| ended.map(|()| value));
    }
    result
}
