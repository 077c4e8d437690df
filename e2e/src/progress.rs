//! What a person sees while something takes time: on a terminal a spinner with the elapsed time, elsewhere one
//! line per step with the time it took. All of it on stderr, so that stdout can be evaluated by a shell.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// Runs one step and tells how long it took.
///
/// # Errors
/// Those of the step.
pub async fn step<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let started = Instant::now();
    let result = meanwhile(what, work).await;
    let outcome = if result.is_ok() { "" } else { ": failed" };
    say(&format!("{what}{outcome} ({:.1} s)", started.elapsed().as_secs_f64()));
    result
}

/// Runs something that may take a moment; when it has ended, nothing is left of that.
///
/// # Errors
/// Those of the work.
pub async fn meanwhile<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let spinner = spinner(what);
    let result = work.await;
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
    }
    result
}

/// One line for the person.
pub fn say(line: &str) {
    eprintln!("{line}");
}

fn spinner(what: &str) -> Option<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}").ok()?;
    let bar = ProgressBar::new_spinner().with_style(style).with_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    Some(bar)
}
