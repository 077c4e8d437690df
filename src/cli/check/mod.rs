//! `perpro check`

mod facts;
mod input;
mod json;
mod judge;
mod keys;
mod made;
mod masks;
mod report;
mod sarif;
mod text;

use super::connection::Connection;
use super::output::print;
pub(super) use facts::Facts;
use input::Input;
use jiff::Timestamp;
use perpro_core::decide::check::Governance;
use report::{Finding, Report};
use std::path::PathBuf;
use std::process::ExitCode;

/// Something that was to be checked could not be read.
const UNREADABLE: u8 = 2;
/// Namespace of what names none, as with kubectl.
const NAMESPACE: &str = "default";

#[derive(clap::Args)]
#[command(after_help = "Exit code: 0 nothing found, 1 findings, 2 something could not be read.\n\
    Rendered charts: helm template CHART | perpro check -      kustomize: kubectl kustomize DIR | perpro check -")]
pub(crate) struct Args {
    /// Files, folders with all their .yaml, .yml and .json, or - for standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Leave out this file or folder; may be given several times
    #[arg(long, value_name = "PATH")]
    exclude: Vec<PathBuf>,
    /// How the findings are told
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
    /// Check pods as in a namespace with this label perpro.dev/enforce [default: what its Namespace says, or else agents]
    #[arg(long, value_enum)]
    enforce: Option<Enforce>,
    /// What makes the exit code 1
    #[arg(long, value_enum, default_value_t = FailOn::Findings)]
    fail_on: FailOn,
    /// Also ask the cluster for namespaces, identities and policies; --kubeconfig and --context imply it
    #[arg(long)]
    cluster: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
    Sarif,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Enforce {
    All,
    Agents,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    Findings,
    Warnings,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let now = Timestamp::now();
        let enforce = self.enforce.map(|e| match e {
            Enforce::All => Governance::All,
            Enforce::Agents => Governance::Agents,
        });
        let input = Input::read(&self.files, &self.exclude);
        let (format, fail_on) = (self.output, self.fail_on);
        let finish = |report: &Report| finish(report, format, fail_on);
        if !self.cluster && !self.connection.says_where() {
            let namespace = self.connection.namespace().unwrap_or(NAMESPACE).to_owned();
            return finish(&judge::judge(&input, &Facts::default(), &namespace, enforce, now));
        }
        let outcome = self.connection.run(async |cluster, namespace| {
            let facts = Facts::read(&cluster, &judge::namespaces(&input, &namespace)).await?;
            finish(&judge::judge(&input, &facts, &namespace, enforce, now))
        });
        outcome.or_else(|error| {
            // Not 1, which says that there are findings.
            eprintln!("perpro check: {error:#}");
            Ok(ExitCode::from(UNREADABLE))
        })
    }
}

fn finish(report: &Report, format: Format, fail_on: FailOn) -> anyhow::Result<ExitCode> {
    match format {
        Format::Text => {
            for problem in text::problems(report) {
                eprintln!("{problem}");
            }
            print(&text::render(report))?;
        }
        Format::Json => print(&format!("{:#}\n", json::render(report)))?,
        Format::Sarif => print(&format!("{:#}\n", sarif::render(report)))?,
    }
    let counted = |f: &Finding| !f.warning || fail_on == FailOn::Warnings;
    Ok(if !report.problems.is_empty() {
        ExitCode::from(UNREADABLE)
    } else if report.findings.iter().any(counted) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// What is said of a text.
#[derive(Debug)]
pub(super) struct Checked {
    /// All findings, as people read them.
    pub(super) text: String,
    /// The same where nothing is refused: warnings only.
    pub(super) warnings: String,
    pub(super) refusals: Vec<Refused>,
}

/// One thing that would be refused.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) line: u32,
    pub(super) code: &'static str,
    pub(super) sentence: String,
    /// Kind of the object that it is about.
    pub(super) kind: String,
}

/// The verdict on a text that is no file, called `name`.
pub(super) fn check_text(
    name: &str,
    text: &str,
    facts: &Facts,
    namespace: &str,
    enforce: Governance,
    now: Timestamp,
) -> Checked {
    let file = input::File::new(name.to_owned(), Ok(text.as_bytes().to_vec()));
    let input = Input { files: vec![file] };
    let mut report = judge::judge(&input, facts, namespace, Some(enforce), now);
    // It is there, and can't be read: what is wrong with it is told.
    report.unseen.clear();
    let refused = |f: &Finding| Refused {
        line: f.lines.first,
        code: f.refusal.code(),
        sentence: f.refusal.reason.to_string(),
        kind: f.object.kind.clone(),
    };
    let text = text::render(&report);
    Checked {
        warnings: if report.findings.is_empty() { String::new() } else { text.clone() },
        refusals: report.findings.iter().filter(|f| !f.warning).map(refused).collect(),
        text,
    }
}

#[cfg(test)]
mod tests;
