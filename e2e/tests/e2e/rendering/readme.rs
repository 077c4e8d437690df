//! The table of values in each chart's README: what values.yaml says. `PERPRO_WRITE=1` writes it.

use crate::helm::charts;
use serde_json::Value;

const BEGIN: &str = "<!-- values: written by PERPRO_WRITE=1 just charts -->\n";
const END: &str = "<!-- end of values -->";

/// `path`, default and comment of each value with a `# --` comment, in the order of the file.
fn documented(text: &str) -> Vec<(String, String, String)> {
    let values: Value = serde_yaml::from_str(text).unwrap();
    let mut path: Vec<(usize, String)> = Vec::new();
    let mut comment: Option<String> = None;
    let mut rows = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        if let Some(begun) = trimmed.strip_prefix("# -- ") {
            comment = Some(begun.to_owned());
            continue;
        }
        if let (Some(comment), Some(more)) = (comment.as_mut(), trimmed.strip_prefix("# ")) {
            comment.push(' ');
            comment.push_str(more);
            continue;
        }
        let Some((key, _)) =
            trimmed.split_once(':').filter(|(key, _)| key.chars().all(char::is_alphanumeric))
        else {
            continue;
        };
        path.retain(|(depth, _)| *depth < indent);
        path.push((indent, key.to_owned()));
        if let Some(comment) = comment.take() {
            let keys: Vec<_> = path.iter().map(|(_, key)| key.as_str()).collect();
            let value = keys.iter().fold(&values, |at, key| &at[key]);
            rows.push((keys.join("."), value.to_string(), comment));
        }
    }
    rows
}

fn table(text: &str) -> String {
    let row =
        |(path, value, comment): (String, String, String)| format!("| `{path}` | `{value}` | {comment} |\n");
    let rows: String = documented(text).into_iter().map(row).collect();
    format!("| value | default | |\n|---|---|---|\n{rows}")
}

#[test]
#[ignore = "needs helm"]
fn the_readme_lists_every_value_with_its_default() {
    for chart in ["perpro", "perpro-crds"] {
        let folder = charts().join(chart);
        let wanted = table(&std::fs::read_to_string(folder.join("values.yaml")).unwrap());
        let file = folder.join("README.md");
        let readme = std::fs::read_to_string(&file).unwrap();
        let (before, rest) = readme.split_once(BEGIN).unwrap();
        let (found, after) = rest.split_once(END).unwrap();
        if std::env::var_os("PERPRO_WRITE").is_some() {
            std::fs::write(&file, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
            continue;
        }
        let other = found.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
        assert_eq!(other, None, "{chart}: PERPRO_WRITE=1 just charts");
        assert_eq!(found.len(), wanted.len(), "{chart}: PERPRO_WRITE=1 just charts");
    }
}

#[test]
fn a_comment_of_two_lines_is_one_and_a_default_is_what_is_there() {
    let text = "a:\n  # -- One\n  # more.\n  b: {c: 1}\n# Only a note.\nd: 2\n";
    assert_eq!(documented(text), [("a.b".to_owned(), "{\"c\":1}".to_owned(), "One more.".to_owned())]);
}

#[test]
fn every_value_is_documented() {
    for chart in ["perpro", "perpro-crds"] {
        let text = std::fs::read_to_string(charts().join(chart).join("values.yaml")).unwrap();
        let documented: Vec<_> = documented(&text).into_iter().map(|(path, ..)| path).collect();
        for leaf in super::values::leaves(&crate::helm::defaults(chart), "") {
            assert!(documented.contains(&leaf), "{chart}: {leaf} has no comment that begins with `# -- `");
        }
    }
}
