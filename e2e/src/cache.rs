//! The folder outside the checkout that keeps what is expensive to make: built programs by version, images, and
//! the clusters themselves. `$PERPRO_CACHE`, else `~/.cache/perpro`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The cache folder.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The folder that the environment names.
    ///
    /// # Errors
    /// When neither `PERPRO_CACHE` nor `HOME` is set.
    pub fn from_env() -> Result<Self> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = set("PERPRO_CACHE")
            .or_else(|| set("HOME").map(|home| home.join(".cache/perpro")))
            .context("set PERPRO_CACHE to a folder for built programs (HOME is not set either)")?;
        Ok(Self { root: std::path::absolute(root)? })
    }

    /// The cache folder at `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// One folder per built program and version.
    pub fn programs(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// Where clusters live unless `--dir` says otherwise.
    pub fn clusters(&self) -> PathBuf {
        self.root.join("clusters")
    }
}
