//! A document as a tree that remembers its lines.

use serde_json::{Map, Number, Value};

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// The line, from 1, on which it begins.
    pub(crate) line: u32,
    /// The value.
    pub(crate) data: Data,
}

/// What JSON has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Field>),
}

/// A field of a map.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// The line of its name; its value may begin on another.
    pub(crate) line: u32,
    pub(crate) value: Node,
}

/// Lines of a source, both counted from 1 and both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lines {
    pub(crate) first: u32,
    pub(crate) last: u32,
}

/// Fields whose values are amounts, or maps of amounts. An API server reads `cpu: 1` and `cpu: "1"` alike, and shows
/// webhooks text.
const AMOUNTS: [&str; 5] = ["limits", "requests", "overhead", "sizeLimit", "divisor"];

impl Node {
    /// The field of that name, if it is a map that has it.
    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        self.field(name).map(|f| &f.value)
    }

    /// The same with several names, one after the other.
    pub(crate) fn at(&self, names: &[&str]) -> Option<&Node> {
        names.iter().try_fold(self, |node, name| node.get(name))
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Its items; none if it is no list.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.data {
            Data::List(items) => items,
            _ => &[],
        }
    }

    /// Its fields; none if it is no map.
    pub(crate) fn fields(&self) -> &[Field] {
        match &self.data {
            Data::Map(fields) => fields,
            _ => &[],
        }
    }

    fn field(&self, name: &str) -> Option<&Field> {
        self.fields().iter().find(|f| f.name == name)
    }

    /// The same as JSON.
    pub(crate) fn to_json(&self) -> Value {
        self.json(false)
    }

    fn json(&self, amounts: bool) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Number(number) if amounts => Value::String(number.to_string()),
            Data::Number(number) => Value::Number(number.clone()),
            Data::Text(text) => Value::String(text.clone()),
            Data::List(items) => Value::Array(items.iter().map(|i| i.json(false)).collect()),
            Data::Map(fields) => {
                let field = |f: &Field| {
                    let amounts = amounts || AMOUNTS.contains(&f.name.as_str());
                    (f.name.clone(), f.value.json(amounts))
                };
                Value::Object(fields.iter().map(field).collect::<Map<_, _>>())
            }
        }
    }

    /// Where `path` stands, or the nearest of what it lies in. Paths are those of refusals: `spec.containers[0].image`,
    /// `metadata.labels[a.b/c]`, `spec.containers[0].env[NAME]`.
    pub(crate) fn locate(&self, path: &str) -> Lines {
        let mut place = Lines { first: self.line, last: self.line };
        let mut node = self;
        for step in steps(path) {
            match node.step(step) {
                Some((line, next)) => {
                    node = next;
                    place = Lines { first: line, last: next.last_line().max(line) };
                }
                None => break,
            }
        }
        place
    }

    /// What stands at `path`.
    pub(crate) fn find(&self, path: &str) -> Option<&Node> {
        steps(path).try_fold(self, |node, step| node.step(step).map(|(_, next)| next))
    }

    /// What lies one step further, and on which line it begins: with the name of its field.
    fn step(&self, step: &str) -> Option<(u32, &Node)> {
        match &self.data {
            Data::Map(_) => self.field(step).map(|f| (f.line, &f.value)),
            Data::List(items) => {
                let named = || items.iter().find(|i| i.get("name").and_then(Node::text) == Some(step));
                let item = step.parse::<usize>().map_or_else(|_| named(), |i| items.get(i))?;
                Some((item.line, item))
            }
            _ => None,
        }
    }

    /// The last line on which something of it begins.
    fn last_line(&self) -> u32 {
        match &self.data {
            Data::List(items) => items.iter().map(Node::last_line).max().unwrap_or_default().max(self.line),
            Data::Map(fields) => fields
                .iter()
                .map(|f| f.value.last_line().max(f.line))
                .max()
                .unwrap_or_default()
                .max(self.line),
            _ => self.line,
        }
    }

    /// The same, so many lines further down.
    pub(super) fn move_down(&mut self, lines: u32) {
        self.line += lines;
        match &mut self.data {
            Data::List(items) => items.iter_mut().for_each(|i| i.move_down(lines)),
            Data::Map(fields) => fields.iter_mut().for_each(|f| {
                f.line += lines;
                f.value.move_down(lines);
            }),
            _ => {}
        }
    }

    /// The same, all of it on one line.
    pub(super) fn put_on(&mut self, line: u32) {
        self.line = line;
        match &mut self.data {
            Data::List(items) => items.iter_mut().for_each(|i| i.put_on(line)),
            Data::Map(fields) => fields.iter_mut().for_each(|f| {
                f.line = line;
                f.value.put_on(line);
            }),
            _ => {}
        }
    }

    /// How many values it holds, itself included, and how deep they are nested.
    pub(super) fn size(&self) -> (usize, usize) {
        let inner = |(size, depth): (usize, usize), node: &Node| {
            let (more, deep) = node.size();
            (size + more, depth.max(deep))
        };
        let (size, depth) = match &self.data {
            Data::List(items) => items.iter().fold((0, 0), inner),
            Data::Map(fields) => fields.iter().map(|f| &f.value).fold((0, 0), inner),
            _ => (0, 0),
        };
        (size + 1, depth + 1)
    }
}

/// `a.b[c.d].e` as `a`, `b`, `c.d`, `e`.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = path;
    std::iter::from_fn(move || {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if rest.is_empty() {
            return None;
        }
        let (step, after) = match rest.strip_prefix('[') {
            Some(inside) => inside.split_once(']').unwrap_or((inside, "")),
            None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
        };
        rest = after;
        Some(step)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::yaml;
    use rstest::rstest;

    const POD: &str = "\
metadata:
  labels:
    a.b/c: d
spec:
  containers:
  # a comment
  - name: agent
    image: x
    env:
    - name: A
      value: a
    - name: B
      valueFrom:
        secretKeyRef: {name: s, key: k}
    envFrom:
    - configMapRef: {name: c}
    - secretRef:
        name: s
  - {name: tool, securityContext: {privileged: true},
     image: y}
";

    #[rstest]
    #[case("metadata.labels[a.b/c]", 3, 3)]
    #[case("metadata.labels[missing]", 2, 3)]
    #[case("metadata.annotations[x]", 1, 3)]
    #[case("spec.containers[0].image", 8, 8)]
    #[case("spec.containers[0].env[B]", 12, 14)]
    #[case("spec.containers[0].env[MISSING]", 9, 14)]
    #[case("spec.containers[0].envFrom[1]", 17, 18)]
    #[case("spec.containers[0].envFrom[7]", 15, 18)]
    #[case("spec.containers[1].securityContext.privileged", 19, 19)]
    #[case("spec.containers[1].image", 20, 20)]
    #[case("spec.volumes[0]", 4, 20)]
    #[case("object", 1, 1)]
    #[case("", 1, 1)]
    fn a_path_leads_to_its_lines_or_to_those_around_it(
        #[case] path: &str,
        #[case] first: u32,
        #[case] last: u32,
    ) {
        let pod = yaml::read(POD).documents.remove(0);
        assert_eq!(pod.locate(path), Lines { first, last });
    }

    #[test]
    fn amounts_are_text_however_they_are_written() {
        let container =
            yaml::read("resources: {limits: {cpu: 1, memory: 64Mi}}\nports: [{containerPort: 80}]\n");
        let json = container.documents[0].to_json();
        assert_eq!(json["resources"]["limits"]["cpu"], "1");
        assert_eq!(json["ports"][0]["containerPort"], 80);
    }
}
