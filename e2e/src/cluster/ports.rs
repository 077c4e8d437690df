//! Which ports a cluster listens on: chosen once, remembered in its state file.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// Below the kernel's range for outgoing connections and below NodePorts, so that nobody takes a port between our
/// look and our use of it.
const FIRST: u16 = 20_000;
const COUNT: u16 = 9_000;

/// The ports of one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)] // a file that an older program wrote is still good enough for `down`
#[allow(missing_docs, reason = "each is named after the program that listens")]
pub(crate) struct Ports {
    pub(crate) etcd: u16,
    pub(crate) etcd_peer: u16,
    pub(crate) api_server: u16,
    pub(crate) controller_manager: u16,
    pub(crate) scheduler: u16,
    pub(crate) kubelet: u16,
    pub(crate) kubelet_health: u16,
    pub(crate) proxy_health: u16,
    pub(crate) proxy_metrics: u16,
    pub(crate) webhook: u16,
    pub(crate) webhook_health: u16,
    pub(crate) controller: u16,
    pub(crate) second_controller: u16,
    pub(crate) rival: u16,
}

impl Ports {
    /// Free ports for the cluster in `folder`: the same ones each time, as long as they are free.
    ///
    /// # Errors
    /// When there are not enough.
    pub(crate) fn pick(folder: &Path) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        folder.hash(&mut hasher);
        Self::first_free(hasher.finish(), |port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok())
    }

    fn first_free(seed: u64, is_free: impl Fn(u16) -> bool) -> Result<Self> {
        let start = u16::try_from(seed % u64::from(COUNT))?;
        let mut free = (0..COUNT).map(|step| FIRST + (start + step) % COUNT).filter(|port| is_free(*port));
        let mut next = || match free.next() {
            Some(port) => Ok(port),
            None => bail!("no free ports between {FIRST} and {}", FIRST + COUNT),
        };
        Ok(Self {
            etcd: next()?,
            etcd_peer: next()?,
            api_server: next()?,
            controller_manager: next()?,
            scheduler: next()?,
            kubelet: next()?,
            kubelet_health: next()?,
            proxy_health: next()?,
            proxy_metrics: next()?,
            webhook: next()?,
            webhook_health: next()?,
            controller: next()?,
            second_controller: next()?,
            rival: next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_ports_are_passed_over_and_the_range_wraps() {
        let seed = u64::from(COUNT) - 1;
        let ports = Ports::first_free(seed, |port| port != FIRST).unwrap();
        assert_eq!((ports.etcd, ports.etcd_peer), (FIRST + COUNT - 1, FIRST + 1));
    }

    #[test]
    fn too_few_free_ports_are_an_error() {
        assert!(Ports::first_free(7, |port| port < FIRST + 3).is_err());
    }
}
