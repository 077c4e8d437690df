//! Trees as YAML with comments.
//!
//! The emitter knows no comments and quotes by YAML 1.2, kubectl reads 1.1. So a comment, and a text that kubectl would
//! read as something else, goes through the emitter as a mark, which is then replaced in its line.

use crate::manifest::{Data, Field, Node, is_text};
use serde_yaml::{Mapping, Value};

/// The name of a field that is a comment. No manifest holds a NUL.
const COMMENT: &str = "\0#";
/// Longest line of a comment, its indentation apart.
const WIDTH: usize = 100;

/// A comment, as a field, before the one that it speaks of.
pub(super) fn comment(words: impl Into<String>) -> Field {
    Field { name: COMMENT.to_owned(), line: 0, value: Node::of_text(words) }
}

/// One document, without its `---`.
pub(super) fn document(node: &Node) -> String {
    let mut marks = Marks { prefix: unused(node), marked: Vec::new() };
    let value = marks.value(node);
    let text = serde_yaml::to_string(&value).unwrap_or_default();
    text.lines().map(|line| marks.replaced(line)).collect()
}

/// Words as lines of a comment.
pub(super) fn commented(words: &str, indent: &str) -> String {
    let mut lines = String::new();
    for paragraph in words.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
                lines.push_str(&format!("{indent}# {line}\n"));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&visible(word));
        }
        lines.push_str(&format!("{indent}# {line}\n"));
    }
    lines
}

/// What others wrote, without what ends a line for somebody or moves a cursor.
fn visible(word: &str) -> String {
    let hidden = |c: char| c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}');
    word.chars().filter(|c| !hidden(*c)).collect()
}

/// What goes through the emitter in place of something else.
enum Marked {
    Comment(String),
    Quoted(String),
}

struct Marks {
    prefix: String,
    marked: Vec<Marked>,
}

impl Marks {
    fn add(&mut self, marked: Marked) -> String {
        self.marked.push(marked);
        format!("{}{}-", self.prefix, self.marked.len() - 1)
    }

    fn value(&mut self, node: &Node) -> Value {
        match &node.data {
            Data::Null => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Number(number) => serde_yaml::to_value(number).unwrap_or_default(),
            Data::Text(text) => Value::String(self.text(text)),
            Data::List(items) => {
                let mut list = Vec::new();
                for item in items {
                    self.item(item, &mut list);
                }
                Value::Sequence(list)
            }
            Data::Map(fields) => Value::Mapping(self.mapping(fields)),
        }
    }

    fn mapping(&mut self, fields: &[Field]) -> Mapping {
        let mut mapping = Mapping::new();
        for Field { name, value, .. } in fields {
            let (name, value) = match value.text().filter(|_| name == COMMENT) {
                Some(words) => (self.add(Marked::Comment(words.to_owned())), Value::Null),
                None => (self.text(name), self.value(value)),
            };
            mapping.insert(Value::String(name), value);
        }
        mapping
    }

    /// A comment cannot be the first field of an item, beside its dash: it stands before the item.
    fn item(&mut self, item: &Node, list: &mut Vec<Value>) {
        let Data::Map(fields) = &item.data else { return list.push(self.value(item)) };
        let first = fields.iter().position(|f| f.name != COMMENT).unwrap_or(fields.len());
        for comment in &fields[..first] {
            let words = comment.value.text().unwrap_or_default().to_owned();
            let mark = self.add(Marked::Comment(words));
            list.push(Value::String(mark));
        }
        list.push(Value::Mapping(self.mapping(&fields[first..])));
    }

    fn text(&mut self, text: &str) -> String {
        let one_line = !text.contains('\n');
        let plain = is_text(text) && text != "<<" && !looks_like_time(text) && !text.contains(ends_lines);
        // Several lines are a literal block, which is never anything but text.
        if plain || (!one_line && !text.contains(ends_lines)) {
            text.to_owned()
        } else {
            self.add(Marked::Quoted(text.to_owned()))
        }
    }

    /// A line with its marks replaced.
    fn replaced(&self, line: &str) -> String {
        let Some(at) = line.find(&self.prefix) else { return format!("{line}\n") };
        let digits = &line[at + self.prefix.len()..];
        let Some((number, _)) = digits.split_once('-') else { return format!("{line}\n") };
        let marked = number.parse::<usize>().ok().and_then(|n| self.marked.get(n));
        let mark = format!("{}{number}-", self.prefix);
        match marked {
            None => format!("{line}\n"),
            Some(Marked::Comment(words)) => {
                let indent: String = line.chars().take_while(|c| *c == ' ').collect();
                commented(words, &indent)
            }
            Some(Marked::Quoted(text)) => self.replaced(&line.replacen(&mark, &quoted(text), 1)),
        }
    }
}

/// In double quotes, as JSON and YAML have them alike.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let spelled = |c: char| if ends_lines(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    json.chars().map(spelled).collect()
}

/// Where kubectl ends a line, and others do not; and what no text has.
fn ends_lines(c: char) -> bool {
    matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// People write times in quotes: some tools read others as something else.
fn looks_like_time(text: &str) -> bool {
    text.len() >= 10
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text.as_bytes().get(4) == Some(&b'-')
}

/// The beginning of marks, which stands nowhere in the document.
fn unused(node: &Node) -> String {
    let text = node.to_json().to_string();
    let candidate = |n: u32| format!("perpro-mark-{n}-");
    let unused = (0..).map(candidate).find(|mark| !text.contains(mark));
    unused.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::read;
    use proptest::prelude::*;

    #[test]
    fn comments_stand_over_what_they_speak_of() {
        let mut node = Node::of_json(serde_json::json!({"list": [{"name": "a"}], "z": "yes"}));
        node.fields_mut().unwrap().insert(0, comment("first"));
        let list = node.get_mut("list").unwrap();
        list.items_mut()[0].fields_mut().unwrap().insert(0, comment("of the item"));
        list.items_mut()[0].fields_mut().unwrap().push(comment("last"));
        node.fields_mut().unwrap().insert(2, comment("of z"));
        assert_eq!(
            document(&node),
            "# first\nlist:\n# of the item\n- name: a\n  # last\n# of z\nz: \"yes\"\n"
        );
    }

    #[test]
    fn a_comment_of_what_others_wrote_stays_one() {
        let text = commented("evil\u{2028}kind: Secret\rx \u{1b}[31m", "  ");
        assert_eq!(text, "  # evil kind: Secret x [31m\n");
    }

    /// Text that YAML, of one version or another, could take for something else.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ -~]{0,12}",
            "[-+.0-9_xobeE:]{1,6}",
            "[a-z\n \t#:-]{0,12}",
            "[\u{85}\u{2028}\u{e9}\u{7f}\u{feff}a]{0,4}",
            prop::sample::select(vec![
                "yes",
                "on",
                "n",
                "~",
                "null",
                "0o7",
                "1_0",
                "012",
                ".5",
                "2027-01-01",
                "=",
                "<<",
                "---",
                "perpro-mark-0-1-"
            ])
            .prop_map(str::to_owned),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read_as_it_was(texts in prop::collection::vec(text(), 1..4), key in text()) {
            prop_assume!(key != "apiVersion" && key != "kind");
            let value = serde_json::json!({"apiVersion": "v1", "kind": "X", "list": texts, "map": {key: texts[0]}});
            let written = document(&Node::of_json(value.clone()));
            let read = read(written.as_bytes());
            prop_assert_eq!(read.problems, vec![], "{}", written);
            prop_assert_eq!(read.objects[0].node.to_json(), value, "{}", written);
        }
    }
}
