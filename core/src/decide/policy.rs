//! May this AgentPolicy be written as it is, and whom does it concern?

use super::ceiling::Ceiling;
use super::exception::{LONGEST_DAYS, ends_too_late, has_ended};
use super::powers::{Power, power};
use super::refusal::{Reason, Refusal};
use super::rules::{expand, size};
use crate::api::{AgentPolicy, AgentPolicySpec};
use crate::model::Identity;
use jiff::Timestamp;
use kube::ResourceExt;

/// Most identities that a warning counts, and most rules that are told to count for nothing.
const TOLD: usize = 100;

/// The most that the rules of one policy can expand to, by the definition of the kind.
const MOST: usize = (64 + 32) * (8 * 16 * 32 * 8);

/// Whether `spec` is as small as the definition of its kind wants it: see [`super::grant::is_bounded`].
#[must_use]
pub fn is_bounded(spec: &AgentPolicySpec) -> bool {
    size(&spec.permissions).saturating_add(size(&spec.elevated_permissions)) <= MOST
}

/// All that `spec` is refused for, and what its author should know: rules that count for nothing. `old`: what it
/// replaces.
#[must_use]
pub fn judge(
    spec: &AgentPolicySpec,
    old: Option<&AgentPolicySpec>,
    now: Timestamp,
) -> (Vec<Refusal>, Vec<Refusal>) {
    let (mut refusals, mut warnings) = exceptions(spec, old, now);
    for (i, rule) in spec.elevated_permissions.iter().enumerate() {
        let path = format!("spec.elevatedPermissions[{i}]");
        for permission in expand(rule) {
            if refusals.len() + warnings.len() >= TOLD {
                return (refusals, warnings);
            }
            let what = format!("{} {}", permission.verb, permission.object());
            match power(&permission) {
                Err(reason) => {
                    let reason = Reason::NeverGranted { what, reason: Box::new(reason) };
                    refusals.push(Refusal::at(path.clone(), reason));
                }
                Ok(Power::Ordinary) => warnings.push(Refusal::at(path.clone(), Reason::NotElevated { what })),
                Ok(Power::Elevated) => {}
            }
        }
    }
    for (i, rule) in spec.permissions.iter().enumerate() {
        // A wildcard may cover elevated powers too; only what names one is a misunderstanding.
        for permission in expand(rule).filter(|p| power(p) == Ok(Power::Elevated)) {
            if refusals.len() + warnings.len() >= TOLD {
                return (refusals, warnings);
            }
            let what = format!("{} {}", permission.verb, permission.object());
            warnings.push(Refusal::at(format!("spec.permissions[{i}]"), Reason::OnlyElevated { what }));
        }
    }
    (refusals, warnings)
}

/// What is said of exceptions. One that has ended is no reason to refuse a change of something else.
fn exceptions(
    spec: &AgentPolicySpec,
    old: Option<&AgentPolicySpec>,
    now: Timestamp,
) -> (Vec<Refusal>, Vec<Refusal>) {
    let (mut refusals, mut warnings) = (Vec::new(), Vec::new());
    for (i, exception) in spec.exceptions.iter().enumerate() {
        let at = |field: &str, reason| Refusal::at(format!("spec.exceptions[{i}].{field}"), reason);
        let namespace = &exception.namespace;
        if !spec.namespaces.iter().any(|n| n == namespace || n == "*") {
            let reason = Reason::ExceptionElsewhere { namespace: namespace.clone() };
            refusals.push(at("namespace", reason));
        }
        if has_ended(exception, now) {
            let is_old = old.is_some_and(|old| old.exceptions.contains(exception));
            let reason = Reason::ExceptionEnded { at: exception.expires_at.0.to_string() };
            let told = if is_old { &mut warnings } else { &mut refusals };
            told.push(at("expiresAt", reason));
        } else if ends_too_late(exception, now) {
            refusals.push(at("expiresAt", Reason::ExceptionTooLong { days: LONGEST_DAYS }));
        }
    }
    (refusals, warnings)
}

/// Warns of identities that have less once `policy` is stored (`None`: deleted) among `policies`.
#[must_use]
pub fn cuts<'a>(
    policies: &[&'a AgentPolicy],
    name: &str,
    policy: Option<&'a AgentPolicy>,
    identities: &[Identity],
) -> Option<Refusal> {
    let after: Vec<_> = policies.iter().copied().filter(|p| p.name_any() != name).chain(policy).collect();
    let withheld = |policies: &[&AgentPolicy], identity: &Identity| -> usize {
        let ceiling = Ceiling::of(&identity.namespace, policies.iter().copied());
        ceiling.clip(identity).withheld.iter().map(|w| w.verbs.len()).sum()
    };
    let loses = |i: &&Identity| withheld(&after, i) > withheld(policies, i);
    let identities: Vec<_> =
        identities.iter().filter(loses).take(TOLD).map(|i| format!("{}/{}", i.namespace, i.name)).collect();
    (!identities.is_empty()).then(|| Refusal::at("spec", Reason::CutsIdentities { identities }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn codes(change: Value) -> (Vec<&'static str>, Vec<&'static str>) {
        let mut spec = json!({"namespaces": ["ns"]});
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (refusals, warnings) = judge(&serde_json::from_value(spec).unwrap(), None, now());
        let codes = |of: Vec<Refusal>| of.iter().map(Refusal::code).collect();
        (codes(refusals), codes(warnings))
    }

    fn now() -> Timestamp {
        "2026-06-01T00:00:00Z".parse().unwrap()
    }

    fn rule(group: &str, resource: &str, verbs: &[&str]) -> Value {
        json!([{"apiGroups": [group], "resources": [resource], "verbs": verbs}])
    }

    #[rstest]
    #[case::cluster_scoped(json!({"elevatedPermissions": rule("", "nodes", &["get"])}), &["AID052"], &[])]
    #[case::no_standard_verb(json!({"elevatedPermissions": rule("", "users", &["impersonate", "bind"])}), &["AID052", "AID052"], &[])]
    #[case::ordinary(json!({"elevatedPermissions": rule("", "configmaps", &["get"])}), &[], &["AID054"])]
    #[case::elevated_in_its_place(json!({"elevatedPermissions": rule("", "pods", &["create"])}), &[], &[])]
    #[case::elevated_elsewhere(json!({"permissions": rule("", "secrets", &["get"])}), &[], &["AID053"])]
    #[case::everything_ordinary(json!({"permissions": rule("*", "*", &["*"])}), &[], &[])]
    fn a_rule_that_counts_for_nothing_is_told(
        #[case] change: Value,
        #[case] refused: &[&str],
        #[case] warned: &[&str],
    ) {
        assert_eq!(codes(change), (refused.to_vec(), warned.to_vec()));
    }

    fn excepting(namespace: &str, end: &str) -> AgentPolicySpec {
        let exception = json!({"name": "nfs", "namespace": namespace, "workload": "Deployment/bot", "codes": ["AID013"],
            "owner": "storage-team", "reason": "Moves off NFS.", "expiresAt": end});
        serde_json::from_value(json!({"namespaces": ["ns"], "exceptions": [exception]})).unwrap()
    }

    #[rstest]
    #[case::in_time("ns", "2026-08-30T00:00:00Z", &[])]
    #[case::too_late("ns", "2026-08-30T00:00:01Z", &["AID059 spec.exceptions[0].expiresAt"])]
    #[case::ended("ns", "2026-06-01T00:00:00Z", &["AID059 spec.exceptions[0].expiresAt"])]
    #[case::elsewhere("other", "2026-08-01T00:00:00Z", &["AID058 spec.exceptions[0].namespace"])]
    fn an_exception_ends_within_90_days_where_the_policy_counts(
        #[case] namespace: &str,
        #[case] end: &str,
        #[case] expected: &[&str],
    ) {
        let (refusals, warnings) = judge(&excepting(namespace, end), None, now());
        let told: Vec<_> = refusals.iter().map(|r| format!("{} {}", r.code(), r.path)).collect();
        assert_eq!((told, warnings), (expected.iter().map(|&e| e.to_owned()).collect(), vec![]));
    }

    #[test]
    fn an_exception_that_has_ended_stands_in_the_way_of_no_other_change() {
        let ended = excepting("ns", "2026-05-01T00:00:00Z");
        let changed = AgentPolicySpec { max_instances: 1, ..ended.clone() };
        let (refusals, warnings) = judge(&changed, Some(&ended), now());
        assert_eq!((refusals, warnings[0].code()), (vec![], "AID059"));
        let other = excepting("ns", "2026-05-02T00:00:00Z");
        assert_eq!(judge(&other, Some(&ended), now()).0[0].code(), "AID059", "it is another one");
    }

    #[test]
    fn rules_that_expand_to_very_much_are_told_in_part_and_beyond_the_kind_not_at_all() {
        let many = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        let spec = |n, key: &str| {
            let rule = json!([{"apiGroups": many(n), "resources": many(n), "resourceNames": many(n), "verbs": many(n)}]);
            serde_json::from_value(json!({"namespaces": ["ns"], key: rule})).unwrap()
        };
        assert!(is_bounded(&spec(8, "permissions")) && !is_bounded(&spec(1000, "permissions")));
        assert_eq!(judge(&spec(8, "elevatedPermissions"), None, now()).0.len(), TOLD);
    }
}
