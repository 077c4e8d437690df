//! `perpro explain`

use super::output::{Table, print, wrap};
use anyhow::bail;
use perpro_core::catalogue::{self, Entry, Example};
use std::fmt::Write;

/// Longest line of prose.
const WIDTH: usize = 92;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A code, such as AID012 or just 12; all of them in a table when not given.
    code: Option<String>,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Some(code) = self.code else { return print(&table()) };
        let Some(entry) = catalogue::find(&code) else { bail!("{}", unknown(&code)) };
        print(&page(entry))
    }
}

fn unknown(code: &str) -> String {
    let near = catalogue::near(code);
    if near.is_empty() {
        return format!(
            "{code:?} is no code: codes are AID and three digits. `explain` alone lists them all"
        );
    }
    let near: Vec<_> = near
        .iter()
        .filter_map(|c| catalogue::find(c))
        .map(|e| format!("\n  {}  {}", e.code, e.title))
        .collect();
    format!("there is no code {code:?}; near it are{}\n`explain` alone lists them all", near.concat())
}

fn table() -> String {
    let mut table = Table::new(&["CODE", "FROM", "MEANING"]);
    for entry in catalogue::all() {
        table.row([entry.code.to_owned(), entry.from[0].to_string(), entry.title.to_owned()]);
    }
    table.render()
}

fn page(entry: &Entry) -> String {
    let Entry { code, title, why, fix, from, example } = entry;
    let from: Vec<_> = from.iter().map(ToString::to_string).collect();
    let mut page = format!("{code}  {title}\nsaid by: {}\n", from.join("; "));
    for (heading, text) in [("Why", why), ("What to do", fix)] {
        let _ = write!(page, "\n{heading}\n{}", indented(&wrap(text, WIDTH)));
    }
    match example {
        Example::Manifests { wrong, right } => {
            for (heading, manifest) in [("Wrong", wrong), ("Right", right)] {
                let lines: Vec<_> = manifest.lines().map(str::to_owned).collect();
                let _ = write!(page, "\n{heading}\n{}", indented(&lines));
            }
        }
        Example::None(reason) => {
            let _ = write!(page, "\nNo manifest shows it\n{}", indented(&wrap(reason, WIDTH)));
        }
    }
    page
}

fn indented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_why_and_how_to_get_it_right() {
        let page = page(catalogue::find("AID012").unwrap());
        let begin =
            "AID012  A container or volume takes a whole Secret\nsaid by: webhook; controller, in an Event\n";
        assert!(page.starts_with(begin), "{page}");
        let order: Vec<_> =
            ["\nWhy\n", "\nWhat to do\n", "\nWrong\n", "- secretRef", "\nRight\n", "- configMapRef"]
                .iter()
                .map(|part| page.find(part).unwrap_or_else(|| panic!("{part} is missing: {page}")))
                .collect();
        assert!(order.is_sorted(), "{page}");
    }

    #[test]
    fn a_code_without_manifests_says_so() {
        let page = page(catalogue::find("AID090").unwrap());
        assert!(
            page.contains("\nNo manifest shows it\n  It depends on the state of the webhook.\n"),
            "{page}"
        );
    }

    #[test]
    fn a_typo_is_told_what_is_near() {
        let text = unknown("AID112");
        assert!(text.contains("\n  AID012  A container or volume takes a whole Secret"), "{text}");
        assert!(unknown("envFrom").contains("codes are AID and three digits"));
    }

    #[test]
    fn the_table_has_every_code() {
        assert_eq!(table().lines().count(), catalogue::all().len() + 1);
    }
}
