//! `perpro scan`

mod html;
mod json;
mod read;
mod table;

use super::connection::Connection;
use super::output::{self, print};
use crate::scan::{Crack, Report, report};
use anyhow::{Context, bail};
use jiff::Timestamp;
use perpro_core::names;
use std::path::PathBuf;
use std::process::ExitCode;

/// Something could not be read, so that less may have been found than there is.
const UNREADABLE: u8 = 2;

#[derive(clap::Args)]
#[command(
    after_help = "Exit code: 0 nothing found, 1 agents have a crack of --fail-on, 2 something could not be read.\n\
    It lists and never writes; rights that it needs: docs/scan.md. -n NAMESPACE looks at one namespace, else at all."
)]
pub(crate) struct Args {
    /// Everything for a program
    #[arg(short, long, value_enum)]
    output: Option<output::Format>,
    /// Also write a page for people to FILE
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Which cracks make the exit code 1: numbers, or none
    #[arg(long, value_name = "CRACKS", value_delimiter = ',', default_value = "1,2,3,4,7,8", value_parser = crack)]
    fail_on: Vec<u8>,
    #[command(flatten)]
    connection: Connection,
}

/// The number of a crack; 0 is none.
fn crack(text: &str) -> Result<u8, String> {
    let known = |n: &u8| Crack::ALL.iter().any(|c| c.number() == *n);
    match text {
        "none" => Ok(0),
        _ => text.parse().ok().filter(known).ok_or_else(|| "a number from 1 to 8, or none".to_owned()),
    }
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let namespace = self.connection.namespace().map(str::to_owned);
        let (format, page, fail_on) = (self.output, self.html, self.fail_on);
        let outcome = self.connection.run(async move |cluster, _| {
            if let Some(wrong) = namespace.as_deref().filter(|n| !names::is_dns_label(n)) {
                bail!("{wrong:?} is no name of a namespace");
            }
            let report = report(read::read(&cluster, namespace.as_deref()).await);
            if let Some(file) = &page {
                let page = html::render(&report, namespace.as_deref(), Timestamp::now());
                std::fs::write(file, page).with_context(|| format!("can't write {}", file.display()))?;
            }
            match format {
                Some(format) => format.print(&json::render(&report))?,
                None => print(&table::render(&report))?,
            }
            Ok(exit_code(&report, &fail_on))
        });
        outcome.or_else(|error| {
            // Not 1, which says that there are findings.
            eprintln!("perpro scan: {error:#}");
            Ok(ExitCode::from(UNREADABLE))
        })
    }
}

fn exit_code(report: &Report, fail_on: &[u8]) -> ExitCode {
    let found = report.rows.iter().any(|r| r.agents > 0 && fail_on.contains(&r.crack.number()));
    if !report.gaps.is_empty() {
        ExitCode::from(UNREADABLE)
    } else if found {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
