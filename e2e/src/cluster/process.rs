//! Processes that outlive the program which starts them, known by id and start time, never by name.
//!
//! A process is written down before it runs: the child waits on its stdin until the parent has recorded it, and
//! ends if the parent dies first. So there is no moment in which something of ours runs unrecorded.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::wait;

const GATE: &str = r#"read -r _ && exec "$0" "$@" </dev/null"#;

/// One process of this boot: ids are reused, an id together with its start time is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its id.
    pub pid: i32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub started: u64,
}

impl ProcessId {
    /// The process that has this id now; none when there is none, or only its exit status is left.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (state, started) = parse_stat(&stat)?;
        (!matches!(state, 'Z' | 'X')).then_some(Self { pid, started })
    }

    /// Whether this very process still runs.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Sends a signal, if this very process still runs. The descriptor is opened before the check, so that the
    /// id cannot be given to another process in between.
    pub(crate) fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        if self.is_alive() {
            // It may end between the two lines, which is what a signal is for.
            let _ = pidfd_send_signal(&descriptor, signal);
        }
    }
}

/// A program to start in the background.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// Its name in the state file.
    pub(crate) name: String,
    /// The executable.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// Variables added to our own environment; `KUBECONFIG` is never inherited.
    pub(crate) env: BTreeMap<String, String>,
    /// The file that its output is appended to.
    pub(crate) log: PathBuf,
}

impl Launch {
    /// Starts it in a session of its own, so that neither Ctrl-C nor a closed terminal reaches it. `record` is
    /// called with its id before the program runs.
    ///
    /// # Errors
    /// When it cannot be started or recorded.
    pub(crate) fn start(&self, record: impl FnOnce(ProcessId) -> Result<()>) -> Result<ProcessId> {
        let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.log);
        let log = log.with_context(|| format!("cannot open {}", self.log.display()))?;
        let mut child = Command::new("setsid")
            .args(["sh", "-c", GATE])
            .arg(&self.program)
            .args(&self.args)
            .env_remove("KUBECONFIG")
            .envs(&self.env)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot run setsid")?;
        let mut gate = child.stdin.take().context("stdin was piped")?;
        let id = ProcessId::of(i32::try_from(child.id())?);
        // Reaped when it ends, as long as we are there.
        std::thread::spawn(move || child.wait());
        let id = id.with_context(|| format!("{} ended at once", self.name))?;
        record(id)?;
        gate.write_all(b"\n").with_context(|| format!("{} ended before it ran", self.name))?;
        Ok(id)
    }
}

/// Ends these processes: asks, waits, and after `grace` kills.
///
/// # Errors
/// When one is still there some seconds after it was killed.
pub(crate) async fn stop(ids: &[ProcessId], grace: Duration) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    ids.iter().for_each(|id| id.signal(Signal::TERM));
    if ended("processes that were asked to end", ids, grace).await.is_ok() {
        return Ok(());
    }
    ids.iter().for_each(|id| id.signal(Signal::KILL));
    ended("processes that were killed", ids, Duration::from_secs(10)).await
}

async fn ended(what: &str, ids: &[ProcessId], limit: Duration) -> Result<()> {
    wait::until(what, limit, async || {
        let alive: Vec<_> = ids.iter().filter(|id| id.is_alive()).map(|id| id.pid.to_string()).collect();
        if alive.is_empty() { wait::ready(()) } else { wait::not_yet(format!("alive: {}", alive.join(" "))) }
    })
    .await
}

/// State and start time out of `/proc/PID/stat`. The second field is the program's name in parentheses, and may
/// hold blanks and parentheses itself.
fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?.chars().next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some((state, started))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_read_past_a_name_with_blanks_and_parentheses() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9876 11 12 13";
        assert_eq!(parse_stat(stat), Some(('S', 9876)));
        assert_eq!(parse_stat("42 (cut off"), None);
    }

    #[test]
    fn a_reused_id_is_another_process() {
        let own = i32::try_from(std::process::id()).unwrap();
        let this = ProcessId::of(own).unwrap();
        let earlier = ProcessId { started: this.started - 1, ..this };
        assert!(this.is_alive());
        assert!(!earlier.is_alive());
        earlier.signal(Signal::KILL); // would end this test
    }

    #[tokio::test]
    async fn a_process_is_recorded_before_it_runs_and_ends_when_told() {
        let folder = std::env::temp_dir().join(format!("perpro-process-{}", std::process::id()));
        crate::files::private_dir(&folder).unwrap();
        let launch = Launch {
            name: "sleeper".into(),
            program: "/bin/sh".into(),
            args: vec![
                "-c".into(),
                "touch ran; exec sleep 60".replace("ran", &folder.join("ran").to_string_lossy()),
            ],
            env: BTreeMap::new(),
            log: folder.join("log"),
        };
        let refused = launch.start(|_| anyhow::bail!("the disk is full"));
        assert!(refused.is_err());

        let id = launch
            .start(|_| {
                assert!(!folder.join("ran").exists());
                Ok(())
            })
            .unwrap();
        assert!(id.is_alive());
        stop(&[id], Duration::from_secs(5)).await.unwrap();
        assert!(!id.is_alive());
        crate::files::remove_dir(&folder).unwrap();
    }
}
