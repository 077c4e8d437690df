//! What exceptions of AgentPolicies let pass: told to whoever makes the pod, recorded and counted, by the last look at
//! the pod, which sees what all webhooks left.

use super::answer::Answer;
use crate::runtime::metrics::METRICS;
use perpro_core::decide::admit::Verdict;
use perpro_core::decide::refusal::{Reason, Refusal};

/// Most of them in an audit annotation: a small pod can earn very many.
const MAX_RECORDED: usize = 50;

/// The answer of the last look. Other warnings were given by the first.
pub(super) fn last_look(verdict: Verdict) -> Answer {
    let Verdict { refusals, mut warnings } = verdict;
    warnings.retain(|w| refusals.is_empty() && code(w).is_some());
    let audit = (!warnings.is_empty()).then(|| ("exceptions", recorded(&warnings)));
    Answer { refusals, warnings, audit: audit.into_iter().collect(), ..Answer::default() }
}

/// Counts a pod that was admitted so.
pub(super) fn count(answer: &Answer) {
    for code in answer.warnings.iter().filter_map(code) {
        METRICS.exceptions.inc([code]);
    }
}

/// The code that an exception lets pass; `None` for any other warning.
pub(super) fn code(warning: &Refusal) -> Option<&'static str> {
    match &warning.reason {
        Reason::Excepted { reason, .. } => Some(reason.code()),
        _ => None,
    }
}

/// Exception, code and path of each.
fn recorded(warnings: &[Refusal]) -> String {
    let one = |w: &Refusal| match &w.reason {
        Reason::Excepted { exception, reason, .. } => {
            Some(format!("{exception} {} {}", reason.code(), w.path))
        }
        _ => None,
    };
    warnings.iter().filter_map(one).take(MAX_RECORDED).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excepted() -> Refusal {
        let reason = Box::new(Reason::HostAccess { what: "hostPID" });
        let (exception, owner, until) = ("tracing".to_owned(), "platform".to_owned(), "then".to_owned());
        Refusal::at("spec.hostPID", Reason::Excepted { exception, owner, until, days_left: None, reason })
    }

    #[test]
    fn what_exceptions_let_pass_is_told_and_recorded_and_nothing_else_again() {
        let other = Refusal::at("spec", Reason::DryRun);
        let answer = last_look(Verdict { refusals: vec![], warnings: vec![other.clone(), excepted()] });
        assert_eq!((&answer.warnings[..], answer.audit.len()), (&[excepted()][..], 1));
        assert_eq!(answer.audit[0], ("exceptions", "tracing AID004 spec.hostPID".to_owned()));
        let answer = last_look(Verdict { refusals: vec![], warnings: vec![other.clone()] });
        assert!(answer.warnings.is_empty() && answer.audit.is_empty());
        let answer = last_look(Verdict { refusals: vec![other], warnings: vec![excepted()] });
        assert!(answer.warnings.is_empty() && answer.audit.is_empty(), "it did not pass");
    }
}
