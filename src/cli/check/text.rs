//! Findings for people: where, what, the lines, what to do.

use super::super::output::{clean, count};
use super::masks::Masks;
use super::report::{Finding, Report};
use perpro_core::decide::refusal::Reason;
use perpro_core::names;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;

/// Most lines that are shown of a finding.
const SHOWN: u32 = 4;
/// A longer line is cut: generated files have lines without end.
const WIDTH: usize = 160;

/// What could not be read.
pub(super) fn problems(report: &Report<'_>) -> Vec<String> {
    report
        .problems
        .iter()
        .map(|p| {
            let line = p.line.map(|line| format!(":{line}")).unwrap_or_default();
            format!("{}{line}  can't be read: {}", clean(p.file), clean(p.what))
        })
        .collect()
}

/// All findings, and a line that sums them up.
pub(super) fn render(report: &Report<'_>) -> String {
    let mut out = String::new();
    // The lines of each text, found once.
    let mut lines: HashMap<_, Vec<_>> = HashMap::new();
    for finding in &report.findings {
        let lines = lines.entry(finding.text.as_ptr()).or_insert_with(|| finding.text.lines().collect());
        render_one(finding, lines, &report.masks, &mut out);
    }
    for identity in &report.unseen {
        let identity = clean(identity);
        let _ = writeln!(
            out,
            "note: AgentIdentity {identity} is not among the files, so what it lists was not compared; give its file too, \
             or --cluster"
        );
    }
    if report.agents == 0 && report.pods > 0 {
        let _ = writeln!(
            out,
            "note: no pod was judged, as none says that it is an agent; label those that are with {}, a workload \
             in its pod template, or give --enforce all to check every pod as one",
            names::IDENTITY_LABEL
        );
    }
    let _ = writeln!(out, "{}", summary(report));
    out
}

fn render_one(finding: &Finding<'_>, source: &[&str], masks: &Masks<'_>, out: &mut String) {
    let Finding { file, lines, hidden, refusal, warning, .. } = finding;
    let sentence = clean(&refusal.reason.to_string());
    // Where a sentence says first what is wrong and then what to do, they stand apart.
    let (what, then) = match sentence.split_once("; ") {
        Some((what, then)) => (what, Some(then)),
        None => (sentence.as_str(), None),
    };
    let file = clean(file);
    let warning = if *warning { "warning: " } else { "" };
    let _ = writeln!(out, "{file}:{}  {}  {warning}{what}", lines.first, refusal.code());
    let last = lines.last.min(lines.first.saturating_add(SHOWN - 1));
    let shown = (lines.first..=last).zip(source.iter().skip(lines.first.saturating_sub(1) as usize));
    for (number, line) in shown.filter(|_| !hidden) {
        let Some(masked) = masks.line(finding.file, line) else { continue };
        // Of a credential itself nothing is shown but what is known to be masked.
        if matches!(masked, Cow::Borrowed(_)) && matches!(refusal.reason, Reason::LiteralCredential { .. }) {
            continue;
        }
        let _ = writeln!(out, "{number:>5} | {}", cut(&masked));
    }
    if let Some(then) = then {
        let _ = writeln!(out, "      = {then}");
    }
}

/// A line as far as it fits, and without what would move a terminal's cursor.
fn cut(line: &str) -> String {
    let visible = |c: char| {
        if c == '\t' {
            ' '
        } else if c.is_control() {
            '\u{fffd}'
        } else {
            c
        }
    };
    let mut cut: String = line.chars().take(WIDTH).map(visible).collect();
    if line.chars().nth(WIDTH).is_some() {
        cut.push_str("...");
    }
    cut.truncate(cut.trim_end().len());
    cut
}

fn summary(report: &Report<'_>) -> String {
    let warnings = report.findings.iter().filter(|f| f.warning).count();
    let findings = report.findings.len() - warnings;
    let mut pods = count(report.pods, "pod");
    // Nothing was found in the others because nobody looked.
    match report.agents {
        agents if agents == report.pods => {}
        1 => pods += " of which 1 is an agent",
        agents => pods += &format!(" of which {agents} are agents"),
    }
    let mut parts = vec![count(report.files, "file"), pods, count(findings, "finding")];
    if warnings > 0 {
        parts.push(count(warnings, "warning"));
    }
    let unreadable: std::collections::BTreeSet<_> = report.problems.iter().map(|p| p.file).collect();
    if !unreadable.is_empty() {
        parts.push(format!("{} unreadable", unreadable.len()));
    }
    parts.join(", ")
}
