//! The status of an AgentIdentity.

use super::admit::{Context, identity_refusals};
use super::exclusive::{Claims, Exclusive};
use super::lifecycle::Plan;
use super::refusal::{Reason, Refusal};
use crate::api::{AgentIdentityStatus, MAX_SECRETS};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The status after a pass, keeping the transition times of conditions that did not change. `claims` are those of
/// the namespace, if it is governed.
#[must_use]
pub fn status(
    context: Context<'_>,
    claims: Option<&Claims>,
    plan: &Plan,
    previous: Option<&AgentIdentityStatus>,
) -> AgentIdentityStatus {
    let old = previous.map(|s| s.conditions.as_slice()).unwrap_or_default();
    let refusals = identity_refusals(context);
    let generation = context.identity.generation;
    let shared = claims.map(|claims| claims.of(context.identity));
    let shared = shared.as_ref();
    let conditions = [accepted(context, plan), exclusive(&refusals, shared), ready(&refusals, shared, plan)];
    AgentIdentityStatus {
        observed_generation: Some(generation),
        conditions: conditions.into_iter().map(|v| v.condition(old, generation, context.now)).collect(),
        instances: i64::try_from(plan.instances).ok(),
        effective_expires_at: Some(Time(context.ceiling.expires_at(context.identity))),
        authorization: context.identity.authorization.clone(),
        withheld_permissions: plan.clipped.withheld.clone(),
    }
}

/// Reason while nobody has listed the pods that may name a Secret.
const NOT_LOOKED_YET: &str = "NotLookedYet";

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
    // A Role that is refused is told with what refused it; that nobody governs is no event, nor what every new identity
    // begins with.
    let told = |c: &&Condition| {
        c.status == "False"
            && !["RoleRefused", "NamespaceNotGoverned", NOT_LOOKED_YET].contains(&c.reason.as_str())
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

/// `shared` says how far pods without identity share its Secrets, where it is governed.
fn exclusive(refusals: &[Refusal], shared: Option<&Exclusive<'_>>) -> Verdict {
    let verdict = |reason, message| Verdict { kind: "SecretsExclusive", holds: false, reason, message };
    if let Some(other) = refusals.iter().find(|r| matches!(r.reason, Reason::SharedSecret { .. })) {
        return verdict("SecretShared", format!("{}: {}", other.code(), other.reason));
    }
    match shared {
        Some(Exclusive::InUse { secret, pods }) => verdict(IN_USE, in_use(secret, pods)),
        Some(Exclusive::TooMany { secret }) => verdict(TOO_MANY, too_many(secret)),
        Some(Exclusive::NotYet { secret }) => verdict(
            NOT_LOOKED_YET,
            format!("whether pods without identity name Secret \"{secret}\" is about to be looked at"),
        ),
        Some(Exclusive::Yes) => Verdict {
            holds: true,
            ..verdict(
                "Exclusive",
                "its Secrets are its own: no older identity lists one, and pods without identity are kept off them"
                    .to_owned(),
            )
        },
        None => Verdict {
            holds: true,
            ..verdict("Exclusive", "no older identity lists one of its Secrets".to_owned())
        },
    }
}

const IN_USE: &str = "SecretInUse";
const TOO_MANY: &str = "TooManySecrets";

fn in_use(secret: &str, pods: &str) -> String {
    format!(
        "give these pods an identity, or a Secret of their own, as they name Secret \"{secret}\": {pods}; \
         until the last is gone, nobody is kept off it"
    )
}

fn too_many(secret: &str) -> String {
    format!(
        "move agents to another namespace, or have fewer Secrets: {MAX_SECRETS} are kept off other pods, those of the \
         oldest identities, and \"{secret}\" is not among them"
    )
}

/// Pods start also while Secrets are in use: a workload that becomes an agent has its new pods before the old ones go.
fn ready(refusals: &[Refusal], shared: Option<&Exclusive<'_>>, plan: &Plan) -> Verdict {
    let kind = "Ready";
    let Some(first) = refusals.first() else {
        if let Some(message) = &plan.role_refused {
            return Verdict { kind, holds: false, reason: "RoleRefused", message: message.clone() };
        }
        let (reason, message) = match shared {
            None => (
                "NamespaceNotGoverned",
                "label the namespace perpro.dev/enforce=all or agents: pods of this identity are refused until then"
                    .to_owned(),
            ),
            Some(Exclusive::InUse { secret, pods }) => (IN_USE, in_use(secret, pods)),
            Some(Exclusive::TooMany { secret }) => (TOO_MANY, too_many(secret)),
            Some(Exclusive::Yes | Exclusive::NotYet { .. }) => {
                let message = "its pods start, with what it lists".to_owned();
                return Verdict { kind, holds: true, reason: "Ready", message };
            }
        };
        return Verdict { kind, holds: false, reason, message };
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
