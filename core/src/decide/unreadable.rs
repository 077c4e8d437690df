//! What is told of a pod that can't be read, and shows nothing of what may be a credential.

use super::refusal::{Reason, Refusal};
use super::{literal, path};

/// What can't be read, at the path where reading ended.
pub(super) fn unreadable(json: &str, error: &serde_json::Error) -> Refusal {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = error.to_string();
    let path = path::at(json, error.line(), error.column());
    let path = if path.is_empty() { "object".to_owned() } else { path };
    // It may quote what it could not read.
    let error = if let Some(named) = is_value_of(&path) {
        format!("the value of a {named} is text, so write it in quotes")
    } else {
        shortened(literal::masked(text.strip_suffix(&place).unwrap_or(&text)))
    };
    Refusal::at(path, Reason::Unreadable { error })
}

/// Whose value stands at `path`, if it may be a credential of no known form: a number.
pub(super) fn is_value_of(path: &str) -> Option<&'static str> {
    let (list, _) = path.strip_suffix(".value")?.rsplit_once('[')?;
    let kinds = [(".env", "variable"), (".httpHeaders", "header")];
    kinds.iter().find(|(field, _)| list.ends_with(field)).map(|(_, named)| *named)
}

/// Begin and end of a text that is as long as whoever wrote it liked: what was read, and what was expected.
fn shortened(text: String) -> String {
    const BEGIN: usize = 120;
    const END: usize = 80;
    let length = text.chars().count();
    if length <= BEGIN + END {
        return text;
    }
    let begin: String = text.chars().take(BEGIN).collect();
    let end: String = text.chars().skip(length - END).collect();
    format!("{begin}...{end}")
}
