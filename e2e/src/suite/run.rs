//! Running a stage's commands, with their output in one file.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;

/// No stage takes as long, also where everything has to be built.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// Runs these one after the other and stops at the first that fails.
///
/// # Errors
/// When one fails, with its name.
pub(crate) async fn all(commands: Vec<Command>, log: &Path) -> Result<()> {
    File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    for command in commands {
        one(command, log).await?;
    }
    Ok(())
}

async fn one(mut command: Command, log: &Path) -> Result<()> {
    let name = shown(&command);
    let output = OpenOptions::new().append(true).open(log)?;
    command.stdout(output.try_clone()?).stderr(output).stdin(Stdio::null());
    // A group of its own, so that what a command has started ends with it.
    let mut child = command.process_group(0).spawn().with_context(|| format!("cannot run `{name}`"))?;
    let _group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    match tokio::time::timeout(LIMIT, child.wait()).await {
        Ok(status) => match status? {
            status if status.success() => Ok(()),
            status => bail!("`{name}` failed ({status})"),
        },
        Err(_) => bail!("`{name}` had not ended after {} minutes", LIMIT.as_secs() / 60),
    }
}

/// Program and arguments, as far as they fit a line.
fn shown(command: &Command) -> String {
    let command = command.as_std();
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words: Vec<_> =
        std::iter::once(program).chain(command.get_args()).map(|word| word.to_string_lossy()).collect();
    words.join(" ").chars().take(100).collect()
}

/// Processes that end when this is dropped, unless they have ended.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = kill_process_group(pid, Signal::KILL); // they may have ended
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::command;

    fn shell(script: &str) -> Command {
        let mut shell = command("/bin/sh");
        shell.args(["-c", script]);
        shell
    }

    fn log(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("perpro-suite-{name}-{}", std::process::id()))
    }

    #[tokio::test]
    async fn commands_run_in_order_until_one_fails() {
        let log = log("order");
        let ran = all(vec![shell("echo a; echo b >&2"), shell("exit 3"), shell("echo c")], &log).await;
        assert!(format!("{:#}", ran.unwrap_err()).contains("exit status: 3"));
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "a\nb\n");
        std::fs::remove_file(log).unwrap();
    }

    #[tokio::test]
    async fn what_a_command_started_ends_with_it_when_it_is_interrupted() {
        let log = log("group");
        let run = all(vec![shell("sleep 60 & echo $!; wait")], &log);
        assert!(tokio::time::timeout(Duration::from_millis(500), run).await.is_err());
        let pid = std::fs::read_to_string(&log).unwrap();
        let stat = std::path::PathBuf::from(format!("/proc/{}/stat", pid.trim()));
        crate::wait::until("the grandchild should end", Duration::from_secs(5), async || {
            match std::fs::read_to_string(&stat) {
                Ok(stat) if !stat.contains(") Z ") => crate::wait::not_yet("it runs"),
                _ => crate::wait::ready(()),
            }
        })
        .await
        .unwrap();
        std::fs::remove_file(log).unwrap();
    }
}
