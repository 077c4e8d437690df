//! Fields that a type drops when it is read, told by their paths.
//!
//! What `serde_ignored` does, but for its copies: it makes a `String` of every key that it passes, known or not, which is
//! most of what a small pod cost beyond its own parsing. Here keys are borrowed from the text, and a path is written
//! out only for a field that somebody is told of. It knows no enums of serde's; the API's types have none.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Where a value is in what is read. Shown as the API server writes it: `spec.containers[0].env`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'p> {
    /// The whole.
    Root,
    /// The value of a key.
    Key(&'p Path<'p>, &'p str),
    /// One of a list.
    Index(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(Self::Root, key) => f.write_str(key),
            Self::Key(parent, key) => write!(f, "{parent}.{key}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// Reads a `T`, and calls `told` with each field that it drops.
///
/// # Errors
/// Those of the deserializer.
pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    mut told: impl FnMut(Path<'_>),
) -> Result<T, D::Error> {
    T::deserialize(Watched { inner: deserializer, at: Path::Root, told: &mut told })
}

/// A deserializer, a visitor, or the access to a list's or map's parts, and the place where it reads.
struct Watched<'w, I, F> {
    inner: I,
    at: Path<'w>,
    told: &'w mut F,
}

/// Methods for values that hold no fields: the visitor needs no company.
macro_rules! plain {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method(visitor)
        }
    )*};
}

/// Methods for values that may.
macro_rules! watched {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method($($argument,)* Watched { inner: visitor, at: self.at, told: self.told })
        }
    )*};
}

impl<'de, D: Deserializer<'de>, F: FnMut(Path<'_>)> Deserializer<'de> for Watched<'_, D, F> {
    type Error = D::Error;

    plain! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32
        deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_unit deserialize_identifier
    }

    watched! {
        deserialize_any() deserialize_option() deserialize_seq() deserialize_map()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
    }

    /// Which is what a type does with a field that it does not know.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        (self.told)(self.at);
        self.inner.deserialize_ignored_any(visitor)
    }

    /// What stood in one would go unseen, so it can't be read.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, D::Error> {
        Err(D::Error::custom(format_args!("{name} is an enum, whose fields nobody watches")))
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Visits of values that hold no fields.
macro_rules! visits {
    ($($method:ident($type:ty))*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>, F: FnMut(Path<'_>)> Visitor<'de> for Watched<'_, V, F> {
    type Value = V::Value;

    visits! {
        visit_bool(bool) visit_i64(i64) visit_i128(i128) visit_u64(u64) visit_u128(u128) visit_f64(f64)
        visit_str(&str) visit_borrowed_str(&'de str) visit_string(String) visit_bytes(&[u8])
        visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
    }

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Watched { inner, at: self.at, told: self.told })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Watched { inner, at: self.at, told: self.told })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(List { inner, next: 0, at: self.at, told: self.told })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Map { inner, key: Cow::Borrowed(""), at: self.at, told: self.told })
    }
}

/// A value that is read at a place.
impl<'de, S: DeserializeSeed<'de>, F: FnMut(Path<'_>)> DeserializeSeed<'de> for Watched<'_, S, F> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Watched { inner, at: self.at, told: self.told })
    }
}

struct List<'w, A, F> {
    inner: A,
    next: usize,
    at: Path<'w>,
    told: &'w mut F,
}

impl<'de, A: SeqAccess<'de>, F: FnMut(Path<'_>)> SeqAccess<'de> for List<'_, A, F> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, inner: S) -> Result<Option<S::Value>, A::Error> {
        let at = Path::Index(&self.at, self.next);
        self.next += 1;
        self.inner.next_element_seed(Watched { inner, at, told: self.told })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

/// A key, borrowed where it is written without escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'k>(#[serde(borrow)] Cow<'k, str>);

struct Map<'w, 'de, A, F> {
    inner: A,
    /// The one whose value is next.
    key: Cow<'de, str>,
    at: Path<'w>,
    told: &'w mut F,
}

impl<'de, A: MapAccess<'de>, F: FnMut(Path<'_>)> MapAccess<'de> for Map<'_, 'de, A, F> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let Some(Key(key)) = self.inner.next_key()? else { return Ok(None) };
        self.key = key;
        seed.deserialize(self.key.as_ref().into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, inner: S) -> Result<S::Value, A::Error> {
        let at = Path::Key(&self.at, &self.key);
        self.inner.next_value_seed(Watched { inner, at, told: self.told })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::PodSpec;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn dropped<'de, T: Deserialize<'de>>(json: &'de str) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        let read: Result<T, _> =
            deserialize(&mut serde_json::Deserializer::from_str(json), |path| found.push(path.to_string()));
        read.map(|_| found).map_err(|error| error.to_string())
    }

    /// The same by the crate that everybody uses.
    fn by_the_crate<'de, T: Deserialize<'de>>(json: &'de str) -> Result<Vec<String>, String> {
        use serde_ignored::Path;
        fn written(path: &Path<'_>) -> String {
            match path {
                Path::Root => String::new(),
                Path::Seq { parent, index } => format!("{}[{index}]", written(parent)),
                Path::Map { parent: Path::Root, key } => key.clone(),
                Path::Map { parent, key } => format!("{}.{key}", written(parent)),
                Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
                    written(parent)
                }
            }
        }
        let mut found = Vec::new();
        let read: Result<T, _> =
            serde_ignored::deserialize(&mut serde_json::Deserializer::from_str(json), |path| {
                found.push(written(&path));
            });
        read.map(|_| found).map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_type_drops_is_told_by_its_path_however_it_is_written() {
        let json = r#"{"containers": [{"name": "a"}, {"name": "b", "\u0076ault": {"x": [1]}, "a\"b": null}],
            "\u0063ontainers2": 1, "nodeSelector": {"any": "key"}, "initContainers": null}"#;
        let paths = ["containers[1].vault", "containers[1].a\"b", "containers2"];
        assert_eq!(dropped::<PodSpec>(json).unwrap(), paths);
        assert_eq!(by_the_crate::<PodSpec>(json).unwrap(), paths);
    }

    #[test]
    fn an_enum_is_not_read_since_nobody_would_see_what_it_drops() {
        #[derive(Debug, Deserialize)]
        enum Either {
            A {},
        }
        assert!(serde_json::from_str::<Either>(r#"{"A": {"x": 1}}"#).is_ok());
        assert!(dropped::<Vec<Either>>(r#"[{"A": {"x": 1}}]"#).unwrap_err().starts_with("Either is an enum"));
    }

    /// Trees of keys that a pod has and of others, with values that fit and others.
    fn trees() -> impl Strategy<Value = Value> {
        let keys = prop::sample::select(vec![
            "containers",
            "name",
            "env",
            "valueFrom",
            "secretKeyRef",
            "key",
            "volumes",
            "secret",
            "items",
            "projected",
            "sources",
            "resources",
            "limits",
            "livenessProbe",
            "httpGet",
            "port",
            "securityContext",
            "other",
            "vault",
            "a.b/c",
            "nodeSelector",
            "a\u{7f}\"",
        ]);
        let leaves = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,4}".prop_map(Value::from),
        ];
        leaves.prop_recursive(6, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(keys.clone(), inner, 0..6).prop_map(|map| {
                    map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<serde_json::Map<_, _>>().into()
                }),
            ]
        })
    }

    /// A pod with `tree` in place of one of its parts.
    fn pod(tree: &Value, place: usize) -> Value {
        let mut spec = json!({"containers": [{"name": "a", "env": [{"name": "E"}], "resources": {},
            "livenessProbe": {"httpGet": {"port": 80}}}], "volumes": [{"name": "v", "projected": {"sources": []}}]});
        let places = [
            "",
            "/containers/0",
            "/containers/0/env/0",
            "/containers/0/resources",
            "/containers/0/livenessProbe/httpGet",
            "/volumes/0",
            "/volumes/0/projected",
        ];
        let target = spec.pointer_mut(places[place % places.len()]).unwrap();
        match (target, tree) {
            (Value::Object(target), Value::Object(tree)) => target.extend(tree.clone()),
            (target, tree) => *target = tree.clone(),
        }
        spec
    }

    proptest! {
        #[test]
        fn tells_what_the_crate_that_everybody_uses_tells(tree in trees(), place in 0_usize..7) {
            let json = pod(&tree, place).to_string();
            prop_assert_eq!(dropped::<PodSpec>(&json), by_the_crate::<PodSpec>(&json));
            type Any = BTreeMap<String, Option<Vec<PodSpec>>>;
            prop_assert_eq!(dropped::<Any>(&json), by_the_crate::<Any>(&json));
        }
    }
}
