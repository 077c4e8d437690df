//! YAML and JSON into trees, by the events of one parser: what a value is and where it stands come from one reading.

use super::compose::{Part, Tree};
use super::fields::Fields;
use super::node::{Data, Node};
use super::scalar;
use granit_parser::{Event, Options, Parser, ScalarStyle, Span, StrInput, StructureStyle};

/// Most values of a text: each takes more memory than the few bytes it is written in.
const MAX_VALUES: usize = 1_000_000;

/// What a text holds.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// The documents that could be read.
    pub(crate) documents: Vec<Node>,
    /// Why others could not.
    pub(crate) problems: Vec<Problem>,
}

/// Something that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// On which line, from 1.
    pub(crate) line: u32,
    /// What is wrong there.
    pub(crate) what: String,
}

/// Every document of a text. One that can't be read does not hide the others.
pub(crate) fn read(text: &str) -> Read {
    let mut read = Read::default();
    let mut parser = parser(text);
    let mut values = 0;
    loop {
        match document(&mut parser, &mut values) {
            Ok(Some(node)) => read.documents.push(node),
            Ok(None) => return read,
            Err(problem) => {
                read.problems.push(problem);
                if values > MAX_VALUES || !matches!(parser.proceed_next_document(), Ok(true)) {
                    return read;
                }
            }
        }
    }
}

fn parser(text: &str) -> Parser<'_, StrInput<'_>> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    Parser::new_from_str_with_options(text, options)
}

fn line(span: &Span) -> u32 {
    u32::try_from(span.start.line()).unwrap_or(u32::MAX)
}

/// The next document that holds anything.
fn document<'a>(parser: &mut Parser<'a, StrInput<'a>>, values: &mut usize) -> Result<Option<Node>, Problem> {
    let mut tree = Tree::default();
    // How many of the values that are open are written in braces or brackets.
    let mut flows = 0_usize;
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| {
            let line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX);
            Problem { line, what: error.info() }
        })?;
        let line = line(&span);
        let at = |what: String| Problem { line, what };
        *values += 1;
        if *values > MAX_VALUES {
            return Err(at(format!("it holds more than {MAX_VALUES} values; split it")));
        }
        match event {
            Event::StreamEnd => return Ok(None),
            Event::DocumentEnd => match tree.root.take() {
                Some(Node { data: Data::Null, .. }) | None => tree = Tree::default(),
                Some(root) => {
                    *values += tree.copies;
                    return Ok(Some(root));
                }
            },
            Event::Scalar(text, style, anchor, tag) => {
                if flows > 0 && style == ScalarStyle::Plain && text.starts_with('?') {
                    return Err(at(QUESTION.to_owned()));
                }
                let merge = text == MERGE
                    && tag
                        .as_deref()
                        .map_or(style == ScalarStyle::Plain, |t| t.core_suffix() == Some("merge"));
                if merge && tree.merge() {
                    continue;
                }
                let data = scalar::resolve(text, style, tag.as_deref()).map_err(at)?;
                tree.put(Node { line, data }, anchor).map_err(at)?;
            }
            Event::SequenceStart(style, anchor, _) => {
                flows += usize::from(flows > 0 || style == StructureStyle::Flow);
                tree.open(line, anchor, Part::List(Vec::new())).map_err(at)?;
            }
            Event::MappingStart(style, anchor, _) => {
                flows += usize::from(flows > 0 || style == StructureStyle::Flow);
                tree.open(line, anchor, Part::Map(Fields::default())).map_err(at)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                flows = flows.saturating_sub(1);
                if let Some((node, anchor)) = tree.close() {
                    let line = node.line;
                    tree.put(node, anchor).map_err(|what| Problem { line, what })?;
                }
            }
            Event::Alias(anchor) => {
                let node = tree.alias(line, anchor).map_err(at)?;
                tree.put(node, 0).map_err(at)?;
            }
            _ => {}
        }
    }
    Ok(None)
}

/// kubectl reads YAML 1.1, where in braces every question mark begins a key; in 1.2 it is a part of the name.
const QUESTION: &str =
    "kubectl takes a question mark within braces or brackets for the sign of a key: quote this text";

/// The name by which YAML 1.1 merges maps.
const MERGE: &str = "<<";

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn one(text: &str) -> Value {
        let read = read(text);
        assert_eq!(read.problems, []);
        read.documents[0].to_json()
    }

    fn problem(text: &str) -> (u32, String) {
        let Read { problems, .. } = read(text);
        assert_eq!(problems.len(), 1, "{problems:?}");
        (problems[0].line, problems[0].what.clone())
    }

    #[test]
    fn a_question_mark_that_kubectl_takes_for_the_sign_of_a_key_hides_no_field() {
        for text in ["spec: {?hostPID: true}", "spec: [{a: 1, ?b: 2}]", "spec: {a: [?b]}"] {
            assert_eq!(problem(text), (1, QUESTION.to_owned()), "{text}");
        }
        assert_eq!(one("a: ?x=1"), json!({"a": "?x=1"}));
        assert_eq!(
            one("a: {b: '?x', \"?c\": [1]}\n?d: ?e"),
            json!({"a": {"b": "?x", "?c": [1]}, "?d": "?e"})
        );
    }

    #[test]
    fn documents_are_read_one_by_one_and_empty_ones_are_none() {
        let Read { documents, problems } = read("# only a comment\n---\na: 1\n---\n---\nb: [1, 2]\n...\n");
        let found: Vec<_> = documents.iter().map(|d| (d.line, d.to_json())).collect();
        assert_eq!((found, problems), (vec![(3, json!({"a": 1})), (6, json!({"b": [1, 2]}))], vec![]));
    }

    #[test]
    fn a_document_that_cannot_be_read_does_not_hide_the_others() {
        let Read { documents, problems } =
            read("a: 1\n---\nb: [1, 2\n---\nc: 3\n---\nd: 4\nd: 5\n---\ne: 6\n");
        let found: Vec<_> = documents.iter().map(Node::to_json).collect();
        assert_eq!(found, [json!({"a": 1}), json!({"c": 3}), json!({"e": 6})]);
        assert_eq!(problems.len(), 2);
        assert_eq!(problems[1], Problem { line: 8, what: "field \"d\" is there twice".to_owned() });
    }

    #[test]
    fn a_merge_counts_where_it_stands_and_only_unquoted() {
        assert_eq!(one("a: 1\n<<: {a: 2, b: 3}\nb: 4\n"), json!({"a": 2, "b": 4}));
        assert_eq!(one("'<<': {a: 2}\n"), json!({"<<": {"a": 2}}));
        assert_eq!(one("{\"<<\": {\"a\": 2}, \"b\": \"<<\"}"), json!({"<<": {"a": 2}, "b": "<<"}));
        assert_eq!(one("a: <<\n"), json!({"a": "<<"}));
        assert_eq!(problem("a: 1\n<<: {a: 2}\na: 3\n").0, 3);
    }

    #[test]
    fn an_alias_is_a_copy_and_a_merge_fills_gaps() {
        let text = "a: &a {x: 1, z: 2}\nb: *a\nc:\n  <<: *a\n  z: 3\nd: {<<: [{x: 5}, *a]}\n";
        let read = read(text).documents.remove(0);
        let expected = json!({"a": {"x": 1, "z": 2}, "b": {"x": 1, "z": 2}, "c": {"x": 1, "z": 3}, "d": {"x": 5, "z": 2}});
        assert_eq!(read.to_json(), expected);
        let of = |path| read.locate(path).first;
        assert_eq!([of("a.x"), of("b"), of("b.x"), of("c.x"), of("c.z")], [1, 2, 2, 4, 5]);
    }

    #[test]
    fn lines_are_counted_alike_whatever_ends_them() {
        for end in ["\n", "\r\n"] {
            let text = ["a: |", "  x", "  y", "b: >-", "  z", "", "c: \"d", "  e\"", "f: 1"].join(end);
            let read = read(&text).documents.remove(0);
            let lines: Vec<_> = read.fields().iter().map(|f| f.line).collect();
            assert_eq!(lines, [1, 4, 7, 9], "{end:?}");
        }
    }

    #[test]
    fn json_is_read_with_its_lines_tabs_and_escapes() {
        let text = "{\n\t\"a\": \"\\ud83d\\ude00 \\/ \\u00e9\",\n\t\"b\": [\n\t\ttrue,\n\t\tnull\n\t]\n}\n";
        let read = read(text);
        assert_eq!(read.problems, []);
        let read = &read.documents[0];
        assert_eq!(read.to_json(), json!({"a": "\u{1f600} / \u{e9}", "b": [true, null]}));
        assert_eq!((read.locate("a").first, read.locate("b[1]").first), (2, 5));
    }

    #[test]
    fn a_long_value_on_one_line_is_no_problem() {
        let long = "x".repeat(100_000);
        assert_eq!(one(&format!("{{\"a\": \"{long}\", \"b\": {{\"c\": 1}}}}"))["b"]["c"], 1);
        assert_eq!(one(&format!("a: '{long}'\nb: {long}\nc: 1"))["c"], 1);
    }

    #[test]
    fn a_mark_at_the_beginning_of_a_file_is_no_part_of_it() {
        assert_eq!(one("\u{feff}a: 1\n"), json!({"a": 1}));
    }

    #[rstest]
    #[case::twice("a: 1\nb: 2\na: 3\n", 3, "twice")]
    #[case::a_template("a:\n  b: {{ .Values.b }}\n", 2, "for a name")]
    #[case::no_name("a: 1\n? \n: 2\n", 2, "no name")]
    #[case::within_itself("a: &a [1, *a]\n", 1, "within")]
    #[case::unknown_alias("a: *b\n", 1, "")]
    #[case::a_merge_of_text("a:\n  <<: b\n", 2, "<<")]
    #[case::a_tab("a:\n\tb: 1\n", 2, "")]
    #[case::open_quote("a: \"b\n", 1, "")]
    fn what_cannot_be_read_is_told_with_its_line(#[case] text: &str, #[case] line: u32, #[case] what: &str) {
        let found = problem(text);
        assert!(found.0.abs_diff(line) <= 1 && found.1.contains(what), "{found:?}");
    }

    #[test]
    fn aliases_to_aliases_do_not_fill_the_memory() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..12 {
            let of = format!("*a{}", i - 1);
            text += &format!("a{i}: &a{i} [{}]\n", vec![of; 10].join(", "));
        }
        assert!(problem(&text).1.contains("anchors and aliases make more than"));
    }

    #[test]
    fn values_without_end_do_not_fill_the_memory() {
        let Read { documents, problems } =
            read(&format!("a: 1\n---\n[{}]\n---\nb: [", "1,".repeat(MAX_VALUES)));
        assert_eq!((documents.len(), problems.len()), (1, 1), "{problems:?}");
        assert!(problems[0].what.contains("values; split it"));
    }

    #[test]
    fn what_is_nested_very_deep_is_told_and_never_read() {
        assert!(read(&"[".repeat(1_000_000)).problems.len() == 1);
        assert!(problem(&format!("{}{}", "[".repeat(130), "]".repeat(130))).1.contains("deeper"));
        let mut text = "a0: &a0 [x]\n".to_owned();
        for i in 1..200 {
            text += &format!("a{i}: &a{i} [*a{}]\n", i - 1);
        }
        assert!(problem(&text).1.contains("deeper"));
    }

    #[test]
    fn many_fields_are_compared_by_an_index() {
        let fields: String = (0..50_000).map(|i| format!("f{i}: 1\n")).collect();
        assert_eq!(read(&fields).documents[0].fields().len(), 50_000);
        assert_eq!(problem(&format!("{fields}f3: 1\n")).0, 50_001);
    }
}
