//! Findings for programs.

use super::report::{Finding, Named, Problem, Report};
use serde_json::{Value, json};

pub(super) fn render(report: &Report<'_>) -> Value {
    let findings: Vec<_> = report.findings.iter().map(finding).collect();
    let problem = |p: &Problem<'_>| json!({"file": p.file, "line": p.line, "message": p.what});
    let unreadable: Vec<_> = report.problems.iter().map(problem).collect();
    json!({
        "files": report.files,
        "pods": report.pods,
        "agents": report.agents,
        "findings": findings,
        "unreadable": unreadable,
        "unknownIdentities": report.unseen,
    })
}

fn finding(finding: &Finding<'_>) -> Value {
    let Finding { file, text: _, lines, hidden: _, refusal, warning, object } = finding;
    let Named { kind, namespace, name } = object;
    json!({
        "file": file,
        "line": lines.first,
        "endLine": lines.last,
        "code": refusal.code(),
        "severity": if *warning { "warning" } else { "error" },
        "path": refusal.path,
        "message": refusal.reason.to_string(),
        "object": {"kind": kind, "namespace": namespace, "name": name},
    })
}
