//! The stages: what each is called, where it runs, and by which commands.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use tokio::process::Command;

use crate::cache::Cache;
use crate::command::command;
use crate::install::checkout;
use crate::programs::KUBERNETES;

/// The oldest Kubernetes that perpro works with.
const OLDEST: &str = "1.33.13";

/// The test program that needs real parts. A stage runs one of its modules.
pub(crate) const REAL: &str = "e2e";

/// A part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Stage {
    /// rustfmt
    Format,
    /// clippy, warnings fail
    Clippy,
    /// shellcheck of all shell scripts
    Shell,
    /// cargo-deny, where it is installed
    Deny,
    /// The lock file of fuzz/, which nothing else here reads
    FuzzLock,
    /// Compile all test programs
    Build,
    /// Unit, property, drift and layer tests
    Unit,
    /// Programs of the examples
    Go,
    /// Lint and render the charts
    Charts,
    /// A real API server of the default version, without nodes
    ApiNewest,
    /// Processes killed at every write; takes nine minutes, beside the stages after it
    Crash,
    /// A real API server of the oldest version, without nodes
    ApiOldest,
    /// The cluster tool itself
    Cluster,
    /// Real pods on a cluster with a node
    Pods,
    /// The demo, on the same cluster
    Demo,
    /// The end of perpro on it
    Uninstall,
}

/// A cluster of the suite's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    Newest,
    Oldest,
    Full,
}

impl Home {
    pub(crate) const ALL: [Self; 3] = [Self::Newest, Self::Oldest, Self::Full];

    /// Never the folder of a person's cluster.
    pub(crate) fn dir(self, cache: &Cache) -> PathBuf {
        let name = match self {
            Self::Newest => "test-newest",
            Self::Oldest => "test-oldest",
            Self::Full => "test-full",
        };
        cache.clusters().join(name)
    }

    pub(crate) fn is_nodeless(self) -> bool {
        self != Self::Full
    }

    pub(crate) fn version(self) -> &'static str {
        if self == Self::Oldest { OLDEST } else { KUBERNETES }
    }
}

/// How a stage's output tells how many tests ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runner {
    /// It is one check itself.
    None,
    Cargo,
    Go,
}

/// What commands need to know.
pub(crate) struct Context<'a> {
    pub(crate) cache: &'a Cache,
    /// This program, by the path at which it was started: cargo may replace the file meanwhile.
    pub(crate) harness: &'a Path,
}

impl Stage {
    /// As people name it.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub(crate) fn runner(self) -> Runner {
        match self {
            Self::Unit => Runner::Cargo,
            Self::Go => Runner::Go,
            _ if self.module().is_some() => Runner::Cargo,
            _ => Runner::None,
        }
    }

    /// The cluster that it runs on.
    pub(crate) fn home(self) -> Option<Home> {
        match self {
            Self::ApiNewest | Self::Crash => Some(Home::Newest),
            Self::ApiOldest => Some(Home::Oldest),
            Self::Pods | Self::Demo | Self::Uninstall => Some(Home::Full),
            _ => None,
        }
    }

    /// The module of [`REAL`] whose tests it runs.
    pub(crate) fn module(self) -> Option<&'static str> {
        match self {
            Self::Charts => Some("rendering"),
            Self::ApiNewest | Self::ApiOldest => Some("api"),
            Self::Crash => Some("crash"),
            Self::Cluster => Some("cluster"),
            Self::Pods => Some("running"),
            Self::Uninstall => Some("removal"),
            _ => None,
        }
    }

    /// What it runs, in order, until one fails.
    pub(crate) fn commands(self, context: &Context<'_>) -> Vec<Command> {
        let mut commands = self.home().map(|home| context.cluster(home)).unwrap_or_default();
        commands.extend(match self {
            Self::Format => vec![cargo(&["fmt", "--all", "--check"])],
            Self::Clippy => vec![workspace("clippy", &["--all-targets", "--", "-D", "warnings"])],
            Self::Shell => vec![shellcheck()],
            Self::Deny => vec![cargo(&["deny", "--locked", "check"])],
            Self::FuzzLock => vec![fuzz_lock()],
            Self::Build => vec![workspace("test", &["--no-run"])],
            Self::Unit => vec![workspace("test", &["--no-fail-fast"])],
            Self::Go => vec![go(&["vet", "./..."]), go(&["test", "-v", "./..."])],
            Self::Demo => vec![context.demo()],
            Self::Charts
            | Self::ApiNewest
            | Self::ApiOldest
            | Self::Crash
            | Self::Cluster
            | Self::Pods
            | Self::Uninstall => {
                vec![context.ignored_tests(self)]
            }
        });
        commands
    }
}

impl Context<'_> {
    /// Starts a cluster and installs perpro, or brings it up to date.
    fn cluster(&self, home: Home) -> Vec<Command> {
        let verb = |verb: &str| {
            let mut run = self.own(&["cluster", verb, "--version", home.version()], home);
            run.args(home.is_nodeless().then_some("--nodeless"));
            run
        };
        vec![verb("up"), verb("install")]
    }

    fn demo(&self) -> Command {
        self.own(&["demo"], Home::Full)
    }

    fn own(&self, args: &[&str], home: Home) -> Command {
        let mut run = in_checkout(self.harness);
        run.args(args).arg("--dir").arg(home.dir(self.cache));
        run
    }

    fn ignored_tests(&self, stage: Stage) -> Command {
        let mut test = workspace("test", &["--test", REAL, "--", "--ignored"]);
        test.arg(format!("{}::", stage.module().unwrap_or_default()));
        // They kill the processes that they share.
        test.args((stage == Stage::Crash).then_some("--test-threads=1"));
        if let Some(home) = stage.home() {
            test.env("PERPRO_E2E_DIR", home.dir(self.cache));
        }
        test
    }
}

fn in_checkout(program: impl AsRef<Path>) -> Command {
    let mut command = command(program);
    // What is counted has no colours in it.
    command.current_dir(checkout()).env("CARGO_TERM_COLOR", "never");
    command
}

fn cargo(args: &[&str]) -> Command {
    let mut cargo = in_checkout("cargo");
    cargo.args(args);
    cargo
}

/// The whole workspace, always: so features unify in one way and nothing is built twice.
fn workspace(verb: &str, args: &[&str]) -> Command {
    let mut cargo = cargo(&[verb, "--release", "--workspace", "--locked"]);
    cargo.args(args);
    cargo
}

fn go(args: &[&str]) -> Command {
    let mut go = in_checkout("go");
    go.args(args).current_dir(checkout().join("examples/agents"));
    go
}

/// Loads no crate. Only where the index was never asked for what fuzz/ alone needs, it is asked, which takes a second.
fn fuzz_lock() -> Command {
    let mut bash = in_checkout("bash");
    bash.args(["-euo", "pipefail", "-c"]);
    bash.arg(
        "check='cargo update --workspace --locked --manifest-path fuzz/Cargo.toml'; $check --offline || $check",
    );
    bash
}

fn shellcheck() -> Command {
    let mut bash = in_checkout("bash");
    bash.args(["-euo", "pipefail", "-c"]);
    bash.arg("git grep --untracked -lE '^#!.*[/ ](ba)?sh$' | xargs --no-run-if-empty shellcheck -x");
    bash
}
