//! A value under a structural schema of Kubernetes: as much of JSON schema as those of our kinds use.

use super::unreadable;
use crate::decide::refusal::{Reason, Refusal};
use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray,
};
use serde_json::{Map, Value};

/// Adds all that is wrong with `value`.
pub(super) fn walk(schema: &JSONSchemaProps, value: &Value, path: &str, found: &mut Vec<Refusal>) {
    let wanted = schema.type_.as_deref().unwrap_or_default();
    let fits = match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        _ => true,
    };
    if !fits {
        let required = schema.required.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ");
        let with = if required.is_empty() { String::new() } else { format!(" with {required}") };
        found.push(unreadable(path, &format!("it must be {}{with}", article(wanted))));
        return;
    }
    match value {
        Value::Object(fields) => object(schema, fields, path, found),
        Value::Array(items) => array(schema, items, path, found),
        Value::String(text) => string(schema, text, path, found),
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            if let Some(least) = schema.minimum.filter(|least| number < *least) {
                found.push(unreadable(path, &format!("it must be at least {least}")));
            }
            if let Some(most) = schema.maximum.filter(|most| number > *most) {
                found.push(unreadable(path, &format!("it must be at most {most}")));
            }
        }
        _ => {}
    }
}

fn article(kind: &str) -> String {
    match kind {
        "object" => "a map".to_owned(),
        "array" => "a list".to_owned(),
        "string" => "text".to_owned(),
        "integer" => "a whole number".to_owned(),
        _ => "true or false".to_owned(),
    }
}

fn object(schema: &JSONSchemaProps, fields: &Map<String, Value>, path: &str, found: &mut Vec<Refusal>) {
    // An API server drops a null where a field may be absent, and then misses it where it must not.
    let missing = schema.required.iter().flatten().filter(|name| fields.get(*name).is_none());
    for name in missing {
        found.push(unreadable(path, &format!("{name} is missing")));
    }
    let Some(properties) = &schema.properties else { return };
    for (name, value) in fields {
        let path = format!("{path}.{name}");
        match properties.get(name) {
            None => found.push(unreadable(&path, "there is no such field")),
            Some(_) if value.is_null() => {
                if schema.required.iter().flatten().any(|required| required == name) {
                    found.push(unreadable(&path, "it has no value"));
                }
            }
            Some(schema) => walk(schema, value, &path, found),
        }
    }
}

fn array(schema: &JSONSchemaProps, items: &[Value], path: &str, found: &mut Vec<Refusal>) {
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    if let Some(least) = schema.min_items.filter(|least| count < *least) {
        found.push(unreadable(path, &format!("it must have at least {least} items")));
    }
    if let Some(most) = schema.max_items.filter(|most| count > *most) {
        // And no more is said of a list without end.
        found.push(unreadable(path, &format!("it must have at most {most} items")));
        return;
    }
    if let Some(JSONSchemaPropsOrArray::Schema(of_items)) = &schema.items {
        for (i, item) in items.iter().enumerate() {
            walk(of_items, item, &format!("{path}[{i}]"), found);
        }
    }
    let keys = |item: &Value| match schema.x_kubernetes_list_type.as_deref() {
        Some("set") => Some(vec![item.clone()]),
        Some("map") => Some(
            schema.x_kubernetes_list_map_keys.iter().flatten().map(|k| item[k.as_str()].clone()).collect(),
        ),
        _ => None,
    };
    let keys: Vec<Option<Vec<Value>>> = items.iter().map(keys).collect();
    for (i, key) in keys.iter().enumerate() {
        if key.is_some() && keys[..i].contains(key) {
            found.push(unreadable(&format!("{path}[{i}]"), "it is there twice"));
        }
    }
}

fn string(schema: &JSONSchemaProps, text: &str, path: &str, found: &mut Vec<Refusal>) {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if let Some(least) = schema.min_length.filter(|least| length < *least) {
        found.push(unreadable(path, &format!("it must have at least {least} characters")));
    }
    if let Some(most) = schema.max_length.filter(|most| length > *most) {
        found.push(unreadable(path, &format!("it must have at most {most} characters")));
    }
    if let Some(values) = &schema.enum_
        && !values.iter().any(|v| v.0 == *text)
    {
        let values: Vec<_> = values.iter().filter_map(|v| v.0.as_str()).collect();
        found.push(unreadable(path, &format!("it must be one of {}", values.join(", "))));
    }
    if schema.format.as_deref() == Some("date-time") {
        // Later than the type of a time can hold: no end, as other years from 2200 on, which `rules` tells.
        if text.get(..4).and_then(|year| year.parse().ok()) >= Some(2200)
            && text.parse::<Timestamp>().is_err()
        {
            found.push(Refusal::at(path, Reason::NoEnd));
        } else if !is_date_time(text) {
            found.push(unreadable(path, "it must be a time such as 2027-06-30T00:00:00Z"));
        }
    } else if let Some(pattern) = &schema.pattern
        && matches(pattern, text) == Some(false)
    {
        found.push(unreadable(path, &format!("it must match {pattern}")));
    }
}

/// RFC 3339, of which the type of a time reads more than the pattern of the definition lets through.
fn is_date_time(text: &str) -> bool {
    let digits = |range: std::ops::Range<usize>| {
        text.get(range).is_some_and(|part| part.bytes().all(|b| b.is_ascii_digit()))
    };
    text.parse::<Timestamp>().is_ok()
        && digits(0..4)
        && digits(17..19)
        && matches!(text.as_bytes().get(10), Some(b'T' | b't'))
}

/// Whether a text matches one of the patterns in our definitions; `None` for any other pattern.
fn matches(pattern: &str, text: &str) -> Option<bool> {
    let file = |name: &str| {
        let first = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        name.starts_with(first) && name.chars().all(|c| first(c) || c == '.')
    };
    let name = |text: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !text.is_empty() && !text.starts_with('-') && !text.ends_with('-') && text.bytes().all(inner)
    };
    match pattern {
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" => Some(name(text)),
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$" => {
            Some(text.split('.').all(name))
        }
        r"^[-._a-zA-Z0-9]+$" => {
            Some(!text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)))
        }
        r"^[A-Za-z_][A-Za-z0-9_.-]*$" => Some(
            text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
        ),
        r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$" => Some(text.split('/').all(file)),
        r"^[A-Z][A-Za-z0-9]*/[a-z0-9][-.a-z0-9]*$" => {
            Some(text.split_once('/').is_some_and(|(kind, name)| {
                let of_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
                kind.starts_with(|c: char| c.is_ascii_uppercase())
                    && kind.bytes().all(|b| b.is_ascii_alphanumeric())
                    && name.bytes().next().is_some_and(of_name)
                    && name.bytes().all(|b| of_name(b) || b"-.".contains(&b))
            }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::definitions;

    /// Every pattern of a schema that is no time's.
    fn patterns(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(fields) => {
                if fields.get("format").is_none_or(|f| f != "date-time")
                    && let Some(Value::String(pattern)) = fields.get("pattern")
                {
                    found.push(pattern.clone());
                }
                fields.values().for_each(|f| patterns(f, found));
            }
            Value::Array(items) => items.iter().for_each(|i| patterns(i, found)),
            _ => {}
        }
    }

    #[test]
    fn every_pattern_of_the_definitions_is_known() {
        let mut found = Vec::new();
        patterns(&serde_json::to_value(definitions()).unwrap(), &mut found);
        assert!(!found.is_empty());
        let unknown: Vec<_> = found.iter().filter(|p| matches(p, "").is_none()).collect();
        assert_eq!(unknown, Vec::<&String>::new());
    }

    #[test]
    fn times_are_those_of_the_pattern() {
        for right in ["2027-06-30T00:00:00Z", "2027-06-30t00:00:00.5z", "2027-06-30T00:00:00+02:00"] {
            assert!(is_date_time(right), "{right}");
        }
        for wrong in
            ["2027-06-30", "2027-06-30T00:00Z", "2027-06-30 00:00:00Z", "20270630T000000Z", "soon", ""]
        {
            assert!(!is_date_time(wrong), "{wrong}");
        }
    }
}
