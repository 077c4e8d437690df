//! The bytes of a file as objects.

use super::object::{Object, objects, unpack};
use super::yaml::{self, Problem, Read};

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct Manifest {
    pub(crate) objects: Vec<Object>,
    /// What of it could not be read.
    pub(crate) problems: Vec<Problem>,
}

impl Manifest {
    /// The same with the objects that others carry as objects of their own.
    pub(crate) fn unpacked(self) -> Self {
        Self { objects: unpack(self.objects), ..self }
    }
}

/// Reads YAML documents, or JSON, one object after the other.
pub(crate) fn read(bytes: &[u8]) -> Manifest {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let what = if matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) {
                "it is UTF-16; save it as UTF-8"
            } else {
                "it is no UTF-8 text"
            };
            return unreadable(line_at(bytes, error.valid_up_to()), what);
        }
    };
    if let Some(at) = text.find('\0') {
        return unreadable(line_at(bytes, at), "it has a NUL character, so it is no text");
    }
    let Read { documents, mut problems } = if is_json(text) { json(text) } else { yaml(text) };
    let template = text.find("{{").map(|at| line_at(bytes, at));
    for problem in &mut problems {
        if template.is_some_and(|line| line <= problem.line.saturating_add(1)) {
            hint(problem);
        }
    }
    Manifest { objects: documents.into_iter().flat_map(objects).collect(), problems }
}

fn unreadable(line: u32, what: &str) -> Manifest {
    Manifest { objects: Vec::new(), problems: vec![Problem { line, what: what.to_owned() }] }
}

fn line_at(bytes: &[u8], at: usize) -> u32 {
    let breaks = bytes.iter().take(at).filter(|b| **b == b'\n').count();
    u32::try_from(breaks).unwrap_or(u32::MAX).saturating_add(1)
}

/// As kubectl tells the two apart.
fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// JSON objects, one after the other: YAML reads each, but not several. What begins like JSON and is none is left to
/// YAML, which has maps in braces too.
fn json(text: &str) -> Read {
    let mut objects = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    let mut read = Read::default();
    let mut begin = 0;
    while let Some(object) = objects.next() {
        if object.is_err() {
            return yaml(text);
        }
        let end = objects.byte_offset();
        let mut part = yaml::read(&text[begin..end]);
        let before = line_at(text.as_bytes(), begin) - 1;
        if before > 0 {
            part.documents.iter_mut().for_each(|d| d.move_down(before));
            part.problems.iter_mut().for_each(|p| p.line += before);
        }
        read.documents.append(&mut part.documents);
        read.problems.append(&mut part.problems);
        begin = end;
    }
    read
}

/// YAML. kubectl ends lines, and so comments, at characters where editors, reviewers and our parser see none.
fn yaml(text: &str) -> Read {
    let mut read = yaml::read(text);
    if let Some((at, found)) =
        text.char_indices().find(|(_, c)| matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}'))
    {
        let what =
            format!("it has the character U+{:04X}, where kubectl ends a line; remove it", u32::from(found));
        read.problems.push(Problem { line: line_at(text.as_bytes(), at), what });
    }
    read
}

/// Says what is wrong most often.
fn hint(problem: &mut Problem) {
    problem.what = format!(
        "it is a template; render it first, as by `helm template CHART | perpro check -` ({})",
        problem.what
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[test]
    fn json_objects_may_follow_each_other() {
        let manifest = read(b"{\"apiVersion\": \"v1\",\n\"kind\": \"Pod\"}\n{\"apiVersion\": \"v1\",\n \"kind\": \"List\", \"items\": [\n{\"apiVersion\": \"v1\", \"kind\": \"Service\"}]}\n");
        let found: Vec<_> = manifest.objects.iter().map(|o| (o.kind.as_str(), o.node.line)).collect();
        assert_eq!((found, manifest.problems), (vec![("Pod", 1), ("Service", 5)], vec![]));
    }

    #[test]
    fn json_has_line_separators_in_its_text() {
        let manifest = read("{\"a\": \"\u{2028}\u{85}\"}".as_bytes());
        assert_eq!(manifest.problems, []);
    }

    #[test]
    fn maps_in_braces_that_are_no_json_are_yaml() {
        let manifest = read(b"{apiVersion: v1, kind: Pod}\n---\n{apiVersion: v1, kind: Service}\n");
        assert_eq!(manifest.objects.len(), 2);
    }

    #[rstest]
    #[case::template(b"a: 1\nb: {{ .Values.b }}\n", 2, "render it first")]
    #[case::template_around(b"{{- if .Values.on }}\na: 1\n{{- end }}\n", 1, "render it first")]
    #[case::not_utf8(b"a: 1\nb: \xff\n", 2, "UTF-8")]
    #[case::utf16(b"\xff\xfea\0", 1, "UTF-16")]
    #[case::next_line("a: 1\n# note\u{85}hostPID: true\n".as_bytes(), 2, "U+0085")]
    #[case::line_separator("a: 1 # note\u{2028}b: 2\n".as_bytes(), 1, "U+2028")]
    #[case::paragraph_separator("{a: 1} # note\u{2029}b: 2\n".as_bytes(), 1, "U+2029")]
    #[case::nul(b"a: 1\nb: \0\n", 2, "NUL")]
    fn what_is_no_manifest_is_told_in_words(#[case] bytes: &[u8], #[case] line: u32, #[case] what: &str) {
        let Manifest { problems, .. } = read(bytes);
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        assert!(problem.line.abs_diff(line) <= 1 && problem.what.contains(what), "{problem:?}");
    }

    /// Any JSON but numbers with a point, which have several spellings.
    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~\u{e9}\u{4e2d}\u{1f600}\n\t\"\\\\]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let name =
                prop_oneof!["[a-z]{1,3}", Just("yes".to_owned()), Just("<".to_owned()), Just("1".to_owned())];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(name, inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_the_bytes_reading_them_ends_in_objects_or_words(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes);
        }

        #[test]
        fn whatever_is_written_in_the_signs_of_yaml_ends_in_objects_or_words(text in "[-:?&*!|>'\"%@{}\\[\\],# \n\tab0<~.]{0,64}") {
            for problem in read(text.as_bytes()).problems {
                prop_assert!(problem.line as usize <= text.split('\n').count() + 1 && !problem.what.is_empty());
            }
        }

        #[test]
        fn json_is_read_as_it_is_on_one_line_and_on_many(value in anything()) {
            let object = json!({"apiVersion": "v1", "kind": "X", "value": value});
            for text in [object.to_string(), format!("{object:#}")] {
                let manifest = read(text.as_bytes());
                prop_assert_eq!(manifest.problems, vec![], "{}", text);
                prop_assert_eq!(manifest.objects[0].node.to_json(), object.clone(), "{}", text);
            }
        }
    }
}
