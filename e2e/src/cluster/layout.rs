//! The names of the files in a cluster's folder.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// A cluster's folder. Everything a cluster writes is under it, except what the kernel and the CNI plugins keep
/// elsewhere (see `cleanup`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

#[allow(missing_docs, reason = "each is named after the file")]
impl Layout {
    /// # Errors
    /// When the path is too long for the sockets in it: the kernel takes 107 bytes.
    pub fn new(root: PathBuf) -> Result<Self> {
        let layout = Self { root };
        let longest = layout.containerd_socket().as_os_str().len() + ".ttrpc".len();
        if longest > 107 {
            bail!(
                "{} is too long a path for the sockets in it; choose a shorter --dir",
                layout.root.display()
            );
        }
        Ok(layout)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }
    pub fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }
    pub fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig")
    }
    pub fn kubeconfig_of(&self, component: &str) -> PathBuf {
        self.config().join(format!("{component}.kubeconfig"))
    }
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }
    pub fn log(&self, component: &str) -> PathBuf {
        self.logs().join(format!("{component}.log"))
    }
    pub fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.pki().join(format!("{name}.crt"))
    }
    pub fn key(&self, name: &str) -> PathBuf {
        self.pki().join(format!("{name}.key"))
    }
    pub fn config(&self) -> PathBuf {
        self.root.join("config")
    }
    pub fn etcd(&self) -> PathBuf {
        self.root.join("etcd")
    }
    pub fn containerd(&self) -> PathBuf {
        self.root.join("containerd")
    }
    pub fn containerd_socket(&self) -> PathBuf {
        self.root.join("containerd.sock")
    }
    pub fn kubelet(&self) -> PathBuf {
        self.root.join("kubelet")
    }
    pub fn cni(&self) -> PathBuf {
        self.root.join("cni")
    }
    pub fn images(&self) -> PathBuf {
        self.root.join("images")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_too_deep_for_sockets_is_refused() {
        assert!(Layout::new(PathBuf::from("/home/reader/.cache/perpro/clusters/nodeless-1.33.13")).is_ok());
        assert!(Layout::new(PathBuf::from("/x".repeat(50))).is_err());
    }
}
