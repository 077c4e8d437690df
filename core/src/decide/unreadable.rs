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
    let error = if is_variable(&path) {
        "the value of a variable is text, so write it in quotes".to_owned()
    } else {
        shortened(literal::masked(text.strip_suffix(&place).unwrap_or(&text)))
    };
    Refusal::at(path, Reason::Unreadable { error })
}

/// Whether the value of a variable stands at `path`, which may be a credential of no known form: a number.
pub(super) fn is_variable(path: &str) -> bool {
    path.strip_suffix(".value")
        .and_then(|item| item.rsplit_once('['))
        .is_some_and(|(list, _)| list.ends_with(".env"))
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
