//! Writing files that only their owner reads, and whole or not at all.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result};

/// Creates a folder, and those above it, with mode 0700.
///
/// # Errors
/// When the file system refuses.
pub fn private_dir(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("cannot create {}", path.display()))
}

/// Writes a file of mode 0600 beside its final name and renames it, so that readers see all of it or the old one.
///
/// # Errors
/// When the file system refuses.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let beside = Path::new(&name);
    let written = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(beside)?;
        file.write_all(content.as_ref())?;
        fs::rename(beside, path)
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}

/// Removes a folder with all that is in it, if it is there.
///
/// # Errors
/// When the file system refuses.
pub fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
