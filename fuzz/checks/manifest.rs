//! Manifests: what `perpro check` reads of them is what everybody else does.

use crate::manifest::{Manifest, is_text, read, templates};
use serde::Deserialize;
use serde_json::Value;

/// Reads a file.
pub fn check(bytes: &[u8]) {
    let Manifest { objects, problems } = read(bytes);
    // To YAML each of both ends a line (1.2.2, 5.4).
    let lines = bytes.iter().filter(|b| [b'\n', b'\r'].contains(b)).count() + 2;
    for problem in &problems {
        assert!(
            problem.line >= 1 && problem.line as usize <= lines && !problem.what.is_empty(),
            "{problem:?}"
        );
        assert!(problem.what.len() <= bytes.len() + 500, "{problem:?}");
    }
    for object in &objects {
        let json = object.node.to_json();
        for template in templates(object) {
            let place = object.node.locate(&template.path);
            assert!(
                1 <= place.first && place.first <= place.last && place.last as usize <= lines,
                "{place:?}"
            );
        }
        // Written out and read again it is the same.
        let again = read(json.to_string().as_bytes());
        assert_eq!(again.problems, [], "{json}");
        assert!(again.objects.iter().all(|o| o.node.to_json() == json), "{json}");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if !problems.is_empty() {
        return;
    }
    let ours: Vec<_> = objects.iter().map(|o| o.node.to_json()).collect();
    if let Some(theirs) = json(text) {
        assert!(same(&ours, &theirs), "as JSON it is another object: {ours:?} {theirs:?}");
    }
    if let Some(theirs) = yaml(text) {
        assert!(same(&ours, &theirs), "libyaml reads another object: {ours:?} {theirs:?}");
    }
}

/// The one object of a JSON text.
fn json(text: &str) -> Option<Vec<Value>> {
    let value = serde_json::from_str(text).ok()?;
    is_object(&value).then(|| vec![value])
}

/// The objects of a YAML text as the library reads them that kubectl's was ported from. `None` where the two dialects
/// differ: merges, tags, lists that are opened, and where an anchor ends: to kubectl `&a: b` is a field without a name,
/// which it refuses.
fn yaml(text: &str) -> Option<Vec<Value>> {
    let ends = |anchor: &str| anchor.split_whitespace().next().is_some_and(|name| name.contains([':', '?']));
    if ["<<", "!", "List", "\u{feff}"].iter().any(|mark| text.contains(mark))
        || text.split('&').skip(1).any(ends)
    {
        return None;
    }
    let documents = serde_yaml::Deserializer::from_str(text).map(Value::deserialize);
    let documents: Vec<_> = documents.collect::<Result<_, _>>().ok()?;
    Some(documents.into_iter().filter(is_object).collect())
}

fn is_object(value: &Value) -> bool {
    let text = |field| value[field].as_str().unwrap_or_default();
    !text("apiVersion").is_empty() && !text("kind").is_empty() && !text("kind").ends_with("List")
}

/// Whether two readings have the same maps, lists and text. Dialects of YAML differ in what of the rest they take for
/// numbers, dates and truth.
fn same(ours: &[Value], theirs: &[Value]) -> bool {
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| is_same(ours, theirs))
}

fn is_same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            // Names like `n` and 0777 are text to one dialect; the other takes them for false and 511, and calls them so.
            let same = |(name, ours): (&String, &Value)| {
                theirs.get(name).map_or_else(|| !is_text(name), |theirs| is_same(ours, theirs))
            };
            ours.len() == theirs.len() && ours.iter().all(same)
        }
        (Value::Array(ours), Value::Array(theirs)) => same(ours, theirs),
        // Of a block that the file ends in without a line break they disagree whether it has one.
        (Value::String(ours), Value::String(theirs)) => {
            ours.trim_end_matches('\n') == theirs.trim_end_matches('\n')
        }
        (Value::Object(_) | Value::Array(_), _) | (_, Value::Object(_) | Value::Array(_)) => false,
        _ => true,
    }
}
