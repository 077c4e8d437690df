//! The cgroup that holds all pods of our node, in every hierarchy: what is in it is ours, whatever it is called.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::process::ProcessId;
use crate::wait;

/// Its name, below the root of each hierarchy.
pub(crate) const NAME: &str = "perpro-e2e";

/// Creates it. The kubelet wants it to be there.
pub(crate) fn create() -> Result<()> {
    for root in Hierarchies::mounted()?.with_controllers() {
        let cgroup = root.join(NAME);
        if !cgroup.exists() {
            fs::create_dir(&cgroup).with_context(|| format!("cannot create {}", cgroup.display()))?;
        }
        // A new cpuset is empty, and nothing can be put into it.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(all) = fs::read(root.join(file)) {
                fs::write(cgroup.join(file), all)?;
            }
        }
        // cgroup v2: controllers must be switched on from above; those that exist are.
        for controller in ["cpu", "cpuset", "hugetlb", "io", "memory", "pids"] {
            for level in [&root, &cgroup] {
                drop(fs::write(level.join("cgroup.subtree_control"), format!("+{controller}")));
            }
        }
    }
    Ok(())
}

/// Kills every process in it and removes it.
pub(crate) async fn remove() -> Result<()> {
    let roots: Vec<PathBuf> = Hierarchies::mounted()?.all().into_iter().map(|root| root.join(NAME)).collect();
    wait::until("processes of pods should end", Duration::from_secs(20), async || {
        for cgroup in roots.iter().flat_map(|root| deepest_first(root)) {
            processes(&cgroup).iter().for_each(|id| id.signal(Signal::KILL));
            drop(fs::remove_dir(&cgroup)); // refused as long as something is in it
        }
        match roots.iter().find(|root| root.exists()) {
            None => wait::ready(()),
            Some(root) => wait::not_yet(format!("{} is in use", root.display())),
        }
    })
    .await
}

/// Where cgroups are mounted.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchies {
    v1: Vec<PathBuf>,
    v2: Vec<PathBuf>,
}

impl Hierarchies {
    fn mounted() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read the mounts")?;
        Ok(Self::parse(&mounts))
    }

    fn parse(mounts: &str) -> Self {
        let mut found = Self { v1: Vec::new(), v2: Vec::new() };
        for line in mounts.lines() {
            let mut fields = line.split(' ').skip(1);
            match (fields.next(), fields.next()) {
                (Some(point), Some("cgroup")) => found.v1.push(point.into()),
                (Some(point), Some("cgroup2")) => found.v2.push(point.into()),
                _ => {}
            }
        }
        found
    }

    /// Those with controllers: a v2 hierarchy beside v1 has none.
    fn with_controllers(self) -> Vec<PathBuf> {
        if self.v1.is_empty() { self.v2 } else { self.v1 }
    }

    /// All, as runc makes folders in a v2 hierarchy beside v1 too.
    fn all(self) -> Vec<PathBuf> {
        [self.v1, self.v2].concat()
    }
}

fn deepest_first(cgroup: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cgroup).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut all: Vec<PathBuf> = folders.flat_map(|folder| deepest_first(&folder.path())).collect();
    if cgroup.exists() {
        all.push(cgroup.into());
    }
    all
}

fn processes(cgroup: &Path) -> Vec<ProcessId> {
    let ids = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    ids.lines().filter_map(|pid| ProcessId::of(pid.parse().ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_are_both_versions_v1_has_the_controllers() {
        let mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let found = || Hierarchies::parse(mounts);
        let v1 = [Path::new("/sys/fs/cgroup/cpu"), Path::new("/sys/fs/cgroup/systemd")];
        assert_eq!(found().with_controllers(), v1);
        assert_eq!(found().all(), [v1.as_slice(), &[Path::new("/sys/fs/cgroup/unified")]].concat());
    }

    #[test]
    fn where_there_is_only_v2_it_has_them() {
        let found = Hierarchies::parse("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n");
        assert_eq!(found.with_controllers(), [Path::new("/sys/fs/cgroup")]);
    }
}
