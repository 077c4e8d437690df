//! How the processes log. Commands for people answer, they don't log.

use crate::runtime::telemetry::{self, LogFormat};

#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Logs {
    /// How log lines are written.
    #[arg(long, value_enum, default_value = "text", env = "PERPRO_LOG_FORMAT")]
    log_format: LogFormat,
}

impl Logs {
    /// Starts logging.
    pub(super) fn start(self) {
        telemetry::start(self.log_format);
    }
}
