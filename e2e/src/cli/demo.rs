//! `e2e/demo`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::cluster::quoted;
use crate::cache::Cache;
use crate::cluster::{Cluster, Options};
use crate::command::find;
use crate::demo;

/// A Kubernetes cluster with perpro and two agents, and what happens to them, in two minutes.
///
/// Programs are built the first time, which takes longer. The cluster goes on running for you to look around.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// End the cluster when the story is told, or has failed
    #[arg(long)]
    down: bool,
    /// The cluster's folder [default: one per version in the cache folder]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Version of Kubernetes [default: 1.36.3]
    #[arg(long)]
    version: Option<String>,
}

/// Runs the subcommand.
///
/// # Errors
/// Those of the demo.
pub async fn run(args: DemoArgs) -> Result<()> {
    let cache = Cache::from_env()?;
    let options = Options { dir: args.dir.clone(), nodeless: false, version: args.version.clone() };
    let cluster = Cluster::open(&cache, &options)?;
    demo::run(&cache, &cluster, args.down).await?;
    if !args.down {
        println!("{}", look_around(&cluster, &args));
    }
    Ok(())
}

/// What to type next.
fn look_around(cluster: &Cluster, args: &DemoArgs) -> String {
    let mut export = format!("export KUBECONFIG={}", quoted(&cluster.kubeconfig().to_string_lossy()));
    let kubectl = cluster.kubectl();
    if let Some(folder) = kubectl.parent().filter(|_| find("kubectl").is_none()) {
        export += &format!(" PATH={}:$PATH", quoted(&folder.to_string_lossy()));
    }
    let which = |name, value: Option<String>| value.map(|value| format!(" --{name} {}", quoted(&value)));
    let dir = which("dir", args.dir.as_ref().map(|dir| dir.to_string_lossy().into_owned()));
    let version = which("version", args.version.clone());
    format!(
        "Look around: {export}\n             kubectl get aid -A\n       Stop: e2e/cluster down{}{}",
        dir.unwrap_or_default(),
        version.unwrap_or_default()
    )
}
