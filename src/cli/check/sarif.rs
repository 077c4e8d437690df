//! Findings as SARIF 2.1.0 (OASIS), which code hosts show beside the lines of a change.

use super::judge::{Finding, Named, Report};
use aws_lc_rs::digest::{SHA256, digest};
use perpro_core::catalogue;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

pub(super) fn render(report: &Report<'_>) -> Value {
    let used: BTreeSet<_> = report.findings.iter().map(|f| f.refusal.code()).collect();
    let rules: Vec<_> = used.iter().filter_map(|code| catalogue::find(code)).map(rule).collect();
    let results: Vec<_> = report.findings.iter().map(|f| result(f, &used)).collect();
    let unread = report.problems.iter().map(|p| {
        let text = format!("can't be read: {}", p.what);
        json!({"level": "error", "message": {"text": text}, "locations": [location(p.file, p.line, None)]})
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

fn result(finding: &Finding<'_>, used: &BTreeSet<&str>) -> Value {
    let Finding { file, text: _, lines, refusal, warning, object } = finding;
    let Named { kind, namespace, name } = object;
    let full = format!("{kind}/{namespace}/{name}/{}", refusal.path);
    json!({
        "ruleId": refusal.code(),
        "ruleIndex": used.iter().position(|code| *code == refusal.code()),
        "level": if *warning { "warning" } else { "error" },
        "message": {"text": refusal.reason.to_string()},
        "locations": [location(file, lines.first, Some((lines.last, &full)))],
        "partialFingerprints": {"perpro/v1": fingerprint(&[refusal.code(), &uri(file), &full])},
    })
}

fn location(file: &str, line: u32, rest: Option<(u32, &str)>) -> Value {
    let mut location =
        json!({"physicalLocation": {"artifactLocation": {"uri": uri(file)}, "region": {"startLine": line}}});
    if let Some((last, name)) = rest {
        location["physicalLocation"]["region"]["endLine"] = json!(last);
        location["logicalLocations"] = json!([{"fullyQualifiedName": name}]);
    }
    location
}

/// The same finding has the same one when its file gets longer above it.
fn fingerprint(parts: &[&str]) -> String {
    let hash = digest(&SHA256, parts.join("\n").as_bytes());
    hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// A file as a reference by RFC 3986: relative as it was given, or with its scheme.
fn uri(file: &str) -> String {
    let file = file.strip_prefix("./").unwrap_or(file);
    let encoded: String = file
        .bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                char::from(b).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    if Path::new(file).is_absolute() { format!("file://{encoded}") } else { encoded }
}
