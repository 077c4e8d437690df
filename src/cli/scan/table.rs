//! The report for a terminal: eight rows, then the worst of each by name.

use super::super::output::{Table, clean, count, wrap};
use crate::scan::{Ref, Report, headline, next_steps};
use std::fmt::Write;

/// How many of a kind are shown.
const SHOWN: usize = 10;
/// Widest line.
const WIDTH: usize = 140;

pub(super) fn render(report: &Report) -> String {
    let mut out = format!("{}\n\n", headline(report));
    let mut table = Table::new(&["CRACK", "AGENTS", "ALL WORKLOADS", "WHAT CLOSES IT"]);
    for row in &report.rows {
        table.row([
            format!("{} {}", row.crack.number(), row.crack.title()),
            row.agents.to_string(),
            row.workloads.map_or_else(|| "-".to_owned(), |n| n.to_string()),
            row.crack.closed_by().to_owned(),
        ]);
    }
    out.push_str(&table.render());
    // Of the two that nothing closes yet no agent is worse than another.
    for row in report.rows.iter().filter(|r| r.crack.can_be_closed()) {
        let title = format!("{} {}", row.crack.number(), row.crack.title());
        section(&mut out, &title, places(row.findings.iter().map(|f| (&f.at, f.what.clone()))));
    }
    let unlabelled = report.unlabelled().map(|a| {
        let owner = a.owner.as_ref().map(|o| format!("; owner {o}")).unwrap_or_default();
        (&a.at, format!("{}{owner}", a.why))
    });
    section(&mut out, "Agents that nobody labelled, and by what they were known", places(unlabelled));
    for holding in &report.holdings {
        section(&mut out, holding.title, holding.holders.clone());
        if holding.built_in > 0 && !holding.holders.is_empty() {
            let _ = writeln!(out, "  and {} of Kubernetes itself", count(holding.built_in, "subject"));
        }
    }
    let unused = report.unused.iter().map(|u| {
        let roles = u.roles.join("; ");
        (&u.at, if roles.is_empty() { "no roles".to_owned() } else { roles })
    });
    section(&mut out, "Service accounts that no pod runs under", places(unused));
    let next = next_steps(report);
    for (title, sentences) in [
        ("What to do next", &next),
        ("Not read, so numbers are too low", &report.gaps),
        ("Notes", &report.notes),
    ] {
        if !sentences.is_empty() {
            let _ = writeln!(out, "\n{title}");
        }
        for sentence in sentences {
            for (i, line) in wrap(&clean(sentence), WIDTH - 2).into_iter().enumerate() {
                let _ = writeln!(out, "{}{line}", if i == 0 { "- " } else { "  " });
            }
        }
    }
    out
}

/// As kubectl lists them in all namespaces: each with its namespace before it.
fn places<'a>(rows: impl Iterator<Item = (&'a Ref, String)>) -> Vec<(String, String)> {
    let rows: Vec<_> = rows.collect();
    let width = rows.iter().take(SHOWN).map(|(at, _)| at.namespace.len()).max().unwrap_or_default();
    let place = |at: &Ref| format!("{:<width$}   {}", at.namespace, at.short());
    rows.into_iter().map(|(at, what)| (place(at), what)).collect()
}

/// The first ten, in two columns, and how many more.
fn section(out: &mut String, title: &str, mut rows: Vec<(String, String)>) {
    if rows.is_empty() {
        return;
    }
    let more = rows.len().saturating_sub(SHOWN);
    rows.truncate(SHOWN);
    let rows: Vec<_> = rows.iter().map(|(at, what)| (clean(at), clean(what))).collect();
    let _ = writeln!(out, "\n{title}");
    let widest = rows.iter().map(|(at, _)| at.chars().count()).max().unwrap_or_default().min(WIDTH / 2);
    for (at, what) in rows {
        let lines = wrap(&what, WIDTH - widest - 5);
        let mut lines = lines.iter();
        let first = lines.next().map(String::as_str).unwrap_or_default();
        let _ = writeln!(out, "  {at:<widest$}   {first}");
        for line in lines {
            let _ = writeln!(out, "  {:<widest$}   {line}", "");
        }
    }
    if more > 0 {
        let _ = writeln!(out, "  and {more} more (-o json lists all)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::{Listing, report};
    use serde_json::json;

    #[test]
    fn eight_rows_the_worst_ten_by_name_and_what_was_not_read() {
        let mut listing = Listing::default();
        for i in 0..12 {
            let pod = json!({"metadata": {"namespace": "ns", "name": format!("bot{i}-agent")},
                "spec": {"hostPID": true, "containers": [{"name": "main"}]}});
            listing.pod(&pod.to_string());
        }
        listing.gap("Roles could not be listed (\u{1b}[31mno): cracks.".to_owned());
        let text = render(&report(listing));
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[0]
                .starts_with("12 AI agents among 12 workloads. Nobody labelled any of them, and no owner"),
            "{text}"
        );
        assert_eq!(lines[2].split_whitespace().next(), Some("CRACK"), "{text}");
        assert!(lines[9].starts_with("7 more than its own keys      12       12 "), "{text}");
        assert_eq!(lines[5].split_whitespace().nth(3), Some("0"), "{text}");
        assert_eq!(lines.iter().filter(|l| l.ends_with("hostPID")).count(), SHOWN, "{text}");
        assert!(text.contains("\n  and 2 more (-o json lists all)\n"), "{text}");
        assert!(
            text.contains(
                "\nNot read, so numbers are too low\n- Roles could not be listed (\\u{1b}[31mno): cracks.\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn no_agents_are_told_as_such() {
        let text = render(&report(Listing::default()));
        assert!(text.starts_with("No AI agents seen among 0 workloads.\n"), "{text}");
    }
}
