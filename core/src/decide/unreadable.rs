//! What is told of a pod that can't be read, and shows nothing of what may be a credential.

use super::refusal::{Reason, Refusal};
use super::{literal, path};

/// Lists whose items have values, and what an item is.
const LISTS: [(&str, &str); 2] = [(".env", "variable"), (".httpHeaders", "header")];

/// What can't be read, at the path where reading ended.
pub(super) fn unreadable(json: &str, error: &serde_json::Error) -> Refusal {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = error.to_string();
    let path = path::at(json, error.line(), error.column());
    let path = if path.is_empty() { "object".to_owned() } else { path };
    let text = text.strip_suffix(&place).unwrap_or(&text);
    // It may quote what it could not read.
    let error = if let Some(named) = is_value_of(&path) {
        format!("the value of a {named} is text, so write it in quotes")
    } else if may_hold_value(&path) {
        unquoted(text)
    } else {
        shortened(literal::masked(text))
    };
    Refusal::at(path, Reason::Unreadable { error })
}

/// Whether what stands at `path` may be the value of a variable or header that somebody wrote another way: the list itself,
/// an item, or a field of one that is neither its name nor below where its value is from.
#[must_use]
pub fn may_hold_value(path: &str) -> bool {
    LISTS.iter().any(|(list, _)| {
        let Some((_, item)) = path.rsplit_once(list) else { return false };
        let Some(item) = item.strip_prefix('[') else { return item.is_empty() };
        let field = item.split_once(']').and_then(|(_, field)| field.strip_prefix('.'));
        field.is_none_or(|field| field != "name" && !field.contains(['.', '[']))
    })
}

/// What was expected, without what was read.
fn unquoted(text: &str) -> String {
    match (text.find(['"', '`']), text.rfind(", expected")) {
        (Some(quoted), Some(expected)) if quoted < expected => {
            format!("{}{}", text[..quoted].trim_end(), &text[expected..])
        }
        (Some(quoted), None) => text[..quoted].trim_end().to_owned(),
        _ => text.to_owned(),
    }
}

/// Whose value stands at `path`, if it may be a credential of no known form: a number.
pub(super) fn is_value_of(path: &str) -> Option<&'static str> {
    let (list, _) = path.strip_suffix(".value")?.rsplit_once('[')?;
    LISTS.iter().find(|(field, _)| list.ends_with(field)).map(|(_, named)| *named)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::pod::AgentPod;
    use rstest::rstest;
    use serde_json::{Value, json};

    const SECRET: &str = "Xy12abCD34efGH56ij78Kq";

    #[rstest]
    #[case::as_compose_has_it(json!(["DB_PASSWORD=SECRET"]), "spec.containers[0].env[0]", "invalid type: string, expected")]
    #[case::as_a_map(json!({"DB_PASSWORD": "SECRET"}), "spec.containers[0].env", "invalid type: map, expected")]
    #[case::in_the_wrong_field(json!([{"name": "DB_PASSWORD", "valueFrom": "SECRET"}]),
        "spec.containers[0].env[0].valueFrom", "invalid type: string, expected")]
    #[case::a_number(json!([{"name": "PIN", "value": 12345}]), "spec.containers[0].env[0].value", "the value of a variable is text")]
    fn the_value_of_a_variable_is_not_shown_however_it_is_written(
        #[case] env: Value,
        #[case] path: &str,
        #[case] begin: &str,
    ) {
        let pod = json!({"spec": {"containers": [{"name": "a", "env": env}]}});
        let refusal = AgentPod::parse(&pod.to_string().replace("SECRET", SECRET)).unwrap_err();
        let Reason::Unreadable { error } = &refusal.reason else { panic!("{refusal:?}") };
        assert!(error.starts_with(begin) && !error.contains(&SECRET[..6]), "{error}");
        assert_eq!(refusal.path, path);
        assert!(path.ends_with(".value") || may_hold_value(path));
    }

    #[rstest]
    #[case("spec.containers[0].env[3].val", true)]
    #[case("spec.containers[0].env[3].Value", true)]
    #[case("spec.containers[0].livenessProbe.httpGet.httpHeaders[0]", true)]
    #[case("spec.containers[0].env[3].name", false)]
    #[case("spec.containers[0].env[3].valueFrom.secretKeyRef.key", false)]
    #[case("spec.containers[0].envFrom[0]", false)]
    #[case("spec.containers[0].image", false)]
    fn where_a_value_may_stand(#[case] path: &str, #[case] expected: bool) {
        assert_eq!(may_hold_value(path), expected);
    }
}
