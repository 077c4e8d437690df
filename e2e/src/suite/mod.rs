//! Everything that must pass, in stages: `e2e/test`. Each stage is one or more commands, whose output goes to a file
//! that is shown when it fails. Clusters are the suite's own and end with it, however it ends.

mod counts;
mod run;
mod stage;
mod verdict;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use self::counts::Counts;
use self::stage::{Context, Home};
use crate::cache::Cache;
use crate::cluster::signals::Interrupt;
use crate::cluster::{Cluster, Options};
use crate::command::{find, tail};
use crate::packages::{self, Package};
use crate::programs::Program;
use crate::{files, progress};

pub use self::stage::Stage;

/// How much of a failed stage's output is shown.
const SHOWN: usize = 150;

/// Runs these stages, or all, and tells the counts in a last line.
///
/// # Errors
/// When anything failed, or the person interrupts; clusters are ended all the same.
pub async fn run(only: &[Stage]) -> Result<()> {
    let started = Instant::now();
    let suite = Suite::new(only)?;
    let _lock = match suite.lock() {
        Ok(lock) => lock,
        Err(error) => {
            suite.failed("stopped", &format!("{error:#}"));
            return suite.conclude(started);
        }
    };
    let mut interrupt = Interrupt::listen()?;
    let ran = interrupt.or(async {
        suite.can_have_its_clusters().await?;
        suite.stages().await
    });
    if let Err(error) = ran.await {
        suite.failed("stopped", &format!("{error:#}"));
    }
    suite.end_clusters(&Home::ALL).await;
    suite.conclude(started)
}

struct Suite {
    cache: Cache,
    harness: PathBuf,
    only: Vec<Stage>,
    results: RefCell<Vec<Counts>>,
    /// Tests by module that the unit tests left to a stage of their own.
    waiting: RefCell<BTreeMap<String, usize>>,
}

impl Suite {
    fn new(only: &[Stage]) -> Result<Self> {
        let cache = Cache::from_env()?;
        files::private_dir(&cache.root().join("test"))?;
        Ok(Self {
            cache,
            harness: std::env::current_exe()?,
            only: if only.is_empty() { Stage::value_variants().to_vec() } else { only.to_vec() },
            results: RefCell::default(),
            waiting: RefCell::default(),
        })
    }

    /// Two suites would share clusters.
    fn lock(&self) -> Result<File> {
        let lock = File::create(self.cache.root().join("test/lock"))?;
        lock.try_lock().context("another e2e/test runs with this cache")?;
        Ok(lock)
    }

    /// Ends what a run that was killed has left, and sees whether the machine can have a node.
    async fn can_have_its_clusters(&self) -> Result<()> {
        self.end_clusters(&Home::ALL).await;
        let needs_node = self.only.iter().any(|stage| stage.home() == Some(Home::Full));
        if !needs_node || !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let free = self.cluster(Home::Full)?.machine_is_free().await;
        free.context("the tests need the machine's one node, and nothing was run")
    }

    /// The crash tests mostly wait, so they run beside what needs other clusters.
    async fn stages(&self) -> Result<()> {
        use Stage::{
            ApiNewest, ApiOldest, Build, Charts, Clippy, Cluster, Crash, Demo, Deny, Format, FuzzLock, Go,
            Pods,
        };
        use Stage::{Shell, Uninstall, Unit};
        for stage in [Format, Shell, Clippy, Deny, FuzzLock] {
            self.stage(stage).await;
        }
        if !self.stage(Build).await {
            bail!("the tests do not compile");
        }
        for stage in [Unit, Go, Charts, ApiNewest] {
            self.stage(stage).await;
        }
        let crash = async {
            self.stage(Crash).await;
            self.end_clusters(&[Home::Newest]).await;
        };
        let others = async {
            self.stage(ApiOldest).await;
            self.end_clusters(&[Home::Oldest]).await;
            for stage in [Cluster, Pods, Demo, Uninstall] {
                self.stage(stage).await;
            }
            self.end_clusters(&[Home::Full]).await;
        };
        futures::join!(crash, others);
        Ok(())
    }

    /// Runs a stage and tells how it ended; false when it failed.
    async fn stage(&self, stage: Stage) -> bool {
        if !self.only.contains(&stage) {
            return true;
        }
        let name = stage.name();
        let expected = stage.module().and_then(|module| self.waiting.borrow().get(module).copied());
        if let Some(why) = cannot_run(stage) {
            let skipped = expected.unwrap_or(1);
            println!("{name:<12} skipped: {why}");
            self.results.borrow_mut().push(Counts { skipped, ..Counts::default() });
            return true;
        }
        let log = self.cache.root().join(format!("test/{name}.log"));
        let started = Instant::now();
        let work = async {
            self.prepare(stage).await?;
            run::all(stage.commands(&Context { cache: &self.cache, harness: &self.harness }), &log).await
        };
        // One line at a time: the crash tests run beside others.
        let ended = if stage == Stage::Crash { work.await } else { progress::meanwhile(&name, work).await };
        let output = fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let output = output.unwrap_or_default();
        let verdict = verdict::of(stage, ended, &output, expected);
        self.waiting.borrow_mut().extend(verdict.waiting);
        self.results.borrow_mut().push(verdict.counts);

        let took = started.elapsed().as_secs_f64();
        let Some(why) = verdict.failure else {
            println!("{name:<12} {:<38} {took:>7.1} s", verdict.counts.to_string());
            return true;
        };
        println!("{name:<12} {:<38} {took:>7.1} s   FAILED: {why}", verdict.counts.to_string());
        println!("--- the end of {}", log.display());
        println!("{}", tail(&output, SHOWN));
        if let Some(home) = stage.home() {
            println!("--- the cluster's logs: {}", self.cluster_logs(home));
        }
        println!("---");
        false
    }

    /// Installs and builds what the stage's commands take for granted.
    async fn prepare(&self, stage: Stage) -> Result<()> {
        match stage {
            Stage::Shell => packages::ensure(&[Package::Shellcheck]).await,
            Stage::Charts => Program::helm().ensure(&self.cache).await.map(drop),
            Stage::Pods | Stage::Uninstall => packages::ensure(&[Package::Buildah]).await,
            _ => Ok(()),
        }
    }

    async fn end_clusters(&self, homes: &[Home]) {
        for home in homes {
            let ended = async {
                let cluster = self.cluster(*home)?;
                if cluster.was_started() { cluster.down().await } else { Ok(()) }
            };
            if let Err(error) = ended.await {
                self.failed("clusters", &format!("{error:#}"));
            }
        }
    }

    fn failed(&self, what: &str, why: &str) {
        println!("{what:<12} FAILED: {why}");
        self.results.borrow_mut().push(Counts { failed: 1, ..Counts::default() });
    }

    fn cluster(&self, home: Home) -> Result<Cluster> {
        let dir = Some(home.dir(&self.cache));
        Cluster::open(&self.cache, &Options { dir, nodeless: home.is_nodeless(), version: None })
    }

    fn cluster_logs(&self, home: Home) -> String {
        home.dir(&self.cache).join("logs").display().to_string()
    }

    /// The last lines.
    fn conclude(&self, started: Instant) -> Result<()> {
        let counts: Counts = self.results.borrow().iter().copied().sum();
        println!("It took {} s in all.", started.elapsed().as_secs());
        println!("{counts}");
        if counts.failed > 0 { bail!("the tests failed") } else { Ok(()) }
    }
}

/// Why this machine cannot run a stage, if so.
fn cannot_run(stage: Stage) -> Option<&'static str> {
    match stage {
        Stage::Deny if find("cargo-deny").is_none() => Some("cargo-deny is not installed"),
        Stage::Pods | Stage::Demo | Stage::Uninstall if !rustix::process::geteuid().is_root() => {
            Some("a cluster with a node needs root")
        }
        _ => None,
    }
}
