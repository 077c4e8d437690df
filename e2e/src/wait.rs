//! Waiting for a condition. Nothing here sleeps in place of one: every wait has a probe, a deadline, and the
//! last reason why the probe was not content.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const INTERVAL: Duration = Duration::from_millis(50);

/// What a probe says: `Continue(why not yet)`, or `Break` with the value or with an error that ends the wait.
pub type Probe<T> = ControlFlow<Result<T>, String>;

/// The probe found what it waits for.
pub fn ready<T>(value: T) -> Probe<T> {
    ControlFlow::Break(Ok(value))
}

/// The probe should be asked again; `why` is told if time runs out.
pub fn not_yet<T>(why: impl ToString) -> Probe<T> {
    ControlFlow::Continue(why.to_string())
}

/// Asks `probe` until it breaks, or fails after `limit` with the last reason it gave.
///
/// # Errors
/// When the probe breaks with an error, or time runs out.
pub async fn until<T>(what: &str, limit: Duration, mut probe: impl AsyncFnMut() -> Probe<T>) -> Result<T> {
    let started = Instant::now();
    loop {
        let why = match probe().await {
            ControlFlow::Break(result) => return result,
            ControlFlow::Continue(why) => why,
        };
        if started.elapsed() >= limit {
            bail!("{what}: not so after {} s: {why}", limit.as_secs());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
