//! `perpro completion`, and what kubectl asks when it completes `kubectl perpro`.

use super::output::print;
use clap::{Arg, Command};
use clap_complete::Shell;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Whose script to print; `source` it, or put it where the shell looks.
    shell: Shell,
}

impl Args {
    pub(crate) fn run(self, mut command: Command) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "perpro", &mut script);
        print(&String::from_utf8_lossy(&script))
    }
}

/// kubectl's `ShellCompDirectiveNoFileComp` (cobra): our arguments are no files.
const NO_FILES: &str = ":4";

/// Answers kubectl, which runs `kubectl_complete-perpro WORD...` and reads candidates by lines, then a directive.
pub(super) fn for_kubectl(command: &Command, words: &[String]) -> String {
    let lines: Vec<_> = candidates(command, words)
        .into_iter()
        .map(|(word, about)| if about.is_empty() { word } else { format!("{word}\t{about}") })
        .collect();
    lines.iter().map(String::as_str).chain([NO_FILES]).map(|line| format!("{line}\n")).collect()
}

/// What the last of `words` may become, with a line about each.
fn candidates(command: &Command, words: &[String]) -> Vec<(String, String)> {
    let Some((last, before)) = words.split_last() else { return Vec::new() };
    let here = before.iter().fold(command, |here, word| here.find_subcommand(word).unwrap_or(here));
    let shown = |arg: &&Arg| !arg.is_hide_set();
    let found: Vec<_> = if let Some(flag) = before.last().and_then(|word| flag(here, word)) {
        values(flag)
    } else if last.starts_with('-') {
        let long = |arg: &Arg| Some((format!("--{}", arg.get_long()?), about(arg.get_help())));
        here.get_arguments().filter(shown).filter_map(long).collect()
    } else if here.has_subcommands() {
        let visible = here.get_subcommands().filter(|c| !c.is_hide_set());
        visible.map(|c| (c.get_name().to_owned(), about(c.get_about()))).collect()
    } else {
        here.get_positionals().next().map(values).unwrap_or_default()
    };
    found.into_iter().filter(|(word, _)| word.starts_with(last.as_str())).collect()
}

/// The flag that `word` is, if it takes a value.
fn flag<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let is = |arg: &&Arg| {
        arg.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long))
            || arg.get_short().is_some_and(|short| word == format!("-{short}"))
    };
    command.get_arguments().find(is).filter(|arg| arg.get_action().takes_values())
}

fn values(arg: &Arg) -> Vec<(String, String)> {
    let possible = arg.get_possible_values();
    possible.iter().map(|v| (v.get_name().to_owned(), about(v.get_help()))).collect()
}

fn about(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(|t| t.to_string().lines().next().unwrap_or_default().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;
    use clap::CommandFactory;
    use rstest::rstest;

    fn completed(words: &[&str]) -> Vec<String> {
        let words: Vec<_> = words.iter().map(|&w| w.to_owned()).collect();
        candidates(&Cli::command(), &words).into_iter().map(|(word, _)| word).collect()
    }

    #[rstest]
    #[case(&["sus"], &["suspend"])]
    #[case(&["instances", "-o", ""], &["wide", "json", "yaml"])]
    #[case(&["instances", "--output", "j"], &["json"])]
    #[case(&["suspend", "bot", "--time"], &["--timeout"])]
    #[case(&["sca"], &["scan"])]
    #[case(&["scan", "--fail"], &["--fail-on"])]
    #[case(&["completion", "z"], &["zsh"])]
    #[case(&["adopt", "deploy/x", "--ow"], &["--owner"])]
    #[case(&["suspend", ""], &[])]
    #[case(&[], &[])]
    fn the_last_word_is_completed_where_it_stands(#[case] words: &[&str], #[case] expected: &[&str]) {
        assert_eq!(completed(words), expected);
    }

    #[test]
    fn kubectl_gets_a_candidate_a_line_and_no_files() {
        let answer = for_kubectl(&Cli::command(), &["resu".to_owned()]);
        assert_eq!(answer, "resume\tLet a suspended agent start again\n:4\n");
    }
}
