//! The report for programs: all findings, not only the worst.

use crate::scan::Report;
use serde_json::{Value, json};

pub(super) fn render(report: &Report) -> Value {
    let rows: Vec<_> = report
        .rows
        .iter()
        .map(|row| {
            let findings: Vec<_> = row
                .findings
                .iter()
                .map(|f| json!({"object": object(&f.at), "message": f.what, "weight": f.weight}))
                .collect();
            json!({
                "crack": row.crack.number(),
                "title": row.crack.title(),
                "agents": row.agents,
                "workloads": row.workloads,
                "closedBy": row.crack.closed_by(),
                "findings": findings,
            })
        })
        .collect();
    let agents: Vec<_> = report
        .agents
        .iter()
        .map(|a| {
            json!({
                "object": object(&a.at),
                "certainty": a.certainty.as_str(),
                "why": a.why,
                "owner": a.owner,
                "pods": a.pods,
            })
        })
        .collect();
    let holdings: Vec<_> = report
        .holdings
        .iter()
        .map(|h| {
            let subjects: Vec<_> = h
                .holders
                .iter()
                .map(|(subject, what)| json!({"subject": subject, "message": what}))
                .collect();
            json!({"id": h.id, "title": h.title, "subjects": subjects, "ofKubernetes": h.built_in})
        })
        .collect();
    let unused: Vec<_> =
        report.unused.iter().map(|u| json!({"object": object(&u.at), "roles": u.roles})).collect();
    json!({
        "workloads": report.workloads,
        "pods": report.pods,
        "agents": agents,
        "cracks": rows,
        "whoCan": holdings,
        "unusedAccounts": unused,
        "unreadable": report.gaps,
        "notes": report.notes,
    })
}

fn object(at: &crate::scan::Ref) -> Value {
    json!({"namespace": at.namespace, "kind": at.kind, "name": at.name})
}
