//! Ctrl-C and termination, as something that work can be raced against: the loser is dropped, and with it every
//! program that it runs in the foreground.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The person's wish to stop.
#[derive(Debug)]
pub struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Interrupt {
    /// From now on such a wish ends work that is run under [`Interrupt::or`], and nothing else.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn listen() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The work, or an error as soon as the person wants it to stop.
    ///
    /// # Errors
    /// Those of the work, and the interruption.
    pub async fn or<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let result = tokio::select! {
            why = self.wish() => bail!(why),
            result = work => result,
        };
        if result.is_ok() {
            return result;
        }
        // Ctrl-C reaches the programs in the foreground too, and we may hear of their end first.
        match tokio::time::timeout(Duration::from_millis(100), self.wish()).await {
            Ok(why) => bail!(why),
            Err(_) => result,
        }
    }

    async fn wish(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "interrupted",
            _ = self.terminate.recv() => "told to end",
            _ = self.hangup.recv() => "the terminal is gone",
        }
    }
}
