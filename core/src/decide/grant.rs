//! May this identity be written as it is? Asked at admission about the whole spec whenever it is
//! widened, and by the controller once per generation about its author.

use super::ceiling::Ceiling;
use super::refusal::{Reason, Refusal};
use super::rules::{compact, expand, size};
use super::times::{later, lives_until};
use crate::api::{AgentIdentitySpec, Authorization, OwnerKind};
use crate::model::{Identity, Permission};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::{BTreeMap, BTreeSet};

/// Most entries of each list of a spec, and most permissions that it expands to (AID035).
pub(super) const MOST: (usize, usize) = (32, 200);

/// Clocks of those who write "in exactly a year" differ a little from ours.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// What the author must hold to grant one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Path of the field that grants it.
    pub path: String,
    /// The permission that the author must have in the identity's namespace.
    pub permission: Permission,
    /// Whether it stands for a Secret of `spec.secrets`, which the author must be able to read.
    pub of_secret: bool,
}

/// Whether `spec` is as small as the definition of its kind wants it: a few bytes can expand to more permissions than
/// there is memory. API servers see to it, but not before they ask mutating webhooks, and not for who forges a review.
#[must_use]
pub fn is_bounded(spec: &AgentIdentitySpec) -> bool {
    [spec.permissions.len(), spec.secrets.len(), spec.containers.len()].iter().all(|len| *len <= MOST.0)
        && spec.containers.iter().all(|c| c.images.len().max(c.secret_keys.len()) <= MOST.0)
        && size(&spec.permissions) <= MOST.1
}

/// All that `spec` is refused for, whoever its author is, and what its author should know.
#[must_use]
pub fn judge(
    spec: &AgentIdentitySpec,
    ceiling: &Ceiling<'_>,
    now: Timestamp,
) -> (Vec<Refusal>, Vec<Refusal>) {
    let (mut refusals, mut warnings) = (Vec::new(), Vec::new());
    if let Err(policies) = ceiling.allows_owner(&spec.owner) {
        let kind = match spec.owner.kind {
            OwnerKind::User => "user",
            OwnerKind::Group => "group",
        };
        refusals.push(Refusal::at("spec.owner", Reason::OwnerNotAllowed { kind, policies }));
    }
    let days = ceiling.max_lifetime_days();
    if spec.expires_at.0 <= now {
        refusals.push(Refusal::at("spec.expiresAt", Reason::ExpiresInThePast));
    } else if lives_until(later(now, CLOCK_SKEW), days) < spec.expires_at.0 {
        refusals.push(Refusal::at("spec.expiresAt", Reason::LivesTooLong { days }));
    }
    for (i, rule) in spec.permissions.iter().enumerate() {
        let path = format!("spec.permissions[{i}]");
        let mut over = BTreeMap::<String, (Reason, BTreeMap<String, BTreeSet<String>>)>::new();
        for permission in expand(rule) {
            let Err(reason) = ceiling.verdict(&permission) else { continue };
            let (_, what) = over.entry(reason.to_string()).or_insert_with(|| (reason, BTreeMap::new()));
            what.entry(permission.object()).or_default().insert(permission.verb.clone());
        }
        for (reason, what) in over.into_values() {
            let no_policy = reason == Reason::NoPolicy;
            let refusal = Refusal::at(
                path.clone(),
                Reason::OfPermission { what: told(&what), reason: Box::new(reason) },
            );
            // Without a policy nothing is over a ceiling; applied first, it may come later.
            if no_policy { warnings.push(refusal) } else { refusals.push(refusal) }
        }
    }
    (refusals, warnings)
}

/// `get, list configmaps; create events`.
fn told(what: &BTreeMap<String, BTreeSet<String>>) -> String {
    let each = what.iter().map(|(object, verbs)| {
        let verbs: Vec<_> = verbs.iter().map(String::as_str).collect();
        format!("{} {object}", verbs.join(", "))
    });
    each.collect::<Vec<_>>().join("; ")
}

/// Everything that the author of `spec` must hold.
#[must_use]
pub fn questions(spec: &AgentIdentitySpec) -> Vec<Question> {
    let permissions = spec.permissions.iter().enumerate().flat_map(|(i, rule)| {
        let path = format!("spec.permissions[{i}]");
        expand(rule).map(move |permission| Question { path: path.clone(), permission, of_secret: false })
    });
    let secrets = spec.secrets.iter().enumerate().map(|(i, secret)| Question {
        path: format!("spec.secrets[{i}]"),
        permission: Permission {
            group: String::new(),
            resource: "secrets".to_owned(),
            name: Some(secret.name.clone()),
            verb: "get".to_owned(),
        },
        of_secret: true,
    });
    permissions.chain(secrets).collect()
}

/// The refusals for what the author does not hold, one for each field.
#[must_use]
pub fn lacking<'a>(denied: impl IntoIterator<Item = &'a Question>) -> Vec<Refusal> {
    let mut secrets = Vec::new();
    let mut permissions = BTreeMap::<&str, BTreeMap<String, BTreeSet<String>>>::new();
    for Question { path, permission, of_secret } in denied {
        if *of_secret {
            let secret = permission.name.clone().unwrap_or_default();
            secrets.push(Refusal::at(path, Reason::AuthorCantRead { secret }));
        } else {
            let what = permissions.entry(path).or_default();
            what.entry(permission.object()).or_default().insert(permission.verb.clone());
        }
    }
    let refusal = |(path, what): (&str, BTreeMap<_, _>)| {
        let reason = Box::new(Reason::AuthorLacks);
        Refusal::at(path, Reason::OfPermission { what: told(&what), reason })
    };
    permissions.into_iter().map(refusal).chain(secrets).collect()
}

/// What is still to be asked about the recorded author before the identity's spec counts: what
/// they were not found to hold for an earlier generation.
#[must_use]
pub fn unanswered(identity: &Identity) -> Vec<Question> {
    let before = identity.authorized_before();
    let held: BTreeSet<_> = before.iter().flat_map(|a| a.permissions.iter().flat_map(expand)).collect();
    let readable = |name: Option<&String>| before.is_some_and(|a| a.secrets.iter().any(|s| Some(s) == name));
    let mut open = questions(&identity.spec);
    open.retain(|q| {
        if q.of_secret { !readable(q.permission.name.as_ref()) } else { !held.contains(&q.permission) }
    });
    open
}

/// The authorization of the identity as it is, given what was found about [`unanswered`].
#[must_use]
pub fn authorize(identity: &Identity, denied: &[Question], now: Timestamp) -> Option<Authorization> {
    let author = identity.author.as_ref()?;
    let (secrets, permissions): (Vec<_>, Vec<_>) =
        questions(&identity.spec).into_iter().filter(|q| !denied.contains(q)).partition(|q| q.of_secret);
    // Narrowing starts no new life, not even by its own author.
    let before = identity.authorized_before().filter(|a| identity.spec.expires_at.0 <= a.expires_at.0);
    // Stored times have whole seconds.
    let whole = Timestamp::from_second(now.as_second()).unwrap_or(now);
    Some(Authorization {
        author: author.user.clone(),
        generation: identity.generation,
        since: before.map_or(Time(whole), |a| a.since.clone()),
        expires_at: before.map_or_else(|| identity.spec.expires_at.clone(), |a| a.expires_at.clone()),
        permissions: compact(permissions.into_iter().map(|q| q.permission)),
        secrets: secrets.into_iter().filter_map(|q| q.permission.name).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{AgentIdentity, AgentPolicy};
    use rstest::rstest;
    use serde_json::{Value, json};

    fn now() -> Timestamp {
        "2026-06-01T12:00:00.5Z".parse().unwrap()
    }

    fn spec(change: Value) -> Value {
        let mut spec = json!({
            "owner": {"kind": "User", "name": "jane@example.com"}, "expiresAt": "2026-07-01T00:00:00Z",
            "justification": "Reads feedback",
            "permissions": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}],
            "secrets": [{"name": "crm", "rotateBy": "2026-07-01T00:00:00Z"}]
        });
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        spec
    }

    fn policy(change: Value) -> AgentPolicy {
        let mut spec = json!({"namespaces": ["ns"],
            "permissions": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]});
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        AgentPolicy::new("p", serde_json::from_value(spec).unwrap())
    }

    fn told(refusals: &[Refusal]) -> Vec<String> {
        refusals.iter().map(|r| format!("{} {}", r.code(), r.path)).collect()
    }

    fn rule(resource: &str, verb: &str) -> Value {
        json!({"apiGroups": [""], "resources": [resource], "verbs": [verb]})
    }

    #[rstest]
    #[case::as_it_should_be(json!({}), json!({}), &[])]
    #[case::over_the_ceiling(json!({"permissions": [rule("events", "get")]}), json!({}), &["AID034 spec.permissions[0]"])]
    #[case::elevated(json!({"permissions": [rule("pods", "create")]}), json!({}), &["AID033 spec.permissions[0]"])]
    #[case::everything_at_once(
        json!({"permissions": [rule("events", "get"), rule("nodes", "get")], "expiresAt": "2028-01-01T00:00:00Z"}),
        json!({"owners": {"users": ["*@corp.example"]}}),
        &["AID039 spec.owner", "AID047 spec.expiresAt", "AID034 spec.permissions[0]", "AID032 spec.permissions[1]"]
    )]
    #[case::an_owner_that_a_pattern_names(json!({}), json!({"owners": {"users": ["joe", "*@example.com"]}}), &[])]
    #[case::an_owner_that_no_pattern_names(json!({}), json!({"owners": {"users": ["joe", "jane@example.com.org", "*@example.org"]}}), &["AID039 spec.owner"])]
    #[case::a_user_called_like_a_group(json!({}), json!({"owners": {"groups": ["*"]}}), &["AID039 spec.owner"])]
    #[case::over_already(json!({"expiresAt": "2026-06-01T12:00:00Z"}), json!({}), &["AID048 spec.expiresAt"])]
    #[case::just_long_enough(json!({"expiresAt": "2026-06-02T12:04:00Z"}), json!({"maxLifetimeDays": 1}), &[])]
    #[case::a_little_too_long(json!({"expiresAt": "2026-06-02T12:06:00Z"}), json!({"maxLifetimeDays": 1}), &["AID047 spec.expiresAt"])]
    fn what_lies_over_the_ceiling_is_refused_all_at_once(
        #[case] change: Value,
        #[case] ceiling: Value,
        #[case] expected: &[&str],
    ) {
        let policy = policy(ceiling);
        let spec = serde_json::from_value(spec(change)).unwrap();
        let (refusals, warnings) = judge(&spec, &Ceiling::of("ns", [&policy]), now());
        assert_eq!((told(&refusals), warnings), (expected.iter().map(|&s| s.to_owned()).collect(), vec![]));
    }

    #[test]
    fn a_few_bytes_that_expand_to_very_much_are_seen_before_they_do() {
        let bounded = |change| is_bounded(&serde_json::from_value(spec(change)).unwrap());
        let many = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        let rule = |n| json!([{"apiGroups": many(n), "resources": many(n), "resourceNames": many(n), "verbs": many(n)}]);
        assert!(bounded(json!({})) && bounded(json!({"permissions": rule(3)})));
        assert!(!bounded(json!({"permissions": rule(4)})) && !bounded(json!({"permissions": rule(1000)})));
        let container = |n: usize| json!([{"name": "a", "images": many(n)}]);
        assert!(
            bounded(json!({"containers": container(16)})) && !bounded(json!({"containers": container(1000)}))
        );
    }

    #[test]
    fn without_a_policy_permissions_are_told_and_nothing_is_refused() {
        let (refusals, warnings) =
            judge(&serde_json::from_value(spec(json!({}))).unwrap(), &Ceiling::default(), now());
        assert_eq!(
            (told(&refusals), told(&warnings)),
            (vec![], vec!["AID036 spec.permissions[0]".to_owned()])
        );
    }

    fn identity(generation: i64, author: &str, change: Value) -> Identity {
        let object: AgentIdentity = serde_json::from_value(json!({
            "apiVersion": "perpro.dev/v1alpha1", "kind": "AgentIdentity",
            "metadata": {"name": "bot", "namespace": "ns", "uid": "u", "generation": generation,
                "creationTimestamp": "2026-06-01T00:00:00Z",
                "annotations": {"perpro.dev/author": author, "perpro.dev/author-groups": "a,b\nc"}},
            "spec": spec(change)
        }))
        .unwrap();
        Identity::from_object(&object).unwrap()
    }

    #[test]
    fn the_author_is_asked_once_and_again_only_about_what_is_new() {
        let mut identity = identity(1, "jane", json!({}));
        assert_eq!(identity.author.as_ref().unwrap().groups, ["a,b", "c"]);
        let asked = unanswered(&identity);
        assert_eq!(asked.len(), 3, "two permissions and a Secret");
        let list = asked.iter().find(|q| q.permission.verb == "list").unwrap().clone();
        identity.authorization = authorize(&identity, std::slice::from_ref(&list), now());
        let authorization = identity.authorized().unwrap();
        assert_eq!(authorization.permissions[0].verbs, ["get"]);
        assert_eq!(authorization.secrets, ["crm"]);
        assert_eq!(authorization.since.0.subsec_nanosecond(), 0);

        // Narrower, by whomever: nothing is asked, nothing starts anew.
        let since = authorization.since.clone();
        identity.generation = 2;
        identity.spec.permissions.clear();
        assert_eq!(identity.authorized(), None);
        assert_eq!(unanswered(&identity), []);
        identity.authorization = authorize(&identity, &[], now() + SignedDuration::from_hours(1));
        assert_eq!(identity.authorized().unwrap().since, since);

        // What was taken away is asked about when it comes back.
        identity.generation = 3;
        identity.spec = serde_json::from_value(spec(json!({}))).unwrap();
        assert_eq!(unanswered(&identity).len(), 2);

        // A later end is a new life.
        identity.spec.expires_at = Time("2026-08-01T00:00:00Z".parse().unwrap());
        identity.authorization = authorize(&identity, &[], now() + SignedDuration::from_hours(1));
        assert!(identity.authorized().unwrap().since.0 > since.0);
    }

    #[test]
    fn another_author_is_asked_about_everything() {
        let mut identity = identity(1, "jane", json!({}));
        identity.authorization = authorize(&identity, &[], now());
        identity.author.as_mut().unwrap().user = "joe".to_owned();
        identity.generation = 2;
        assert_eq!(unanswered(&identity).len(), 3);
    }

    #[test]
    fn what_is_lacking_is_told_by_field() {
        let questions = questions(&serde_json::from_value(spec(json!({}))).unwrap());
        let refusals = lacking(&questions);
        assert_eq!(told(&refusals), ["AID037 spec.permissions[0]", "AID038 spec.secrets[0]"]);
        assert!(refusals[0].to_string().ends_with("(get, list configmaps)"), "{}", refusals[0]);
    }
}
