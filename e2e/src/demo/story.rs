//! How the story looks: numbered lines in two columns, what is shown and what the cluster answered.

use std::fmt::Write as _;

/// Where answers begin.
const ANSWERS: usize = 42;

/// Width of a page that is no terminal, and the least that two columns need.
const PAGE: usize = 110;
const NARROWEST: usize = 80;

/// The story on stdout.
#[derive(Debug)]
pub(crate) struct Story {
    width: usize,
    steps: usize,
    answers: usize,
}

impl Story {
    /// As wide as the terminal.
    pub(crate) fn on_stdout() -> Self {
        let terminal = rustix::termios::tcgetwinsize(std::io::stdout()).map(|size| usize::from(size.ws_col));
        let width = terminal.ok().filter(|columns| *columns > 0).unwrap_or(PAGE).max(NARROWEST);
        Self { width, steps: 0, answers: 0 }
    }

    /// A new numbered step with its first answer.
    pub(crate) fn step(&mut self, what: &str, answer: &str) {
        self.steps += 1;
        self.line(&format!("{:>2}  {what}", self.steps), answer);
    }

    /// One more answer of the same step.
    pub(crate) fn and(&mut self, what: &str, answer: &str) {
        self.line(&format!("    {what}"), answer);
    }

    /// How many answers were as expected: all, or we would not be here.
    pub(crate) fn end(&self) {
        println!("\n{} steps, {} answers, all as expected.", self.steps, self.answers);
    }

    fn line(&mut self, what: &str, answer: &str) {
        self.answers += 1;
        println!("{}", columns(what, answer, self.width));
    }
}

/// Two columns; the right one goes on below itself when it is longer than the page.
fn columns(left: &str, right: &str, width: usize) -> String {
    let mut page = format!("{left:<ANSWERS$}");
    let mut column = page.chars().count();
    for line in right.split('\n') {
        for word in words(line) {
            let length = word.chars().count();
            if column > ANSWERS && column + length > width {
                column = turn(&mut page);
            }
            let word = if column == ANSWERS { word.trim_start() } else { word };
            column += word.chars().count();
            page += word;
        }
        column = turn(&mut page);
    }
    page.trim_end().to_owned()
}

/// Begins the next line of the right column.
fn turn(page: &mut String) -> usize {
    page.truncate(page.trim_end_matches(' ').len());
    // Writing to a string does not fail.
    let _ = write!(page, "\n{:ANSWERS$}", "");
    ANSWERS
}

/// Words, each with the blanks before it.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let start = rest.find(|c| c != ' ')?;
        let length = rest[start..].find(' ').map_or(rest.len(), |length| start + length);
        let (word, after) = rest.split_at(length);
        rest = after;
        Some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_answer_goes_on_below_itself() {
        let indent = " ".repeat(ANSWERS);
        assert_eq!(columns(" 1  A", "short", 80), format!("{:<ANSWERS$}short", " 1  A"));
        assert_eq!(
            columns(" 1  A", "one two   three", ANSWERS + 9),
            format!("{:<ANSWERS$}one two\n{indent}three", " 1  A")
        );
        assert_eq!(columns("", "a  b\nc", 80), format!("{indent}a  b\n{indent}c"));
    }

    #[test]
    fn a_word_longer_than_the_column_stays_whole() {
        assert_eq!(columns("", "aaaaaaaaaa", ANSWERS + 2), format!("{}aaaaaaaaaa", " ".repeat(ANSWERS)));
    }
}
