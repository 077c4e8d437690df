//! Parts of the sentences of findings: short, whatever there is to list.

use super::report::plural;
use super::workload::{Ref, Workload};

/// Most names that one sentence lists.
pub(super) const NAMES: usize = 4;

/// What it holds, in words.
pub(super) fn held(workload: &Workload) -> String {
    let tokens = workload.accounts.iter().filter(|(_, t)| t.any).count();
    let mut parts = Vec::new();
    if !workload.secrets.is_empty() {
        parts.push(format!("keys of {}", plural(workload.secrets.len(), "Secret")));
    }
    if tokens > 0 {
        parts.push(format!("tokens of {}", plural(tokens, "account")));
    }
    format!("holds {}; none names a person", parts.join(" and "))
}

/// `3 workloads: deployment/a, deployment/b, job/c`.
pub(super) fn list(users: &[&Ref]) -> String {
    let names = users.iter().take(NAMES).map(|at| at.short()).collect::<Vec<_>>();
    format!("{}: {}{}", plural(users.len(), "workload"), names.join(", "), and_more(users.len()))
}

/// `Secret a`, `Secrets a, b`.
pub(super) fn secrets_list(secrets: &[&str]) -> String {
    let shown = &secrets[..secrets.len().min(NAMES)];
    let s = if secrets.len() == 1 { "" } else { "s" };
    format!("Secret{s} {}{}", shown.join(", "), and_more(secrets.len()))
}

fn and_more(n: usize) -> String {
    n.checked_sub(NAMES).filter(|n| *n > 0).map(|n| format!(" and {n} more")).unwrap_or_default()
}

/// Who runs, for a sentence that goes on with what under.
pub(super) fn verb(users: &[&Ref]) -> String {
    match users {
        [one] => format!("{} runs", one.short()),
        _ => format!("{} run", plural(users.len(), "workload")),
    }
}
