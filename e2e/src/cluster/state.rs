//! What a cluster must remember to be stopped, whatever happened to the program that started it: `state.json`.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::ports::Ports;
use super::process::{Launch, ProcessId};
use crate::files;

/// The remembered facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// Version of Kubernetes.
    pub(crate) version: String,
    /// Without a node?
    pub(crate) nodeless: bool,
    /// The boot in which it was started. After another boot, no process id means anything.
    pub(crate) boot: String,
    /// The address of the machine that the API server and the node use.
    pub(crate) address: Ipv4Addr,
    /// What it listens on.
    pub(crate) ports: Ports,
    /// Its processes by name, in no order.
    pub(crate) processes: BTreeMap<String, ProcessId>,
    /// Kernel settings that the node's programs change, as they were before.
    pub(crate) sysctls: BTreeMap<String, String>,
}

/// The facts and the file that holds them. Every change is on disk when the call returns.
#[derive(Debug)]
pub(crate) struct State {
    path: PathBuf,
    facts: Facts,
}

impl State {
    /// Writes down a cluster that is about to be started.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn create(path: &Path, facts: Facts) -> Result<Self> {
        let state = Self { path: path.into(), facts };
        state.save()?;
        Ok(state)
    }

    /// What was written down, if anything.
    ///
    /// # Errors
    /// When the file is there and cannot be understood.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let facts = serde_json::from_str(&text);
        let facts =
            facts.with_context(|| format!("{} is not a state file of this version", path.display()))?;
        Ok(Some(Self { path: path.into(), facts }))
    }

    /// The facts.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Starts a program and remembers it under its name.
    ///
    /// # Errors
    /// When it cannot be started or remembered.
    pub(crate) fn start(&mut self, launch: &Launch) -> Result<ProcessId> {
        launch.start(|id| {
            self.facts.processes.insert(launch.name.clone(), id);
            self.save()
        })
    }

    /// Forgets a process that has ended.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn forget(&mut self, name: &str) -> Result<()> {
        self.facts.processes.remove(name);
        self.save()
    }

    /// The recorded process of this name, alive or not.
    pub(crate) fn process(&self, name: &str) -> Option<ProcessId> {
        self.facts.processes.get(name).copied()
    }

    /// Whether a process of this name was recorded in this boot and runs.
    pub(crate) fn is_alive(&self, name: &str) -> bool {
        self.is_of_this_boot() && self.process(name).is_some_and(|id| id.is_alive())
    }

    /// Whether process ids in it mean something.
    pub(crate) fn is_of_this_boot(&self) -> bool {
        boot_id().is_ok_and(|boot| boot == self.facts.boot)
    }

    /// Whether anything recorded still runs.
    pub(crate) fn anything_alive(&self) -> bool {
        self.facts.processes.keys().any(|name| self.is_alive(name))
    }

    fn save(&self) -> Result<()> {
        files::write(&self.path, serde_json::to_string_pretty(&self.facts)?)
    }
}

/// Names this boot of the machine.
///
/// # Errors
/// When `/proc` is not there.
pub(crate) fn boot_id() -> Result<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").context("cannot read the boot id")?;
    Ok(id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(boot: &str) -> Facts {
        Facts {
            version: "1.36.3".into(),
            nodeless: true,
            boot: boot.into(),
            address: Ipv4Addr::LOCALHOST,
            ports: Ports::pick(Path::new("/somewhere")).unwrap(),
            processes: BTreeMap::from([("self".into(), own_process())]),
            sysctls: BTreeMap::new(),
        }
    }

    fn own_process() -> ProcessId {
        ProcessId::of(i32::try_from(std::process::id()).unwrap()).unwrap()
    }

    #[test]
    fn what_was_written_is_read_back() {
        let path = std::env::temp_dir().join(format!("perpro-state-{}.json", std::process::id()));
        let written = State::create(&path, facts(&boot_id().unwrap())).unwrap();
        let read = State::load(&path).unwrap().unwrap();
        assert_eq!(read.facts(), written.facts());
        assert!(read.is_alive("self"));
        fs::remove_file(&path).unwrap();
        assert!(State::load(&path).unwrap().is_none());
    }

    #[test]
    fn ids_of_an_earlier_boot_mean_nothing() {
        let state = State { path: PathBuf::new(), facts: facts("an earlier boot") };
        assert!(!state.is_alive("self"));
        assert!(!state.anything_alive());
    }
}
