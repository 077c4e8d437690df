//! Writes of AgentPolicies: rules that could never count, and whom they take something from.

use super::Webhook;
use super::answer::Answer;
use super::review::{Review, Subject};
use jiff::Timestamp;
use perpro_core::api::AgentPolicy;
use perpro_core::decide::policy;
use perpro_core::names;
use serde::Deserialize;

/// Writes of AgentPolicies.
pub(super) const SUBJECT: Subject = Subject {
    groups: &[names::GROUP],
    version: names::VERSION,
    kinds: &["AgentPolicy"],
    namespaced: false,
    operations: &["CREATE", "UPDATE", "DELETE"],
};

impl Webhook {
    /// Refuses what no agent can have, and warns of what counts for nothing and of identities
    /// that lose something.
    pub(super) fn judge_policy(&self, review: &Review<'_>) -> Answer {
        let request = &review.request;
        let new: Option<AgentPolicy> = AgentPolicy::deserialize(&*request.object).ok();
        let new = new.filter(|policy| policy::is_bounded(&policy.spec));
        if new.is_none() && request.operation != "DELETE" {
            return Answer::unreadable();
        }
        let old: Option<AgentPolicy> = AgentPolicy::deserialize(&*request.old_object).ok();
        let old = old.as_ref().map(|p| &p.spec);
        let judge = |p: &AgentPolicy| policy::judge(&p.spec, old, Timestamp::now());
        let (refusals, mut warnings) = new.as_ref().map(judge).unwrap_or_default();
        if self.readiness.get() {
            let policies = self.snapshot.policies();
            let policies: Vec<_> = policies.iter().map(AsRef::as_ref).collect();
            warnings.extend(policy::cuts(
                &policies,
                &request.name,
                new.as_ref(),
                &self.snapshot.identities(),
            ));
        }
        if let Some(first) = refusals.first() {
            tracing::info!(policy = request.name, code = first.code(), path = first.path, "policy refused");
        }
        Answer { refusals, warnings, ..Answer::default() }
    }
}
