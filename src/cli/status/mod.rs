//! `perpro status`

mod admission;
mod parts;
mod report;
mod seen;

use super::connection::Connection;
use super::output::{Format, print};
use jiff::Timestamp;
use seen::Seen;
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Namespace of the release.
    #[arg(long, default_value = "perpro-system", value_name = "NAMESPACE")]
    release_namespace: String,
    /// Everything for a program.
    #[arg(short, long, value_enum)]
    output: Option<Format>,
    #[command(flatten)]
    connection: Connection,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let (release, format) = (self.release_namespace, self.output);
        self.connection.run(async move |cluster, _| {
            let report = report::Report::of(&Seen::read(&cluster, &release).await?, Timestamp::now());
            match format {
                Some(format) => format.print(&report.facts)?,
                None => print(&report.text)?,
            }
            Ok(if report.healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        })
    }
}
