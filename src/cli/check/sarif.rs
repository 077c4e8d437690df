//! Findings as SARIF 2.1.0 (OASIS), which code hosts show beside the lines of a change.

use super::report::{Finding, Named, Report};
use aws_lc_rs::digest::{SHA256, digest};
use perpro_core::catalogue;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

pub(super) fn render(report: &Report<'_>) -> Value {
    let used: BTreeSet<_> = report.findings.iter().map(|f| f.refusal.code()).collect();
    let rules: Vec<_> = used.iter().filter_map(|code| catalogue::find(code)).map(rule).collect();
    let mut told = HashMap::new();
    let results: Vec<_> = report.findings.iter().map(|f| result(f, &used, &mut told)).collect();
    let unread = report.problems.iter().map(|p| {
        let text = format!("can't be read: {}", p.what);
        json!({"level": "error", "message": {"text": text}, "locations": [location(p.file, p.line.map(|line| (line, line)), None)]})
    });
    let unseen = report.unseen.iter().map(|identity| {
        let text =
            format!("AgentIdentity {identity} is not among the files, so what it lists was not compared");
        json!({"level": "note", "message": {"text": text}})
    });
    let notifications: Vec<_> = unread.chain(unseen).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": env!("CARGO_PKG_NAME"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "invocations": [{
                "executionSuccessful": report.problems.is_empty(),
                "toolExecutionNotifications": notifications,
            }],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(entry: &catalogue::Entry) -> Value {
    json!({
        "id": entry.code,
        "shortDescription": {"text": entry.title},
        "fullDescription": {"text": entry.why},
        "help": {"text": entry.fix},
        "properties": {"security-severity": format!("{:.1}", entry.severity()), "tags": ["security", "kubernetes"]},
    })
}

/// `told`: how often each place was told of before.
fn result(finding: &Finding<'_>, used: &BTreeSet<&str>, told: &mut HashMap<String, usize>) -> Value {
    let Finding { file, text: _, lines, hidden: _, refusal, warning, object } = finding;
    let Named { kind, namespace, name } = object;
    let full = format!("{kind}/{namespace}/{name}/{}", refusal.path);
    let mut place = [refusal.code(), &uri(file), &full].join("\n");
    // As of two objects without a name.
    let before = told.entry(place.clone()).or_default();
    if *before > 0 {
        place += &format!("\n{before}");
    }
    *before += 1;
    json!({
        "ruleId": refusal.code(),
        "ruleIndex": used.iter().position(|code| *code == refusal.code()),
        "level": if *warning { "warning" } else { "error" },
        "message": {"text": refusal.reason.to_string()},
        "locations": [location(file, Some((lines.first, lines.last)), Some(&full))],
        "partialFingerprints": {"perpro/v1": fingerprint(&place)},
    })
}

/// Lines of a file, or the whole of it.
fn location(file: &str, lines: Option<(u32, u32)>, name: Option<&str>) -> Value {
    let mut location = json!({"physicalLocation": {"artifactLocation": {"uri": uri(file)}}});
    if let Some((first, last)) = lines {
        location["physicalLocation"]["region"] = json!({"startLine": first, "endLine": last});
    }
    if let Some(name) = name {
        location["logicalLocations"] = json!([{"fullyQualifiedName": name}]);
    }
    location
}

/// The same finding has the same one when its file gets longer above it.
fn fingerprint(place: &str) -> String {
    let hash = digest(&SHA256, place.as_bytes());
    hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// A file as a reference by RFC 3986: relative where it lies in this folder and was given so, or with its scheme.
fn uri(file: &str) -> String {
    let path = without_dots(Path::new(file)).unwrap_or_else(|| {
        let here = std::env::current_dir().unwrap_or_default();
        without_dots(&here.join(file)).unwrap_or_else(|| PathBuf::from(file))
    });
    let encoded: String = path
        .to_string_lossy()
        .bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                char::from(b).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    if path.is_absolute() { format!("file://{encoded}") } else { encoded }
}

/// Without `.` and `..`; `None` where that leads out of the folder that it begins in.
fn without_dots(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.has_root() && plain.parent().is_none() => {}
            Component::ParentDir => {
                if !plain.pop() {
                    return None;
                }
            }
            part => plain.push(part),
        }
    }
    Some(plain)
}
