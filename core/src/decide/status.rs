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
    let conditions = [accepted(context, plan), exclusive(&refusals), ready(&refusals, governed, plan)];
    AgentIdentityStatus {
        observed_generation: Some(generation),
        conditions: conditions.into_iter().map(|v| v.condition(old, generation, context.now)).collect(),
        instances: i64::try_from(plan.instances).ok(),
        effective_expires_at: Some(Time(context.ceiling.expires_at(context.identity))),
        authorization: context.identity.authorization.clone(),
        withheld_permissions: plan.clipped.withheld.clone(),
    }
}

/// The conditions that say since this pass that something is wrong: whoever looks at the identity should be told.
#[must_use]
pub fn news<'a>(
    status: &'a AgentIdentityStatus,
    previous: Option<&AgentIdentityStatus>,
) -> Vec<&'a Condition> {
    let old = previous.map(|s| s.conditions.as_slice()).unwrap_or_default();
    let known = |c: &Condition| {
        old.iter().any(|o| o.type_ == c.type_ && o.status == c.status && o.reason == c.reason)
    };
    // A Role that is refused is told with what refused it; that nobody governs is no event.
    let told = |c: &&Condition| {
        c.status == "False" && !["RoleRefused", "NamespaceNotGoverned"].contains(&c.reason.as_str())
    };
    let mut found: Vec<&Condition> = Vec::new();
    for condition in status.conditions.iter().filter(told).filter(|c| !known(c)) {
        if !found.iter().any(|f| f.reason == condition.reason) {
            found.push(condition);
        }
    }
    found
}

struct Verdict {
    kind: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
}

fn accepted(context: Context<'_>, plan: &Plan) -> Verdict {
    let kind = "Accepted";
    if let Err(policies) = context.ceiling.allows_owner(&context.identity.spec.owner) {
        let reason = Reason::OwnerNotAllowed { kind: "owner", policies };
        let message = format!("{}: {reason}", reason.code());
        return Verdict { kind, holds: false, reason: "OwnerNotAllowed", message };
    }
    let withheld: usize = plan.clipped.withheld.iter().map(|w| w.verbs.len()).sum();
    let (reason, message) = match plan.clipped.withheld.first() {
        None => (
            "WithinCeiling",
            "its owner may own agents here, and nothing that it lists is withheld".to_owned(),
        ),
        Some(first) => {
            ("PermissionsWithheld", format!("permissions withheld: {withheld}; the first: {}", first.reason))
        }
    };
    Verdict { kind, holds: withheld == 0, reason, message }
}

fn exclusive(refusals: &[Refusal]) -> Verdict {
    let shared = refusals.iter().find(|r| matches!(r.reason, Reason::SharedSecret { .. }));
    Verdict {
        kind: "SecretsExclusive",
        holds: shared.is_none(),
        reason: if shared.is_some() { "SecretShared" } else { "Exclusive" },
        message: shared.map_or_else(
            || "no older identity lists one of its Secrets".to_owned(),
            |r| format!("{}: {}", r.code(), r.reason),
        ),
    }
}

fn ready(refusals: &[Refusal], governed: bool, plan: &Plan) -> Verdict {
    let kind = "Ready";
    let Some(first) = refusals.first() else {
        if let Some(message) = &plan.role_refused {
            return Verdict { kind, holds: false, reason: "RoleRefused", message: message.clone() };
        }
        let message = "label the namespace perpro.dev/enforce=all or agents: pods of this identity are refused until then";
        return if governed {
            Verdict {
                kind,
                holds: true,
                reason: "Ready",
                message: "its pods start, with what it lists".to_owned(),
            }
        } else {
            Verdict { kind, holds: false, reason: "NamespaceNotGoverned", message: message.to_owned() }
        };
    };
    let reason = match first.reason {
        Reason::Suspended { .. } => "Suspended",
        Reason::Expired { .. } => "Expired",
        Reason::NoAuthor { .. } => "NoAuthor",
        Reason::AuthorCantRead { .. } => "AuthorCantReadSecret",
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

#[cfg(test)]
mod tests {
    use super::*;

    fn status(conditions: &[(&str, &str, &str)]) -> AgentIdentityStatus {
        let condition = |(kind, status, reason): &(&str, &str, &str)| Condition {
            type_: (*kind).to_owned(),
            status: (*status).to_owned(),
            reason: (*reason).to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        };
        AgentIdentityStatus {
            conditions: conditions.iter().map(condition).collect(),
            ..AgentIdentityStatus::default()
        }
    }

    #[test]
    fn an_identity_is_told_of_what_went_wrong_once() {
        let told = |is: &AgentIdentityStatus, was: Option<&AgentIdentityStatus>| {
            news(is, was).iter().map(|c| c.reason.clone()).collect::<Vec<_>>()
        };
        let fine = status(&[("Accepted", "True", "WithinCeiling"), ("Ready", "True", "Ready")]);
        let over = status(&[("Accepted", "True", "WithinCeiling"), ("Ready", "False", "Expired")]);
        assert_eq!(told(&over, Some(&fine)), ["Expired"]);
        assert_eq!(told(&over, Some(&over)), Vec::<String>::new());
        assert_eq!(told(&fine, Some(&over)), Vec::<String>::new());
        let suspended = status(&[("Ready", "False", "Suspended")]);
        assert_eq!(told(&suspended, Some(&over)), ["Suspended"], "for another reason by now");
        let shared =
            status(&[("SecretsExclusive", "False", "SecretShared"), ("Ready", "False", "SecretShared")]);
        assert_eq!(told(&shared, None), ["SecretShared"], "one thing, once");
        let elsewhere = status(&[("Ready", "False", "NamespaceNotGoverned")]);
        assert_eq!(told(&elsewhere, None), Vec::<String>::new());
    }
}
