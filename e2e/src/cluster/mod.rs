//! A Kubernetes cluster on this machine, without Docker: `up`, `down` and `status`, and where its files and
//! programs are. Or the reader's own cluster, which is used and never changed.

mod cgroups;
mod control_plane;
mod firewall;
pub(crate) mod health;
pub(crate) mod kubeconfig;
mod layout;
mod lifecycle;
mod machine;
mod mounts;
mod network;
mod node;
pub(crate) mod pki;
mod ports;
pub(crate) mod process;
pub mod signals;
pub(crate) mod state;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use kube::Client;

use self::control_plane::Setup;
use self::state::{Facts, State};
use crate::cache::Cache;
use crate::command::output;
use crate::images::Image;
use crate::programs::{KUBERNETES, Program};

pub use self::layout::Layout;
pub use self::process::ProcessId;

/// Which cluster is meant. The defaults are a cluster with a node, of our default version, in the cache folder.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Its folder.
    pub dir: Option<PathBuf>,
    /// Only the control plane?
    pub nodeless: bool,
    /// Version of Kubernetes, such as 1.36.3.
    pub version: Option<String>,
}

/// A cluster of ours, running or not.
#[derive(Clone, Debug)]
pub struct Cluster {
    cache: Cache,
    layout: Layout,
    version: String,
    nodeless: bool,
}

impl Cluster {
    /// The cluster that is meant. Touches nothing.
    ///
    /// # Errors
    /// When the folder holds another kind of cluster, or its path is too long.
    pub fn open(cache: &Cache, options: &Options) -> Result<Self> {
        let wanted = options.version.as_deref().map(|version| version.trim_start_matches('v'));
        let version = wanted.unwrap_or(KUBERNETES);
        let kind = if options.nodeless { "nodeless" } else { "full" };
        let default = || cache.clusters().join(format!("{kind}-{version}"));
        let layout = Layout::new(std::path::absolute(options.dir.clone().unwrap_or_else(default))?)?;
        let mut cluster =
            Self { cache: cache.clone(), layout, version: version.into(), nodeless: options.nodeless };

        if let Some(state) = State::load(&cluster.layout.state())? {
            let facts = state.facts();
            let differs =
                wanted.is_some_and(|version| version != facts.version) || options.nodeless && !facts.nodeless;
            if differs {
                bail!(
                    "{} holds a {} cluster of version {}; end it first, or choose another --dir",
                    cluster.layout.root().display(),
                    if facts.nodeless { "nodeless" } else { "full" },
                    facts.version,
                );
            }
            cluster.version.clone_from(&facts.version);
            cluster.nodeless = facts.nodeless;
        }
        Ok(cluster)
    }

    /// Its files.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether it has no node.
    pub fn is_nodeless(&self) -> bool {
        self.nodeless
    }

    /// The kubeconfig of its administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.layout.kubeconfig()
    }

    /// A client with the administrator's rights.
    ///
    /// # Errors
    /// When the cluster was never started.
    pub async fn client(&self) -> Result<Client> {
        health::client(&self.kubeconfig()).await
    }

    /// What an administrator's client is made from.
    ///
    /// # Errors
    /// When the cluster was never started.
    pub async fn config(&self) -> Result<kube::Config> {
        health::config(&self.kubeconfig()).await
    }

    /// Whether all of its components run and say that they are healthy.
    ///
    /// # Errors
    /// When one does not, with its name.
    pub async fn check(&self) -> Result<()> {
        let state = self.state()?;
        health::all(self.setup(state.facts()), &state, self.components()).await
    }

    /// The recorded processes by name, with whether each runs.
    ///
    /// # Errors
    /// When the state file cannot be understood.
    pub fn processes(&self) -> Result<BTreeMap<String, (ProcessId, bool)>> {
        let Some(state) = State::load(&self.layout.state())? else { return Ok(BTreeMap::new()) };
        let recorded = state.facts().processes.iter();
        Ok(recorded.map(|(name, id)| (name.clone(), (*id, state.is_alive(name)))).collect())
    }

    /// kubectl in the cache.
    pub fn kubectl(&self) -> PathBuf {
        Program::kubectl().path(&self.cache)
    }

    /// `ctr` of its containerd; only a cluster with a node has one.
    pub fn ctr(&self) -> Result<tokio::process::Command> {
        Ok(self.setup(self.state()?.facts()).ctr())
    }

    /// Makes an image known to its node.
    ///
    /// # Errors
    /// When it has none, or containerd refuses the image.
    pub async fn import(&self, image: &Image) -> Result<()> {
        self.setup(self.state()?.facts()).import(image).await
    }

    /// Gives an image of its node a second name: what a pod means by `name`, which has a tag and no registry.
    ///
    /// # Errors
    /// When there is no such image.
    pub async fn tag(&self, image: &Image, name: &str) -> Result<()> {
        let mut tag = self.ctr()?;
        tag.args(["images", "tag", "--force", &image.reference]).arg(format!("docker.io/library/{name}"));
        output(&mut tag).await.map(drop)
    }

    /// What is recorded of it.
    pub(crate) fn state(&self) -> Result<State> {
        let state = State::load(&self.layout.state())?;
        state.with_context(|| format!("no cluster in {}", self.layout.root().display()))
    }

    pub(crate) fn setup<'a>(&'a self, facts: &'a Facts) -> Setup<'a> {
        Setup { cache: &self.cache, layout: &self.layout, facts }
    }
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Whether the cluster of a kubeconfig answers.
///
/// # Errors
/// When it does not, with the reason.
pub async fn is_reachable(kubeconfig: &Path) -> Result<()> {
    health::api_server_is_ready(&client(kubeconfig).await?).await
}

/// A client for the cluster of a kubeconfig.
///
/// # Errors
/// When the file is missing or cannot be understood.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    health::client(kubeconfig).await
}
