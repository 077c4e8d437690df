//! One page per kind: its fields, from the schema that the API server checks.

use super::cell;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;
use std::fmt::Write;

pub fn page(definition: &CustomResourceDefinition) -> String {
    let names = &definition.spec.names;
    let version = serde_json::to_value(&definition.spec.versions[0]).unwrap();
    let schema = &version["schema"]["openAPIV3Schema"];
    let short = names.short_names.iter().flatten().next().unwrap();
    let mut page = format!(
        "# {}\n{}\n\n`{}/{}`, {}, short name `{short}`. Generated from its definition; `kubectl explain {short}.spec` \
         says the same.\n",
        names.kind,
        schema["description"].as_str().unwrap(),
        definition.spec.group,
        definition.spec.versions[0].name,
        if definition.spec.scope == "Namespaced" { "in a namespace" } else { "of the whole cluster" },
    );
    for part in ["spec", "status"] {
        let schema = &schema["properties"][part];
        if schema.is_null() {
            continue;
        }
        let about = match part {
            "spec" => "",
            _ => "Written by perpro.\n",
        };
        let _ = write!(
            page,
            "\n## {part}\n{about}\n| field | type | required | default | |\n|---|---|---|---|---|\n"
        );
        rows(&mut page, "", schema);
    }
    let mut found = Vec::new();
    rules("", schema, &mut found);
    if !found.is_empty() {
        page += "\n## Rules\nChecked by the API server, with perpro down too.\n\n| field | refused with |\n|---|---|\n";
        for (path, message) in found {
            let path = if path.is_empty() { "the object".to_owned() } else { format!("`{path}`") };
            let _ = writeln!(page, "| {path} | {} |", cell(&linked(&message)));
        }
    }
    page
}

/// A code at the beginning of a message, as a link.
fn linked(message: &str) -> String {
    match message.split_once(' ') {
        Some((code, rest)) if code.starts_with("AID") => {
            format!("[{code}](codes.md#{}) {rest}", code.to_lowercase())
        }
        _ => message.to_owned(),
    }
}

fn rows(page: &mut String, path: &str, schema: &Value) {
    let required: Vec<_> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let field_path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let default = field.get("default").map(|d| format!("`{d}`")).unwrap_or_default();
        let required = if required.contains(&name.as_str()) { "yes" } else { "" };
        let about = field["description"].as_str().unwrap_or_default();
        let _ = writeln!(
            page,
            "| `{field_path}` | {} | {required} | {default} | {} |",
            cell(&kind(field)),
            cell(about)
        );
        match field["type"].as_str() {
            Some("array") => rows(page, &format!("{field_path}[]"), &field["items"]),
            _ => rows(page, &field_path, field),
        }
    }
}

/// Type of a field with what bounds it.
fn kind(schema: &Value) -> String {
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ");
    }
    let bound = |low: &str, high: &str, unit: &str| match (schema[low].as_f64(), schema[high].as_f64()) {
        (Some(low), Some(high)) => format!(", {low} to {high}{unit}"),
        (None, Some(high)) => format!(", at most {high}{unit}"),
        (Some(low), None) => format!(", at least {low}{unit}"),
        (None, None) => String::new(),
    };
    match schema["type"].as_str().unwrap_or("any") {
        "array" => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
            let keys: Vec<_> = keys.filter_map(Value::as_str).collect();
            let list = match schema["x-kubernetes-list-type"].as_str() {
                Some("set") => "set".to_owned(),
                Some("map") => format!("list by {}", keys.join(" and ")),
                _ => "list".to_owned(),
            };
            format!("{list} of {}{}", kind(&schema["items"]), bound("minItems", "maxItems", " entries"))
        }
        "string" => match schema["format"].as_str() {
            Some("date-time") => "date and time, RFC 3339".to_owned(),
            _ => format!("string{}", bound("minLength", "maxLength", " characters")),
        },
        "object" if schema["additionalProperties"].is_object() => {
            let values = kind(&schema["additionalProperties"]);
            format!("map to {values}{}", bound("minProperties", "maxProperties", " entries"))
        }
        other => format!("{other}{}", bound("minimum", "maximum", "")),
    }
}

/// Every CEL rule, with the field that it is about.
fn rules(path: &str, schema: &Value, found: &mut Vec<(String, String)>) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let message = rule["message"].as_str().unwrap_or_default().to_owned();
        let below = rule["fieldPath"].as_str().unwrap_or_default();
        found.push((format!("{path}{below}"), message));
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let dot = if path.is_empty() { "" } else { "." };
        rules(&format!("{path}{dot}{name}"), field, found);
    }
    if schema["items"].is_object() {
        rules(&format!("{path}[]"), &schema["items"], found);
    }
}
