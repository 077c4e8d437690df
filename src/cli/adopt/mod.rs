//! `perpro adopt`

mod file;
mod found;
mod said;

use super::check::{Checked, Facts, check_text};
use super::connection::Connection;
use super::output::{clean, count, print};
use crate::adopt::{self, Adopted, Target, Wish};
use anyhow::{anyhow, bail};
use found::Found;
use jiff::Timestamp;
use perpro_core::api::Owner;
use perpro_core::decide::check::Governance;
use perpro_core::names;
use std::path::PathBuf;
use std::process::ExitCode;

/// The workload could not be read, or can't be adopted.
const UNREADABLE: u8 = 2;
/// What findings call the documents that are written.
const OUTPUT: &str = "output";

#[derive(clap::Args)]
#[command(
    after_help = "Documents to apply go to standard output; what is left out, shared or not known is told on standard error.\n\
    Exit code: 0 it would be admitted, 1 something would be refused, 2 it could not be read.\n\
    Of a file: helm template CHART | perpro adopt -f - deployment/x"
)]
pub(crate) struct Args {
    /// Workload, as kubectl names it: deploy/x, or deploy x; with -f only where the file has several
    #[arg(num_args = 0..=2, required_unless_present = "file")]
    workload: Vec<String>,
    /// Ask no cluster: read the workload, and what goes with it, from this file, or - for standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Who answers for the agent: user:jane@example.com or group:support
    #[arg(long, value_parser = said::owner)]
    owner: Option<Owner>,
    /// When the identity ends: a number of days, as 90d, or a date
    #[arg(long, value_parser = said::time, value_name = "DAYS|DATE")]
    expires: Option<Timestamp>,
    /// Why the agent exists and needs what it gets
    #[arg(long)]
    justification: Option<String>,
    /// When its Secrets must have been replaced [default: when the identity ends]
    #[arg(long, value_parser = said::time, value_name = "DAYS|DATE")]
    rotate_by: Option<Timestamp>,
    /// Name of the AgentIdentity [default: that of the workload]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let wish = Wish {
            name: self.name,
            owner: self.owner,
            expires: self.expires,
            justification: self.justification,
            rotate_by: self.rotate_by,
        };
        let target = match self.workload.as_slice() {
            [] => Ok(None),
            words => Target::parse(words).map(Some),
        };
        let outcome = match (target, self.file) {
            (Err(why), _) => Err(anyhow!(why)),
            (Ok(target), Some(file)) => of_file(&file, target, &self.connection, &wish),
            (Ok(Some(target)), None) => self.connection.run(async |cluster, namespace| {
                finish(&Found::in_cluster(&cluster, target, &namespace).await?, &wish)
            }),
            (Ok(None), None) => Err(anyhow!("name one workload, as in deployment/x")),
        };
        outcome.or_else(|error| {
            // Not 1, which says that something would be refused.
            eprintln!("perpro adopt: {}", clean(&format!("{error:#}")));
            Ok(ExitCode::from(UNREADABLE))
        })
    }
}

fn of_file(
    file: &std::path::Path,
    target: Option<Target>,
    connection: &Connection,
    wish: &Wish,
) -> anyhow::Result<ExitCode> {
    if connection.says_where() {
        bail!("-f asks no cluster: leave --kubeconfig and --context out");
    }
    finish(&file::read(&file::bytes(file)?, target, connection.namespace())?, wish)
}

/// Writes what is to be applied, and says what admission would say of it.
fn finish(found: &Found, wish: &Wish) -> anyhow::Result<ExitCode> {
    let now = Timestamp::now();
    let Found { target, object, namespace, known, facts, notes, whole } = found;
    if let Some(owner) = adopt::made_by(object) {
        bail!("{target} is made by {owner}: adopt that");
    }
    let live =
        |name: &str| facts.identities.get(namespace).is_some_and(|all| all.iter().any(|i| i.name == name));
    let named = adopt::identity_of(object, target.kind);
    if let Some(identity) = named.filter(|name| live(name)) {
        return already(found, identity, now);
    }
    let adopted = adopt::adopt(target, object, namespace, known, wish, now).map_err(|why| anyhow!(why))?;
    if live(&adopted.identity) {
        bail!(
            "AgentIdentity \"{}\" is there already, and {target} does not name it: give another name by --name",
            adopted.identity
        );
    }
    let (text, checked) = checked(&adopted, facts, namespace, now);
    print(&text)?;
    let all = notes.iter().chain(&adopted.notes);
    tell(target, &adopted, all, &checked, *whole);
    Ok(if checked.refusals.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The verdict on what was written; what of it is refused has that said beside it.
fn checked(adopted: &Adopted, facts: &Facts, namespace: &str, now: Timestamp) -> (String, Checked) {
    let check = |text: &str| check_text(OUTPUT, text, facts, namespace, Governance::All, now);
    let first = check(&adopted.text);
    let said = first.refusals.iter().filter(|r| r.kind != "AgentIdentity");
    let comments: Vec<_> = said.map(|r| (r.line, format!("{}: {}", r.code, r.sentence))).collect();
    if comments.is_empty() {
        return (adopted.text.clone(), first);
    }
    let text = adopt::annotate(&adopted.text, &comments);
    let checked = check(&text);
    (text, checked)
}

fn tell<'a>(
    target: &Target,
    adopted: &Adopted,
    notes: impl Iterator<Item = &'a String>,
    checked: &Checked,
    whole: bool,
) {
    if !adopted.missing.is_empty() {
        eprintln!(
            "fill in what only you know, or say it by {}: until then admission refuses the AgentIdentity",
            adopted.missing.join(", ")
        );
    }
    for note in notes {
        eprintln!("note: {}", clean(note));
    }
    if checked.refusals.is_empty() {
        eprint!("{}", checked.warnings);
        let less = if adopted.holds_less { ", without what is left out" } else { "" };
        let seen = if whole {
            ""
        } else {
            ", by what could be seen: policies and identities may be there that refuse it"
        };
        eprintln!("admission would admit {target} under AgentIdentity \"{}\"{less}{seen}", adopted.identity);
    } else {
        eprint!("{}", checked.text);
        eprintln!("admission would refuse {}", count(checked.refusals.len(), "thing"));
    }
}

/// The workload has its identity already.
fn already(found: &Found, identity: &str, now: Timestamp) -> anyhow::Result<ExitCode> {
    let Found { target, object, namespace, facts, .. } = found;
    let text = adopt::as_written(target, object, namespace);
    let checked = check_text(&target.to_string(), &text, facts, namespace, Governance::All, now);
    if checked.refusals.is_empty() {
        eprintln!("{target} runs under AgentIdentity \"{identity}\" already: nothing is left to do");
        return Ok(ExitCode::SUCCESS);
    }
    eprint!("{}", checked.text);
    eprintln!(
        "{target} names AgentIdentity \"{identity}\", and its pods would be refused: change one or the other; or take the \
         label {} away, and adopt it under another --name",
        names::IDENTITY_LABEL
    );
    Ok(ExitCode::FAILURE)
}
