//! Programs that come from the distribution rather than from a Go module.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::{command, find, output};
use crate::progress;

/// Folders in which distributions keep CNI plugins.
const CNI_FOLDERS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// Something a distribution packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Package {
    /// Runs containers.
    Runc,
    /// Plugins `ptp`, `host-local` and `loopback`.
    Cni,
    /// What kube-proxy writes its rules with.
    Iptables,
    /// Makes images.
    Buildah,
    /// Checks shell scripts.
    Shellcheck,
}

impl Package {
    /// Its name in Debian.
    fn name(self) -> &'static str {
        match self {
            Self::Runc => "runc",
            Self::Cni => "containernetworking-plugins",
            Self::Iptables => "iptables",
            Self::Buildah => "buildah",
            Self::Shellcheck => "shellcheck",
        }
    }

    fn is_present(self) -> bool {
        match self {
            Self::Cni => cni_folder().is_some(),
            Self::Runc | Self::Iptables | Self::Buildah | Self::Shellcheck => find(self.name()).is_some(),
        }
    }
}

/// Where the CNI plugins are.
pub fn cni_folder() -> Option<PathBuf> {
    CNI_FOLDERS.map(PathBuf::from).into_iter().find(|folder| folder.join("ptp").is_file())
}

/// Installs what is missing of these with apt-get; does nothing when all are there.
///
/// # Errors
/// When something is missing and cannot be installed; the message says what to install by hand.
pub async fn ensure(packages: &[Package]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().filter(|one| !one.is_present()).map(|one| one.name()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    let by_hand =
        format!("install these programs (the names are Debian's packages), then try again: {names}");
    let Some(apt) = find("apt-get") else { bail!("{by_hand}") };
    if !rustix::process::geteuid().is_root() {
        bail!("only root can install packages; {by_hand}");
    }
    progress::step(&format!("install {names}"), install(&apt, &missing)).await.context(by_hand)
}

async fn install(apt: &Path, packages: &[&str]) -> Result<()> {
    output(command(apt).args(["update", "--quiet"])).await?;
    let mut install = command(apt);
    install.args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(packages);
    output(install.env("DEBIAN_FRONTEND", "noninteractive")).await.map(drop)
}
