//! What is mounted below a folder, and how it is unmounted.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::{UnmountFlags, unmount};

/// Unmounts everything below `folder`, the latest first. What is busy goes as soon as it no longer is.
pub(crate) fn unmount_below(folder: &Path) -> Result<()> {
    let Ok(folder) = fs::canonicalize(folder) else { return Ok(()) };
    let mounts = fs::read("/proc/self/mounts").context("cannot read the mounts")?;
    for point in below(&mounts, &folder).into_iter().rev() {
        unmount(&point, UnmountFlags::DETACH)
            .with_context(|| format!("cannot unmount {}", point.display()))?;
    }
    Ok(())
}

/// Mount points below `folder`, in the order in which they were mounted.
fn below(mounts: &[u8], folder: &Path) -> Vec<PathBuf> {
    let lines = mounts.split(|byte| *byte == b'\n');
    let points = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(1)).map(unescaped);
    points.filter(|point| point.starts_with(folder)).collect()
}

/// The kernel writes blanks, tabs, newlines and backslashes as three octal digits.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_below_a_folder_are_found_and_its_neighbours_are_not() {
        let mounts = b"/dev/vda / ext4 rw 0 0\n\
                       tmpfs /c/kubelet/pods/1/token tmpfs rw 0 0\n\
                       overlay /c/containerd/state/my\\040root overlay rw 0 0\n\
                       tmpfs /cluster tmpfs rw 0 0\n";
        let found = below(mounts, Path::new("/c"));
        assert_eq!(found, [Path::new("/c/kubelet/pods/1/token"), Path::new("/c/containerd/state/my root")]);
    }
}
