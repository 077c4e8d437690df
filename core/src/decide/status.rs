//! The status of an AgentIdentity.

use super::admit::{Context, identity_refusals};
use super::lifecycle::Plan;
use super::refusal::{Reason, Refusal};
use crate::api::AgentIdentityStatus;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The status after a pass, keeping the transition times of conditions that did not change.
#[must_use]
pub fn status(
    context: Context<'_>,
    governed: bool,
    plan: &Plan,
    previous: Option<&AgentIdentityStatus>,
) -> AgentIdentityStatus {
    let old = previous.map(|s| s.conditions.as_slice()).unwrap_or_default();
    let refusals = identity_refusals(context);
    let generation = context.identity.generation;
    let conditions = [accepted(plan), exclusive(&refusals), ready(&refusals, governed)];
    AgentIdentityStatus {
        observed_generation: Some(generation),
        conditions: conditions.into_iter().map(|v| v.condition(old, generation, context.now)).collect(),
        instances: i64::try_from(plan.instances).ok(),
        withheld_permissions: plan.clipped.withheld.clone(),
    }
}

struct Verdict {
    kind: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
}

fn accepted(plan: &Plan) -> Verdict {
    let withheld: usize = plan.clipped.withheld.iter().map(|w| w.verbs.len()).sum();
    let (reason, message) = match plan.clipped.withheld.first() {
        None => ("WithinCeiling", String::new()),
        Some(first) => {
            ("PermissionsWithheld", format!("permissions withheld: {withheld}; the first: {}", first.reason))
        }
    };
    Verdict { kind: "Accepted", holds: withheld == 0, reason, message }
}

fn exclusive(refusals: &[Refusal]) -> Verdict {
    let shared = refusals.iter().find(|r| matches!(r.reason, Reason::SharedSecret { .. }));
    Verdict {
        kind: "SecretsExclusive",
        holds: shared.is_none(),
        reason: if shared.is_some() { "SecretShared" } else { "Exclusive" },
        message: shared.map(|r| format!("{}: {}", r.code(), r.reason)).unwrap_or_default(),
    }
}

fn ready(refusals: &[Refusal], governed: bool) -> Verdict {
    let kind = "Ready";
    let Some(first) = refusals.first() else {
        let message = "label the namespace perpro.dev/enforce=all or agents: pods of this identity are refused until then";
        return if governed {
            Verdict { kind, holds: true, reason: "Ready", message: String::new() }
        } else {
            Verdict { kind, holds: false, reason: "NamespaceNotGoverned", message: message.to_owned() }
        };
    };
    let reason = match first.reason {
        Reason::Suspended { .. } => "Suspended",
        Reason::Expired { .. } => "Expired",
        Reason::RotationOverdue { .. } => "RotationOverdue",
        Reason::SharedSecret { .. } => "SecretShared",
        _ => "Ended",
    };
    Verdict { kind, holds: false, reason, message: format!("{}: {}", first.code(), first.reason) }
}

impl Verdict {
    fn condition(self, old: &[Condition], generation: i64, now: Timestamp) -> Condition {
        let status = if self.holds { "True" } else { "False" };
        let unchanged = old.iter().find(|c| c.type_ == self.kind && c.status == status);
        // Stored times have whole seconds; a finer one would never compare equal.
        let whole = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Condition {
            type_: self.kind.to_owned(),
            status: status.to_owned(),
            reason: self.reason.to_owned(),
            message: self.message,
            observed_generation: Some(generation),
            last_transition_time: unchanged.map_or(Time(whole), |c| c.last_transition_time.clone()),
        }
    }
}
