//! Field paths as refusals have them, between a JSON text, what was written and what was made of it.

use serde_json::Value;
use std::fmt;

/// One of a list of the spec. Shown as its path, which is written out only where there is something to tell of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part(pub(super) &'static str, pub(super) usize);

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spec.{}[{}]", self.0, self.1)
    }
}

/// The path of the value that lies at, or ends before, this place of a JSON text. Both counted from 1, as serde_json
/// counts them.
pub(super) fn at(json: &str, line: usize, column: usize) -> String {
    let before: usize = json.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let end = (before + column).min(json.len());
    let mut open: Vec<Step> = Vec::new();
    // How many of them something was read in, and whether a comma waits for what comes after it. Nothing is copied on
    // the way: whoever sends a text chooses its length and depth.
    let (mut read, mut comma) = (0, false);
    let bytes = json.as_bytes();
    let mut i = 0;
    while i < end {
        if comma && !matches!(bytes[i], b' ' | b'\n' | b'\r' | b'\t' | b'}' | b']') {
            match open.last_mut() {
                Some(Step::Item(n)) => *n += 1,
                Some(Step::Field { named, .. }) => *named = false,
                None => {}
            }
            comma = false;
        }
        match bytes[i] {
            b'{' => open.push(Step::Field { name: String::new(), named: false }),
            b'[' => open.push(Step::Item(0)),
            b'}' | b']' => {
                open.pop();
                (read, comma) = (open.len(), false);
            }
            b',' => comma = true,
            b'"' => {
                let begin = i;
                i += 1;
                while i < bytes.len() && bytes[i] != b'"' {
                    i += if bytes[i] == b'\\' { 2 } else { 1 };
                }
                if let Some(Step::Field { name, named }) = open.last_mut()
                    && !*named
                {
                    *named = true;
                    let text = json.get(begin..=i).unwrap_or_default();
                    *name = serde_json::from_str(text).unwrap_or_default();
                }
                read = open.len();
            }
            b' ' | b'\n' | b'\r' | b'\t' | b':' => {}
            _ => read = open.len(),
        }
        i += 1;
    }
    open.truncate(read);
    let mut path = String::new();
    for step in &open {
        match step {
            Step::Item(n) => path.push_str(&format!("[{n}]")),
            Step::Field { named: false, .. } => break,
            Step::Field { name, .. } => field(&mut path, name),
        }
    }
    path
}

#[derive(Debug)]
enum Step {
    Field { name: String, named: bool },
    Item(usize),
}

/// Names of labels and annotations stand in brackets, as they have dots.
fn field(path: &mut String, name: &str) {
    if name.contains(['.', '/']) {
        path.push_str(&format!("[{name}]"));
    } else {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
    }
}

/// The same path in the pod as it was written, given one in what was made of it: items that were added before others
/// have moved them. What was not written at all is cut off.
pub(super) fn as_written(path: &str, made: &Value, written: &Value) -> String {
    let (mut made, mut written) = (Some(made), Some(written));
    let mut found = String::new();
    for part in parts(path) {
        let index = part.strip_prefix('[').and_then(|p| p.strip_suffix(']')?.parse::<usize>().ok());
        if let (Some(index), Some(Value::Array(new)), Some(Value::Array(old))) = (index, made, written) {
            let Some(item) = new.get(index) else { return found + part };
            // Most items have not moved, and most are as they were: of two variables of one name, it is the one that is.
            let find = |same: &dyn Fn(&Value) -> bool| {
                if old.get(index).is_some_and(same) { Some(index) } else { old.iter().position(same) }
            };
            let old_index = find(&|other| item == other).or_else(|| find(&|other| is_same(item, other)));
            let Some(old_index) = old_index else { return found };
            found.push_str(&format!("[{old_index}]"));
            (made, written) = (Some(item), old.get(old_index));
        } else {
            found.push_str(part);
            let name = part.trim_start_matches('.').trim_start_matches('[').trim_end_matches(']');
            (made, written) = (made.and_then(|v| v.get(name)), written.and_then(|v| v.get(name)));
        }
    }
    found
}

/// What lies at `path`.
pub(super) fn find_mut<'v>(value: &'v mut Value, path: &str) -> Option<&'v mut Value> {
    parts(path).try_fold(value, |value, part| {
        let name = part.trim_start_matches(['.', '[']).trim_end_matches(']');
        match value {
            Value::Array(items) => items.get_mut(name.parse::<usize>().ok()?),
            value => value.get_mut(name),
        }
    })
}

/// Items of a pod's lists have names, or are what they are.
fn is_same(one: &Value, other: &Value) -> bool {
    let named = |field: &str| one.get(field).is_some() && one.get(field) == other.get(field);
    ["name", "mountPath"].iter().filter(|f| one.get(**f).is_some()).all(|f| named(f))
        && one.get("name").is_some()
}

/// `a.b[0].c` as `a`, `.b`, `[0]`, `.c`.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = path;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = if rest.starts_with('[') {
            rest.find(']').map_or(rest.len(), |at| at + 1)
        } else {
            rest[1..].find(['.', '[']).map_or(rest.len(), |at| at + 1)
        };
        let (part, after) = rest.split_at(end);
        rest = after;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case(r#"{"a": {"b": [1, {"c": X}]}}"#, "a.b[1].c")]
    #[case(r#"{"a": {"b": [1, "}"], "x\"y": X}}"#, "a.x\"y")]
    #[case(r#"{"a": {"b.c/d": X}}"#, "a[b.c/d]")]
    #[case(r#"{"a": {"b": 1}X"#, "a")]
    #[case("{\n \"a\": [\n X]}", "a[0]")]
    #[case("X", "")]
    #[case(r#"{"a": [[1, 2], [3, {"b": 4}, X"#, "a[1][2]")]
    #[case(r#"{"a": [1, {"b": {}}], "c": [], X"#, "")]
    #[case(r#"{"a": [1, {"b": {}}], "c": [], "d": [X"#, "d[0]")]
    fn a_place_in_a_text_has_a_path(#[case] text: &str, #[case] path: &str) {
        let offset = text.find('X').unwrap() + 1;
        let line = text[..offset].matches('\n').count() + 1;
        let column = offset - text[..offset].rfind('\n').map_or(0, |at| at + 1);
        assert_eq!(at(text, line, column), path);
    }

    #[test]
    fn a_long_text_that_is_deep_costs_what_its_length_does() {
        // Names of a thousand letters, a hundred levels: copied at each of the items it would take half a minute.
        let name = "n".repeat(1000);
        let text = format!("{}[{}", format!("{{\"{name}\":").repeat(100), "true,".repeat(1_000_000));
        assert!(at(&text, 1, text.len()).ends_with("[999999]"));
    }

    #[rstest]
    #[case("spec.c[0].env[1].valueFrom.x", "spec.c[0].env[0].valueFrom.x")]
    #[case("spec.c[0].env[B].x", "spec.c[0].env[B].x")]
    #[case("spec.c[0].env[0]", "spec.c[0].env")]
    #[case("spec.v[1].hostPath", "spec.v[2].hostPath")]
    #[case("spec.v[3].hostPath", "spec.v[3]")]
    #[case("metadata.labels[a.b/c]", "metadata.labels[a.b/c]")]
    #[case("spec.c[0].env[2].x", "spec.c[0].env[1].x")]
    #[case("spec.c[0].env[3].x", "spec.c[0].env[2].x")]
    #[case("object", "object")]
    fn what_moved_is_found_where_it_was_written(#[case] path: &str, #[case] expected: &str) {
        let (one, other) = (json!({"name": "C", "value": "1"}), json!({"name": "C", "value": "2"}));
        let written = json!({"spec": {"c": [{"name": "c", "env": [{"name": "B"}, one, other]}],
            "v": [{"name": "a"}, {"name": "gone"}, {"name": "b"}]}});
        let made = json!({"spec": {"c": [{"name": "c", "env": [{"name": "A"}, {"name": "B"}, one, other]}],
            "v": [{"name": "a"}, {"name": "b"}]}});
        assert_eq!(as_written(path, &made, &written), expected);
    }
}
