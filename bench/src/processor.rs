//! Who computes where, how much, and with how much memory.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use perpro_e2e::cluster::ProcessId;

/// The machine's cores in two parts, so that the load does not slow down who answers it. A machine with one core has
/// no parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    server: CpuSet,
    load: CpuSet,
}

impl Cores {
    /// One core for whoever is measured, all others for the load.
    ///
    /// # Errors
    /// When the kernel does not tell which there are.
    pub(crate) fn split() -> Result<Self> {
        let all = sched_getaffinity(None).context("cannot ask which cores there are")?;
        let first = (0..CpuSet::MAX_CPU).find(|core| all.is_set(*core)).context("there is no core")?;
        if all.count() == 1 {
            return Ok(Self { server: all, load: all });
        }
        let (mut server, mut load) = (CpuSet::new(), all);
        server.set(first);
        load.unset(first);
        Ok(Self { server, load })
    }

    /// Keeps a process on the server's core.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn give_to_server(&self, process: ProcessId) -> Result<()> {
        for thread in threads(process)? {
            // A thread may end meanwhile.
            let _ = sched_setaffinity(Some(thread), &self.server);
        }
        Ok(())
    }

    /// Keeps the calling thread on the load's cores.
    pub(crate) fn give_to_load(&self) {
        // At worst the numbers are less even.
        let _ = sched_setaffinity(None, &self.load);
    }
}

/// Seconds that all threads of a process have computed so far. Those of ended threads are missing, so it is only good
/// for servers whose threads stay.
///
/// # Errors
/// When it has ended.
pub(crate) fn seconds(process: ProcessId) -> Result<f64> {
    let mut nanoseconds = 0u64;
    for thread in threads(process)? {
        let path = format!("/proc/{}/task/{}/schedstat", process.pid, thread.as_raw_nonzero());
        let Ok(text) = fs::read_to_string(path) else { continue };
        nanoseconds += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanoseconds).as_secs_f64())
}

/// Share of all cores that may be busy where nothing is done: two control planes that wait.
const IDLE: f64 = 0.15;

/// Waits until the machine has nothing left to do, 20 s at most: what was deleted is collected a while after.
pub(crate) async fn idle() {
    let until_idle = async {
        let mut before = busy();
        loop {
            sleep(Duration::from_millis(500)).await;
            let now = busy();
            if (now.0 - before.0) < IDLE * (now.1 - before.1) {
                return;
            }
            before = now;
        }
    };
    // A machine that is never quiet shows in the extremes.
    let _ = timeout(Duration::from_secs(20), until_idle).await;
}

/// Ticks that all cores were busy so far, and all ticks; proc_stat(5).
fn busy() -> (f64, f64) {
    parse_busy(&fs::read_to_string("/proc/stat").unwrap_or_default())
}

fn parse_busy(stat: &str) -> (f64, f64) {
    let first = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = first.split_whitespace().skip(1).take(8).filter_map(|t| t.parse().ok()).collect();
    let all: f64 = ticks.iter().sum();
    // The fourth counts idle ones, the fifth those that wait for a disk.
    (all - ticks.iter().skip(3).take(2).sum::<f64>(), all)
}

/// Megabytes (10^6) of memory that a process has in use.
///
/// # Errors
/// When it has ended.
pub(crate) fn resident_megabytes(process: ProcessId) -> Result<f64> {
    let path = format!("/proc/{}/status", process.pid);
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    parse_resident(&status).with_context(|| format!("{path} has no VmRSS"))
}

fn parse_resident(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0 / 1e6)
}

fn threads(process: ProcessId) -> Result<Vec<Pid>> {
    if !process.is_alive() {
        bail!("process {} has ended", process.pid);
    }
    let entries = fs::read_dir(format!("/proc/{}/task", process.pid)).context("cannot list threads")?;
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(ids.filter_map(Pid::from_raw).collect())
}

/// What numbers can only be understood with.
pub(crate) fn machine() -> Value {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    json!({"cores": cores, "model": model.map(|(_, name)| name)})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        let megabytes = parse_resident("VmHWM:\t  9999 kB\nVmRSS:\t   31250 kB\nThreads:\t3\n");
        assert_eq!(megabytes, Some(32.0));
        assert_eq!(parse_resident("Threads:\t3\n"), None);
    }

    #[test]
    fn who_waits_for_a_disk_is_not_busy() {
        let stat = "cpu  10 1 5 100 20 0 2 2 7 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(parse_busy(stat), (20.0, 140.0));
        assert_eq!(parse_busy(""), (0.0, 0.0));
    }

    #[test]
    fn load_and_server_share_a_core_only_where_there_is_one() {
        let cores = Cores::split().unwrap();
        let shared =
            (0..CpuSet::MAX_CPU).filter(|core| cores.server.is_set(*core) && cores.load.is_set(*core));
        let only_one = std::thread::available_parallelism().unwrap().get() == 1;
        assert_eq!(shared.count(), usize::from(only_one));
        assert_eq!(cores.server.count(), 1);
    }
}
