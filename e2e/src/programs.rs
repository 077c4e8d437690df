//! The programs of a cluster, built with Go from the module proxy and kept by version in the cache.
//!
//! Each is built in a folder of its own next to its final place and renamed when complete: a build that was
//! interrupted leaves nothing that looks like a program. One build at a time, over all processes of the machine.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::cache::Cache;
use crate::command::{command, find, output};
use crate::{files, progress, wait};

/// The Kubernetes that a cluster runs unless told otherwise, and the version of our kubectl.
pub const KUBERNETES: &str = "1.36.3";
const ETCD: &str = "3.6.9";
const CONTAINERD: &str = "2.3.7";
const HELM: &str = "4.3.1";

/// Something to build: one Go module, one or more commands in it.
#[derive(Clone, Debug)]
pub struct Program {
    name: &'static str,
    version: String,
    module: &'static str,
    packages: &'static [&'static str],
    tags: &'static str,
    version_variable: &'static str,
}

impl Program {
    /// etcd, the API server's store.
    pub fn etcd() -> Self {
        Self {
            name: "etcd",
            version: ETCD.into(),
            module: "go.etcd.io/etcd/server/v3",
            packages: &["go.etcd.io/etcd/server/v3"],
            tags: "",
            version_variable: "",
        }
    }

    /// containerd with its shim and `ctr`. Kubelet 1.36 refuses the 1.x that distributions have.
    pub fn containerd() -> Self {
        Self {
            name: "containerd",
            version: CONTAINERD.into(),
            module: "github.com/containerd/containerd/v2",
            packages: &[
                "github.com/containerd/containerd/v2/cmd/containerd",
                "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
                "github.com/containerd/containerd/v2/cmd/ctr",
            ],
            tags: "no_btrfs,no_devmapper,no_zfs",
            version_variable: "github.com/containerd/containerd/v2/version.Version",
        }
    }

    /// helm.
    pub fn helm() -> Self {
        Self {
            name: "helm",
            version: HELM.into(),
            module: "helm.sh/helm/v4",
            packages: &["helm.sh/helm/v4/cmd/helm"],
            tags: "",
            version_variable: "helm.sh/helm/v4/internal/version.version",
        }
    }

    /// kubectl, of one version for all clusters.
    pub fn kubectl() -> Self {
        Self::kubernetes("kubectl", &["k8s.io/kubernetes/cmd/kubectl"], KUBERNETES)
    }

    /// kube-apiserver, the controller manager and the scheduler.
    pub fn control_plane(version: &str) -> [Self; 3] {
        [
            Self::kubernetes("kube-apiserver", &["k8s.io/kubernetes/cmd/kube-apiserver"], version),
            Self::kubernetes(
                "kube-controller-manager",
                &["k8s.io/kubernetes/cmd/kube-controller-manager"],
                version,
            ),
            Self::kubernetes("kube-scheduler", &["k8s.io/kubernetes/cmd/kube-scheduler"], version),
        ]
    }

    /// kubelet and kube-proxy.
    pub fn node(version: &str) -> [Self; 2] {
        [
            Self::kubernetes("kubelet", &["k8s.io/kubernetes/cmd/kubelet"], version),
            Self::kubernetes("kube-proxy", &["k8s.io/kubernetes/cmd/kube-proxy"], version),
        ]
    }

    /// Where its folder is in the cache, built or not.
    pub fn folder(&self, cache: &Cache) -> PathBuf {
        cache.programs().join(format!("{}-{}", self.name, self.version))
    }

    /// Where its main executable is in the cache, built or not.
    pub fn path(&self, cache: &Cache) -> PathBuf {
        self.folder(cache).join(self.name)
    }

    /// Builds it unless the cache has it.
    ///
    /// # Errors
    /// When Go is missing or the build fails.
    pub async fn ensure(&self, cache: &Cache) -> Result<PathBuf> {
        if !self.folder(cache).exists() {
            let what = format!("build {} {}", self.name, self.version);
            progress::step(&what, self.build(cache)).await?;
        }
        Ok(self.path(cache))
    }

    fn kubernetes(name: &'static str, packages: &'static [&'static str], version: &str) -> Self {
        Self {
            name,
            version: version.into(),
            module: "k8s.io/kubernetes",
            packages,
            tags: "",
            version_variable: "k8s.io/component-base/version.gitVersion",
        }
    }

    async fn build(&self, cache: &Cache) -> Result<()> {
        let attempt = Attempt::begin(cache, self.name).await?;
        if self.folder(cache).exists() {
            return Ok(()); // somebody else built it while we waited for our turn
        }
        let go_mod = match self.module {
            "k8s.io/kubernetes" => {
                kubernetes_go_mod(&self.version, &upstream_go_mod(self.module, &self.version).await?)
            }
            module => format!("module programs\ngo 1.24\nrequire {module} v{}\n", self.version),
        };
        let source = attempt.folder.join("source");
        files::private_dir(&source)?;
        files::write(&source.join("go.mod"), go_mod)?;

        let ldflags = match self.version_variable {
            "" => "-s -w".to_owned(),
            variable => format!("-s -w -X {variable}=v{}", self.version),
        };
        let built = attempt.folder.join("built");
        files::private_dir(&built)?;
        let mut go = go(&source)?;
        // Go's own leftovers, if it is killed, go with the attempt.
        go.env("GOTMPDIR", &attempt.folder);
        // Flags, not GOFLAGS: what the person has set there stays in force for everything else.
        go.args(["build", "-mod=mod", "-buildvcs=false", "-trimpath", "-tags", self.tags]);
        go.args(["-ldflags", &ldflags, "-o"]).arg(format!("{}/", built.display())).args(self.packages);
        output(&mut go).await.with_context(|| format!("cannot build {} {}", self.name, self.version))?;
        if self.name == "etcd" {
            fs::rename(built.join("server"), built.join("etcd"))?; // Go names it after the module's folder
        }
        Ok(fs::rename(built, self.folder(cache))?)
    }
}

/// A static program from one Go file that needs nothing but the standard library.
///
/// # Errors
/// When Go is missing or the build fails.
pub async fn build_single_file(source: &Path, executable: &Path) -> Result<()> {
    let folder = source.parent().context("a file is in a folder")?;
    let mut go = go(folder)?;
    go.args(["build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o"]).arg(executable).arg(source);
    output(&mut go).await.map(drop)
}

/// The folder of a build under way, removed at its end however it ends, and the lock that makes it the only one.
struct Attempt {
    folder: PathBuf,
    _lock: File,
}

impl Attempt {
    async fn begin(cache: &Cache, name: &str) -> Result<Self> {
        let programs = cache.programs();
        files::private_dir(&programs)?;
        let lock = File::create(programs.join(".lock"))?;
        wait::until("another build is under way", Duration::from_secs(1800), async || {
            match lock.try_lock() {
                Ok(()) => wait::ready(()),
                Err(TryLockError::WouldBlock) => wait::not_yet("it has not ended"),
                Err(TryLockError::Error(error)) => std::ops::ControlFlow::Break(Err(error.into())),
            }
        })
        .await?;
        let folder = programs.join(".building");
        files::remove_dir(&folder)?; // of a build that was killed: we hold the lock
        files::private_dir(&folder.join(name))?;
        Ok(Self { folder: folder.join(name), _lock: lock })
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        drop(files::remove_dir(&self.folder));
        self.folder.parent().map(fs::remove_dir);
    }
}

/// Static programs from packages of the Go module in `source`, with what its go.mod and go.sum name.
///
/// # Errors
/// When Go is missing or the build fails.
pub async fn build_module(source: &Path, packages: &[&str], folder: &Path) -> Result<()> {
    let mut go = go(source)?;
    go.args(["build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o"]);
    go.arg(format!("{}/", folder.display())).args(packages);
    output(&mut go).await.map(drop)
}

fn go(folder: &Path) -> Result<tokio::process::Command> {
    let Some(go) = find("go") else {
        bail!("Go is missing: the programs of the cluster are built with it. Install Go 1.26 or newer.");
    };
    let mut command = command(go);
    command.current_dir(folder).env("CGO_ENABLED", "0").env("GOWORK", "off");
    command.env_remove("GOOS").env_remove("GOARCH");
    Ok(command)
}

async fn upstream_go_mod(module: &str, version: &str) -> Result<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Download {
        go_mod: PathBuf,
    }
    let mut go = go(&std::env::temp_dir())?;
    let answer = output(go.args(["mod", "download", "-json"]).arg(format!("{module}@v{version}"))).await?;
    let download: Download = serde_json::from_str(&answer)?;
    Ok(fs::read_to_string(download.go_mod)?)
}

/// A module that requires Kubernetes. Upstream replaces its staging modules by folders of its own checkout, which
/// count only there; the published counterparts of version 1.Y.Z are called 0.Y.Z.
fn kubernetes_go_mod(version: &str, upstream: &str) -> String {
    let staging_version = version.replacen("1.", "0.", 1);
    let kept = upstream.lines().filter(|line| line.starts_with("go ") || line.starts_with("godebug "));
    let replaced = upstream
        .lines()
        .filter_map(|line| line.trim().split_once(" => ./staging/src/"))
        .map(|(module, _)| module)
        .map(|module| format!("replace {module} => {module} v{staging_version}"));
    std::iter::once("module programs".to_owned())
        .chain(kept.map(str::to_owned))
        .chain([format!("require k8s.io/kubernetes v{version}")])
        .chain(replaced)
        .fold(String::new(), |text, line| text + &line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staging_modules_are_replaced_by_their_published_counterparts() {
        let upstream = "module k8s.io/kubernetes\n\ngo 1.26.0\n\ngodebug default=go1.26\n\nrequire (\n\tx v1\n)\n\n\
                        replace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n)\n";
        assert_eq!(
            kubernetes_go_mod("1.36.3", upstream),
            "module programs\ngo 1.26.0\ngodebug default=go1.26\nrequire k8s.io/kubernetes v1.36.3\n\
             replace k8s.io/api => k8s.io/api v0.36.3\n"
        );
    }

    #[test]
    fn programs_are_kept_by_version() {
        let cache = Cache::at("/cache");
        assert_eq!(Program::etcd().path(&cache), Path::new("/cache/bin/etcd-3.6.9/etcd"));
        assert_eq!(
            Program::control_plane("1.33.13")[0].path(&cache),
            Path::new("/cache/bin/kube-apiserver-1.33.13/kube-apiserver")
        );
    }
}
