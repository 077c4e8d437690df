//! The life of a cluster: `up`, `down`, and what they consist of.
//!
//! It is level-triggered like everything else here: `up` looks at what is recorded and what runs, returns at once when
//! all of it works, and otherwise ends what is left and starts from nothing.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::Result;

use super::ports::Ports;
use super::signals::Interrupt;
use super::state::{self, Facts, State};
use super::{Cluster, health, machine, network, pki, process, remove_file};
use crate::packages::{self, Package};
use crate::programs::Program;
use crate::{files, images, progress, wait};

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

impl Cluster {
    /// Starts it, unless it runs and works.
    ///
    /// # Errors
    /// When something is missing, fails, or the person interrupts; then nothing is left running.
    pub async fn up(&self) -> Result<()> {
        let mut interrupt = Interrupt::listen()?;
        let _lock = interrupt.or(self.lock()).await?;
        if self.check().await.is_ok() {
            return Ok(());
        }
        interrupt.or(self.prepare()).await?;
        if State::load(&self.layout.state())?.is_some() {
            progress::step("clean up after a run that ended badly", self.stop()).await?;
        }
        let started = interrupt.or(self.start()).await;
        if started.is_err()
            && let Err(error) = progress::step("end what was started", self.stop()).await
        {
            progress::say(&format!("warning: {error:#}"));
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

    /// Whether anything of it may be left to end.
    pub(crate) fn was_started(&self) -> bool {
        self.layout.state().exists()
    }

    /// Whether this machine can have its node.
    ///
    /// # Errors
    /// When it cannot, or has another.
    pub(crate) async fn machine_is_free(&self) -> Result<()> {
        machine::check(&self.layout).await
    }

    /// The processes that a running cluster has.
    pub(crate) fn components(&self) -> &'static [&'static str] {
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
            health::says_healthy(setup, &state, "kube-scheduler").await
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
