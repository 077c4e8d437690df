//! codes.md: the catalogue.

use super::cell;
use perpro_core::catalogue::{self, Entry, Example, FIXTURE};
use std::fmt::Write;

pub fn page() -> String {
    let mut page = "# Codes\n\
        Every refusal and warning of perpro begins with one. A code never changes its meaning. `perpro explain CODE` \
        prints what stands here. Generated from `core/src/catalogue`.\n\n\
        | code | meaning | said by |\n|---|---|---|\n"
        .to_owned();
    for entry in catalogue::all() {
        let code = entry.code;
        let _ = writeln!(
            page,
            "| [{code}](#{}) | {} | {} |",
            code.to_lowercase(),
            cell(entry.title),
            from(entry)
        );
    }
    let _ = write!(
        page,
        "\nThe manifests below assume these objects in their namespace. A real API server answered each wrong one \
         with its code: first in a refusal, or in a warning where only a warning says it. Each \
         right one passed.\n\n<details><summary>The objects</summary>\n\n\
         ```yaml\n{FIXTURE}```\n</details>\n"
    );
    for entry in catalogue::all() {
        section(&mut page, entry);
    }
    page
}

fn from(entry: &Entry) -> String {
    entry.from.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn section(page: &mut String, entry: &Entry) {
    let Entry { code, title, why, fix, from: _, example } = entry;
    let _ =
        write!(page, "\n## {code}\n**{title}.** Said by: {}.\n\n{why}\n\n*What to do.* {fix}\n", from(entry));
    let _ = match example {
        Example::Manifests { wrong, right } => {
            write!(page, "\nWrong:\n```yaml\n{wrong}```\nRight:\n```yaml\n{right}```\n")
        }
        Example::None(reason) => write!(page, "\nNo manifest shows it. {reason}\n"),
    };
}
