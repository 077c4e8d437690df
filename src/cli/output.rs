//! What commands print: tables as kubectl aligns them, ages as kubectl writes them.

use anyhow::Context;
use jiff::Timestamp;
use serde_json::Value;
use std::io::{ErrorKind, Write};

/// How a program reads what a person sees as a table.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    Json,
    Yaml,
}

impl Format {
    /// Writes it to standard output.
    pub(super) fn print(self, shown: &Value) -> anyhow::Result<()> {
        match self {
            Self::Json => print(&format!("{shown:#}\n")),
            Self::Yaml => print(&serde_yaml::to_string(shown)?),
        }
    }
}

/// Rows under headings, every column as wide as its widest cell.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(super) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|&h| h.to_owned()).collect()] }
    }

    /// Adds a row. An empty cell becomes kubectl's `<none>`.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cell = |c: String| if c.is_empty() { "<none>".to_owned() } else { c };
        self.rows.push(cells.into_iter().map(cell).collect());
    }

    /// Lines, columns apart by three spaces.
    pub(super) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |i: usize| self.rows.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count()).max();
        let widths: Vec<_> = (0..columns).map(|i| width(i).unwrap_or_default() + 3).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            format!("{}\n", cells.collect::<String>().trim_end())
        };
        self.rows.iter().map(line).collect()
    }
}

/// How long ago, in the two units that matter, as kubectl writes it (apimachinery `HumanDuration`).
pub(super) fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let two = |n: i64, unit: char, rest: i64, small: char| {
        if rest == 0 { format!("{n}{unit}") } else { format!("{n}{unit}{rest}{small}") }
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, 'd', hours % 24, 'h'),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(days / 365, 'y', days % 365, 'd'),
        _ => format!("{}y", days / 365),
    }
}

/// `one instance`, `3 instances`.
pub(super) fn count(n: usize, noun: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{s}")
}

/// `text` in lines of at most `width` characters, as far as its words allow.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Text that others wrote, with what would move a terminal's cursor, begin a line or turn its direction spelled out.
pub(super) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            clean.extend(c.escape_default());
        } else {
            clean.push(c);
        }
    }
    clean
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no error.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("can't write to standard output"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use rstest::rstest;

    #[test]
    fn a_table_is_as_wide_as_its_widest_cell_and_ends_without_blanks() {
        let mut table = Table::new(&["NAME", "AGE"]);
        table.row(["feedback-reader".to_owned(), "4d".to_owned()]);
        table.row(["b\u{f6}t".to_owned(), String::new()]);
        assert_eq!(
            table.render(),
            "NAME              AGE\nfeedback-reader   4d\nb\u{f6}t               <none>\n"
        );
    }

    #[rstest]
    #[case(-5, "0s")]
    #[case(119, "119s")]
    #[case(120, "2m")]
    #[case(599, "9m59s")]
    #[case(601, "10m")]
    #[case(3 * 3600, "3h")]
    #[case(5 * 3600 + 120, "5h2m")]
    #[case(47 * 3600, "47h")]
    #[case(2 * 86400 + 7200, "2d2h")]
    #[case(41 * 86400, "41d")]
    #[case(800 * 86400, "2y70d")]
    #[case(9 * 365 * 86400, "9y")]
    fn an_age_is_written_as_kubectl_writes_it(#[case] seconds: i64, #[case] expected: &str) {
        let now = Timestamp::from_second(2_000_000_000).unwrap();
        assert_eq!(age(now - SignedDuration::from_secs(seconds), now), expected);
    }

    #[test]
    fn text_is_wrapped_at_words_and_a_long_word_stays_whole() {
        assert_eq!(wrap("a bb ccc dddddddd", 5), ["a bb", "ccc", "dddddddd"]);
        assert_eq!(wrap("", 5), Vec::<String>::new());
    }
}
