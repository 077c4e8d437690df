//! What a node changes on the machine outside the cluster's folder: that there is one node at a time, that the
//! machine is fit for it, and that all of it is put back.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::layout::Layout;
use super::process::{self, ProcessId};
use super::state::State;
use super::{cgroups, firewall, mounts, network, node, remove_file};
use crate::command::{command, output};
use crate::wait;

/// Names the folder of the one cluster that has a node. In a folder that a reboot empties, as a reboot ends the node.
const CLAIM: &str = "/run/perpro-e2e.node";

/// Where the shim puts its sockets, whatever containerd's own folders are.
const SHIM_SOCKETS: &str = "/run/containerd/s";

/// Refuses a machine that cannot have a node of ours, or has another.
pub(crate) async fn check(layout: &Layout) -> Result<()> {
    if cfg!(not(target_os = "linux")) || !rustix::process::geteuid().is_root() {
        bail!("a cluster with a node needs Linux and root; `--nodeless` needs neither root nor containers");
    }
    match claimed()? {
        Some(folder) if folder == layout.root() => Ok(()),
        Some(folder) => {
            let still = State::load(&Layout::new(folder.clone())?.state())?
                .is_some_and(|state| state.anything_alive());
            let state = if still { "runs" } else { "was not ended cleanly" };
            bail!(
                "the cluster in {0} {state}, and a machine has one node at a time; \
                 end it with `e2e/cluster down --dir {0}`, or use --nodeless",
                folder.display()
            )
        }
        None if firewall::has_rules().await? => bail!(
            "this machine has firewall rules of another Kubernetes node (chains KUBE-*); \
             where that node is gone, `kube-proxy --cleanup` removes them"
        ),
        None => Ok(()),
    }
}

/// Claims the machine for the cluster in this folder.
pub(crate) fn claim(layout: &Layout) -> Result<()> {
    let folder = layout.root().to_str().context("the cluster's folder is not text")?;
    if claimed()?.as_deref() == Some(layout.root()) {
        return Ok(());
    }
    let mut claim = File::create_new(CLAIM).with_context(|| format!("cannot create {CLAIM}"))?;
    claim.write_all(folder.as_bytes()).with_context(|| format!("cannot write {CLAIM}"))
}

/// Kernel settings as they are.
pub(crate) fn sysctls() -> BTreeMap<String, String> {
    let read = |name: &str| fs::read_to_string(Path::new("/proc/sys").join(name)).ok();
    node::SYSCTLS.iter().filter_map(|name| Some(((*name).to_owned(), read(name)?))).collect()
}

/// Ends all pods, and removes everything that the node left, in its folder and on the machine. The kubelet must
/// have ended; containerd is ended here.
pub(crate) async fn restore(layout: &Layout, state: Option<&State>) -> Result<()> {
    if claimed()?.as_deref() == Some(layout.root()) {
        cgroups::remove().await?;
        firewall::remove_rules().await?;
    }
    let containerd =
        state.filter(|state| state.is_of_this_boot()).and_then(|state| state.process("containerd"));
    process::stop(containerd.as_slice(), node::GRACE).await?;
    process::stop(&shims(layout), node::GRACE).await?;
    remove_shim_sockets(layout)?;
    mounts::unmount_below(layout.root())?;
    remove_traces(layout)?;
    if claimed()?.as_deref() == Some(layout.root()) {
        links_are_gone().await?;
        for (name, value) in state.map(|state| state.facts().sysctls.clone()).unwrap_or_default() {
            restore_sysctl(&name, &value)?;
        }
        remove_file(Path::new(CLAIM))?;
    }
    Ok(())
}

fn claimed() -> Result<Option<PathBuf>> {
    match fs::read_to_string(CLAIM) {
        Ok(folder) => Ok(Some(folder.into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context(format!("cannot read {CLAIM}")),
    }
}

/// Shims outlive containerd by design. Ours are told by the address of our containerd among their arguments.
fn shims(layout: &Layout) -> Vec<ProcessId> {
    let socket = layout.containerd_socket();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(|pid: i32| {
        let id = ProcessId::of(pid)?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        is_shim_of(&line, &socket).then_some(id)
    })
    .collect()
}

fn is_shim_of(command_line: &[u8], socket: &Path) -> bool {
    let words: Vec<&[u8]> = command_line.split(|byte| *byte == 0).collect();
    let address = [b"-address".as_slice(), socket.as_os_str().as_encoded_bytes()];
    words.windows(2).any(|pair| pair == address)
}

/// A shim that was killed leaves its socket, whose name is written in the shim's folder.
fn remove_shim_sockets(layout: &Layout) -> Result<()> {
    let tasks = layout.containerd().join("state/io.containerd.runtime.v2.task/k8s.io");
    for task in fs::read_dir(tasks).into_iter().flatten().flatten() {
        let Ok(bootstrap) = fs::read(task.path().join("bootstrap.json")) else { continue };
        let Ok(bootstrap) = serde_json::from_slice::<serde_json::Value>(&bootstrap) else { continue };
        let socket = bootstrap["address"].as_str().and_then(|address| address.strip_prefix("unix://"));
        if let Some(socket) = socket.map(Path::new).filter(|socket| socket.starts_with(SHIM_SOCKETS)) {
            remove_file(socket)?;
        }
    }
    Ok(())
}

/// Files of ours in folders whose names are fixed: libcni's cache, the kubelet's links to logs, its plugins' socket.
fn remove_traces(layout: &Layout) -> Result<()> {
    for result in entries(CNI_RESULTS) {
        let name = result.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let container = name.strip_prefix(node::NETWORK).and_then(|rest| rest.strip_suffix("-eth0"));
        if let Some(container) = container {
            remove_file(&Path::new(CNI_RESULTS).join(format!("cni-loopback{container}-lo")))?;
            remove_file(&result)?;
        }
    }
    for link in entries("/var/log/containers") {
        if fs::read_link(&link).is_ok_and(|target| target.starts_with(layout.root())) {
            remove_file(&link)?;
        }
    }
    if claimed()?.as_deref() == Some(layout.root()) {
        remove_file(Path::new("/var/lib/kubelet/device-plugins/kubelet.sock"))?;
    }
    // Those that are empty now are of no use to anybody; the others are refused.
    EMPTY_FOLDERS.iter().for_each(|folder| drop(fs::remove_dir(folder)));
    Ok(())
}

const CNI_RESULTS: &str = "/var/lib/cni/results";

const EMPTY_FOLDERS: [&str; 7] = [
    CNI_RESULTS,
    "/var/lib/cni",
    "/var/lib/kubelet/device-plugins",
    "/var/lib/kubelet",
    "/var/log/containers",
    SHIM_SOCKETS,
    "/run/containerd",
];

fn entries(folder: &str) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// The kernel removes a pod's link a moment after its last process and mount.
/// Deletes the links to pods that are left. Their network namespaces go with containerd, unless another process holds
/// a copy of the mounts that keep them.
async fn links_are_gone() -> Result<()> {
    wait::until("links to pods should go", Duration::from_secs(10), async || {
        let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
        let links = links_to_pods(&routes);
        for link in &links {
            // One that goes by itself meanwhile makes this fail, and the next look content.
            let _ = output(command("ip").args(["link", "delete", link])).await;
        }
        if links.is_empty() { wait::ready(()) } else { wait::not_yet(links.join(" ")) }
    })
    .await
}

/// The interfaces by which the routing table (`/proc/net/route`) reaches pods.
fn links_to_pods(routes: &str) -> Vec<&str> {
    let to_pod = |line: &&str| {
        let destination = line.split_whitespace().nth(1).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        destination.is_some_and(|reversed| network::is_pod(reversed.to_le_bytes().into()))
    };
    routes.lines().filter(to_pod).filter_map(|line| line.split_whitespace().next()).collect()
}

fn restore_sysctl(name: &str, value: &str) -> Result<()> {
    let path = Path::new("/proc/sys").join(name);
    if fs::read_to_string(&path).is_ok_and(|now| now != value) {
        fs::write(&path, value).with_context(|| format!("cannot restore {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shim_is_ours_by_the_address_among_its_arguments() {
        let line = b"/bin/containerd-shim-runc-v2\0-namespace\0k8s.io\0-address\0/c/containerd.sock\0";
        assert!(is_shim_of(line, Path::new("/c/containerd.sock")));
        assert!(!is_shim_of(line, Path::new("/c/containerd")));
        assert!(!is_shim_of(b"grep\0/c/containerd.sock\0", Path::new("/c/containerd.sock")));
    }

    #[test]
    fn a_route_to_a_pod_is_seen() {
        let routes = "Iface\tDestination\tGateway\neth0\t00000000\t010200C0\nveth1\t0500CC0A\t00000000\n";
        assert_eq!(links_to_pods(routes), ["veth1"]);
        assert!(links_to_pods("Iface\tDestination\neth0\t00000000\n").is_empty());
    }
}
