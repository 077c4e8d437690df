//! One name for each thing in every log line: the fields in `src/` are those that
//! `docs/operations.md` lists.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The arguments of a macro whose parenthesis was just opened.
fn arguments(source: &str) -> Vec<String> {
    let (mut depth, mut text, mut escaped, mut found) = (1, false, false, vec![String::new()]);
    for c in source.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if text => escaped = true,
            '"' => text = !text,
            '(' | '[' | '{' if !text => depth += 1,
            ')' | ']' | '}' if !text => depth -= 1,
            ',' if !text && depth == 1 => {
                found.push(String::new());
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if let Some(last) = found.last_mut() {
            last.push(c);
        }
    }
    found.iter().map(|a| a.trim().to_owned()).filter(|a| !a.is_empty()).collect()
}

/// Names of the fields of all log lines.
fn fields(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for level in ["error", "warn", "info", "debug", "trace"] {
        for after in source.split(&format!("tracing::{level}!(")).skip(1) {
            for argument in arguments(after).iter().filter(|a| !a.starts_with('"')) {
                let name = argument.split('=').next().unwrap_or_default();
                found.insert(name.trim().trim_start_matches(['%', '?']).to_owned());
            }
        }
    }
    found
}

fn all_fields(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all_fields(&path));
        } else {
            let source = fs::read_to_string(path).unwrap();
            // Tests log what they like.
            found.extend(fields(source.split("#[cfg(test)]").next().unwrap_or_default()));
        }
    }
    found
}

/// The fields in the table of the page, each in backticks in the first column.
fn documented(page: &str) -> BTreeSet<String> {
    let table = page.split("| field | |\n|---|---|\n").nth(1).unwrap_or_default();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let names =
        rows.filter_map(|row| row.split('|').nth(1)).flat_map(|cell| cell.split('`').skip(1).step_by(2));
    names.map(str::to_owned).collect()
}

#[test]
fn the_fields_of_all_log_lines_are_those_of_the_manual() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/operations.md")).unwrap();
    assert_eq!(all_fields(&root.join("src")), documented(&page));
}

#[test]
fn fields_are_read_in_every_form() {
    let source = r#"tracing::info!(namespace, pod = metadata.name, pod_uid = f(a, b), %error, "say \"a, b\": {x}");
        tracing::warn!(
            code = refusals[0].code(),
            error = format!("{error:#}"),
            "and on"
        );"#;
    let expected = ["code", "error", "namespace", "pod", "pod_uid"].map(str::to_owned);
    assert_eq!(fields(source), BTreeSet::from(expected));
}
