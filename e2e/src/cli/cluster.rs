//! `e2e/cluster up|install|status|down`.
//!
//! `up` and `status` print one line on stdout, so that a shell can evaluate it; all else goes to stderr.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use crate::cache::Cache;
use crate::cluster::{self, Cluster, Options};
use crate::programs::Program;
use crate::progress::say;
use crate::{demo, install};

/// A Kubernetes cluster on this machine, without Docker.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    #[command(subcommand)]
    verb: Verb,
    /// The cluster's folder [default: one per kind and version in the cache folder]
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
    /// Only the control plane: no node, no pods, no root needed
    #[arg(long, global = true)]
    nodeless: bool,
    /// Version of Kubernetes [default: 1.36.3]
    #[arg(long, global = true)]
    version: Option<String>,
    /// Use this cluster of your own instead (kind, k3d, managed)
    #[arg(long, global = true, conflicts_with_all = ["dir", "nodeless", "version"])]
    kubeconfig: Option<PathBuf>,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Start the cluster; building its programs takes minutes the first time
    Up,
    /// Install perpro from this checkout, or bring it up to date
    Install {
        /// What your own cluster shall run, with --kubeconfig
        #[arg(long, requires = "kubeconfig")]
        image: Option<String>,
    },
    /// Build the images of perpro and of the examples, and put them on the node under the names that charts and
    /// manifests use: in place of `docker build` and `kind load`. Builds helm, too
    Images,
    /// Say what runs
    Status,
    /// End the cluster and remove all that it made, except logs
    Down,
}

/// Runs the subcommand.
///
/// # Errors
/// Those of the cluster.
pub async fn run(args: ClusterArgs) -> Result<()> {
    if let Some(kubeconfig) = &args.kubeconfig {
        return with_theirs(&args.verb, &std::path::absolute(kubeconfig)?).await;
    }
    let options = Options { dir: args.dir, nodeless: args.nodeless, version: args.version };
    let cache = Cache::from_env()?;
    let cluster = Cluster::open(&cache, &options)?;
    match args.verb {
        Verb::Up => cluster.up().await?,
        Verb::Status => status(&cluster).await?,
        Verb::Install { .. } => install::into_ours(&cache, &cluster).await?,
        Verb::Images => {
            install::image(&cache, &cluster).await?;
            demo::image_of_examples(&cache, &cluster).await?;
            Program::helm().ensure(&cache).await?;
            say(&format!("# helm: {}", Program::helm().path(&cache).display()));
        }
        Verb::Down => return cluster.down().await,
    }
    say(&format!("# kubectl: {}", cluster.kubectl().display()));
    say(&format!("# perpro: {}", install::product()?.display()));
    export(&cluster.kubeconfig());
    Ok(())
}

async fn status(cluster: &Cluster) -> Result<()> {
    for (name, (id, alive)) in cluster.processes()? {
        let state = if alive { "runs" } else { "has ended" };
        say(&format!("{name:<24} {:<8} {state:<10} {}", id.pid, cluster.layout().log(&name).display()));
    }
    cluster.check().await.context("the cluster does not work; start it with `e2e/cluster up`")
}

/// The reader's cluster is asked whether it is there, and left as it is.
async fn with_theirs(verb: &Verb, kubeconfig: &Path) -> Result<()> {
    match verb {
        Verb::Down => say("this cluster is yours: nothing was done to it"),
        Verb::Install { image } => {
            install::into_theirs(&Cache::from_env()?, kubeconfig, image.as_deref()).await?;
            export(kubeconfig);
        }
        Verb::Images => say("this cluster is yours: `docker build` and `kind load docker-image` are for it"),
        Verb::Up | Verb::Status => {
            let reachable = cluster::is_reachable(kubeconfig).await;
            reachable.with_context(|| format!("cannot reach the cluster of {}", kubeconfig.display()))?;
            export(kubeconfig);
        }
    }
    Ok(())
}

fn export(kubeconfig: &Path) {
    println!("export KUBECONFIG={}", quoted(&kubeconfig.to_string_lossy()));
}

/// One word for a POSIX shell.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_there_before_anything_is_built_and_names_all_that_there_is() {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster");
        for ask in ["--help", "-h", "help"] {
            // Where nothing can be built.
            let mut help = std::process::Command::new(script);
            help.arg(ask).env("PATH", "/usr/bin:/bin").env("CARGO_TARGET_DIR", "/dev/null/target");
            let said = help.output().unwrap();
            let text = String::from_utf8(said.stdout).unwrap();
            assert!(said.status.success(), "{ask}: {}", String::from_utf8_lossy(&said.stderr));
            let command = ClusterArgs::augment_args(clap::Command::new("cluster"));
            for verb in command.get_subcommands() {
                assert!(text.contains(&format!("\n    {} ", verb.get_name())), "{}: {text}", verb.get_name());
            }
            for flag in command.get_arguments().filter_map(|a| a.get_long()) {
                assert!(text.contains(&format!("\n  --{flag} ")), "{flag}: {text}");
            }
        }
    }

    #[test]
    fn paths_are_quoted_for_a_shell_only_where_needed() {
        assert_eq!(quoted("/home/jane/.cache/perpro/kubeconfig"), "/home/jane/.cache/perpro/kubeconfig");
        assert_eq!(quoted("/home/o'neil/my files"), r"'/home/o'\''neil/my files'");
    }
}
