//! A Kubernetes cluster on this machine, without Docker: `up`, `down` and `status`, and where its files and
//! programs are. Or the reader's own cluster, which is used and never changed.
//!
//! A cluster is level-triggered like everything else here: `up` looks at what is recorded and what runs, returns at
//! once when all of it works, and otherwise ends what is left and starts from nothing.

mod cgroups;
mod control_plane;
mod firewall;
pub(crate) mod health;
pub(crate) mod kubeconfig;
mod layout;
mod machine;
mod mounts;
mod network;
mod node;
pub(crate) mod pki;
mod ports;
pub(crate) mod process;
mod signals;
pub(crate) mod state;

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::Client;

use self::control_plane::Setup;
use self::ports::Ports;
use self::signals::Interrupt;
use self::state::{Facts, State};
use crate::cache::Cache;
use crate::packages::{self, Package};
use crate::programs::{KUBERNETES, Program};
use crate::{files, images, progress, wait};

pub use self::layout::Layout;
pub use self::process::ProcessId;

const CONTROL_PLANE: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
const ALL: [&str; 7] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
];

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

    /// Starts it, unless it runs and works.
    ///
    /// # Errors
    /// When something is missing, fails, or the person interrupts; then nothing is left running.
    pub async fn up(&self) -> Result<()> {
        let mut interrupt = Interrupt::listen()?;
        let _lock = interrupt.or(self.lock()).await?;
        if self.works().await {
            return Ok(());
        }
        interrupt.or(self.prepare()).await?;
        if State::load(&self.layout.state())?.is_some() {
            progress::step("clean up after a run that ended badly", self.stop()).await?;
        }
        let started = interrupt.or(self.start()).await;
        if started.is_err() {
            progress::step("end what was started", self.stop()).await?;
        }
        started
    }

    /// Ends it and removes all that it made, except its logs. Does no harm when it does not run.
    ///
    /// # Errors
    /// When something of it cannot be removed.
    pub async fn down(&self) -> Result<()> {
        let _lock = self.lock().await?;
        progress::step(&format!("end the cluster in {}", self.layout.root().display()), self.stop()).await
    }

    /// Whether all of its components run and the API server is ready.
    pub async fn works(&self) -> bool {
        let Ok(Some(state)) = State::load(&self.layout.state()) else { return false };
        if !self.components().iter().all(|name| state.is_alive(name)) {
            return false;
        }
        match self.client().await {
            Ok(client) => health::api_server_is_ready(&client).await.is_ok(),
            Err(_) => false,
        }
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
    pub async fn import(&self, image: &images::Image) -> Result<()> {
        self.setup(self.state()?.facts()).import(image).await
    }

    /// What is recorded of it.
    pub(crate) fn state(&self) -> Result<State> {
        let state = State::load(&self.layout.state())?;
        state.with_context(|| format!("no cluster in {}", self.layout.root().display()))
    }

    pub(crate) fn setup<'a>(&'a self, facts: &'a Facts) -> Setup<'a> {
        Setup { cache: &self.cache, layout: &self.layout, facts }
    }

    /// The processes that a running cluster has.
    fn components(&self) -> &'static [&'static str] {
        if self.nodeless { &CONTROL_PLANE } else { &ALL }
    }

    /// One `up`, `install` or `down` at a time.
    pub(crate) async fn lock(&self) -> Result<File> {
        files::private_dir(self.layout.root())?;
        let lock = File::create(self.layout.root().join("lock"))?;
        wait::until("another command works on this cluster", Duration::from_secs(1800), async || match lock
            .try_lock()
        {
            Ok(()) => wait::ready(()),
            Err(TryLockError::WouldBlock) => wait::not_yet("it has not ended"),
            Err(TryLockError::Error(error)) => ControlFlow::Break(Err(error.into())),
        })
        .await?;
        Ok(lock)
    }

    /// Checks the machine, and installs and builds what is missing.
    async fn prepare(&self) -> Result<()> {
        let mut programs = vec![Program::etcd(), Program::kubectl()];
        programs.extend(Program::control_plane(&self.version));
        if !self.nodeless {
            machine::check(&self.layout).await?;
            packages::ensure(&[Package::Runc, Package::Cni, Package::Iptables, Package::Buildah]).await?;
            programs.push(Program::containerd());
            programs.extend(Program::node(&self.version));
        }
        for program in programs {
            program.ensure(&self.cache).await?;
        }
        if !self.nodeless {
            images::pause(&self.cache).await?;
        }
        Ok(())
    }

    async fn start(&self) -> Result<()> {
        files::remove_dir(&self.layout.logs())?;
        files::private_dir(&self.layout.logs())?;
        let facts = Facts {
            version: self.version.clone(),
            nodeless: self.nodeless,
            boot: state::boot_id()?,
            address: self.address()?,
            ports: Ports::pick(self.layout.root())?,
            processes: BTreeMap::new(),
            sysctls: if self.nodeless { BTreeMap::new() } else { machine::sysctls() },
        };
        let mut state = State::create(&self.layout.state(), facts.clone())?;
        let setup = self.setup(&facts);
        pki::create(&self.layout, facts.address)?;
        setup.write_control_plane_files()?;

        progress::step("start the control plane", async {
            state.start(&setup.etcd())?;
            state.start(&setup.api_server())?;
            health::api_server(setup, &state).await?;
            state.start(&setup.controller_manager())?;
            state.start(&setup.scheduler())?;
            health::controller_manager(setup, &state).await?;
            health::scheduler(setup, &state).await
        })
        .await?;
        if self.nodeless {
            return Ok(());
        }
        machine::claim(&self.layout)?;
        let pause = images::pause(&self.cache).await?;
        progress::step("start the node", setup.start_node(&mut state, &pause)).await
    }

    /// Ends and removes everything but the logs and the lock. Each step can be repeated; the state file goes last.
    async fn stop(&self) -> Result<()> {
        let state = State::load(&self.layout.state())?;
        let layout = &self.layout;
        stop_users(state.as_ref()).await?;
        if !self.nodeless {
            machine::restore(layout, state.as_ref()).await?;
        }
        stop_servers(state.as_ref()).await?;
        let folders = [
            layout.etcd(),
            layout.config(),
            layout.pki(),
            layout.containerd(),
            layout.kubelet(),
            layout.cni(),
        ];
        for folder in folders.into_iter().chain([layout.images()]) {
            files::remove_dir(&folder)?;
        }
        let socket = layout.containerd_socket();
        let ttrpc = socket.with_extension("sock.ttrpc");
        for file in [socket, ttrpc, layout.kubeconfig(), layout.state()] {
            remove_file(&file)?;
        }
        Ok(())
    }

    /// Pods must reach the API server; without a node, the address is only written into objects.
    fn address(&self) -> Result<Ipv4Addr> {
        match network::own_address() {
            Err(_) if self.nodeless => Ok(Ipv4Addr::new(192, 0, 2, 1)),
            result => result,
        }
    }
}

/// How long a component gets to end; none has anything to save.
const GRACE: Duration = Duration::from_secs(3);

/// What others need: ended later, in this order.
const SERVERS: [&str; 3] = ["containerd", "kube-apiserver", "etcd"];

async fn stop_users(state: Option<&State>) -> Result<()> {
    let Some(state) = state.filter(|state| state.is_of_this_boot()) else { return Ok(()) };
    let all = state.facts().processes.iter();
    let users = all.filter(|(name, _)| !SERVERS.contains(&name.as_str()));
    process::stop(&users.map(|(_, id)| *id).collect::<Vec<_>>(), GRACE).await
}

async fn stop_servers(state: Option<&State>) -> Result<()> {
    let Some(state) = state.filter(|state| state.is_of_this_boot()) else { return Ok(()) };
    for name in SERVERS {
        process::stop(state.process(name).as_slice(), GRACE).await?;
    }
    Ok(())
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
