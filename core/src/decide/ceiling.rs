//! The most that an identity can have: the AgentPolicies that name its namespace, intersected.

use super::powers::{Power, power};
use super::refusal::Reason;
use super::rules::{compact, covers, expand};
use super::{image, times};
use crate::api::{
    AgentPolicy, AgentPolicySpec, LiteralCredentials, Owner, OwnerKind, PermissionRule, WithheldPermission,
};
use crate::model::{Identity, IdentityEnd, Permission};
use jiff::Timestamp;
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};

/// The policies that bound one namespace.
#[derive(Clone, Debug, Default)]
pub struct Ceiling<'a> {
    policies: Vec<(String, &'a AgentPolicySpec)>,
}

/// What of an identity's permissions the ceiling lets through, and what it withholds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clipped {
    /// Rules of the identity's Role.
    pub rules: Vec<PermissionRule>,
    /// The rest, for the identity's status.
    pub withheld: Vec<WithheldPermission>,
}

impl<'a> Ceiling<'a> {
    /// The policies that name `namespace` exactly; where none does, those that name `*`.
    pub fn of(namespace: &str, policies: impl IntoIterator<Item = &'a AgentPolicy>) -> Self {
        let (mut exact, mut fallback) = (Vec::new(), Vec::new());
        for policy in policies {
            let named = |n: &str| policy.spec.namespaces.iter().any(|x| x == n);
            if named(namespace) {
                exact.push((policy.name_any(), &policy.spec));
            } else if named("*") {
                fallback.push((policy.name_any(), &policy.spec));
            }
        }
        let mut policies = if exact.is_empty() { fallback } else { exact };
        policies.sort_by(|a, b| a.0.cmp(&b.0));
        Self { policies }
    }

    /// Most accounts in the namespace.
    #[must_use]
    pub fn max_instances(&self) -> u32 {
        self.least(|p| p.max_instances).unwrap_or_else(AgentPolicySpec::default_max_instances)
    }

    /// Lifetime of Kubernetes tokens, in seconds.
    #[must_use]
    pub fn kubernetes_token_seconds(&self) -> u32 {
        self.least(|p| p.kubernetes_token_seconds)
            .unwrap_or_else(AgentPolicySpec::default_kubernetes_token_seconds)
    }

    /// How long a deleted pod keeps its power, in seconds.
    #[must_use]
    pub fn drain_seconds(&self) -> u32 {
        self.least(|p| p.drain_seconds).unwrap_or_else(AgentPolicySpec::default_drain_seconds)
    }

    /// How long a running pod may keep what its identity lists no more, in seconds.
    #[must_use]
    pub fn stale_seconds(&self) -> u32 {
        self.least(|p| p.stale_seconds).unwrap_or_else(AgentPolicySpec::default_stale_seconds)
    }

    /// Longest life of an identity, in days.
    #[must_use]
    pub fn max_lifetime_days(&self) -> u32 {
        self.least(|p| p.max_lifetime_days).unwrap_or_else(AgentPolicySpec::default_max_lifetime_days)
    }

    /// When `identity` ends: as it says, or earlier where its life would be too long.
    #[must_use]
    pub fn expires_at(&self, identity: &Identity) -> Timestamp {
        let said = identity.spec.expires_at.0;
        let bound = |since| times::lives_until(since, self.max_lifetime_days());
        identity.authorized_before().map_or(said, |a| bound(a.since.0).min(said))
    }

    /// Whether `identity` is over at `now`, and why.
    #[must_use]
    pub fn ended(&self, identity: &Identity, now: Timestamp) -> Option<IdentityEnd> {
        identity.ended(self.expires_at(identity), now)
    }

    /// Whether `owner` may own an identity.
    ///
    /// # Errors
    /// The policies that do not name them.
    pub fn allows_owner(&self, owner: &Owner) -> Result<(), Vec<String>> {
        let against = self.naming(|p| {
            p.owners.as_ref().is_none_or(|o| {
                let patterns = match owner.kind {
                    OwnerKind::User => &o.users,
                    OwnerKind::Group => &o.groups,
                };
                patterns.iter().any(|p| glob(p, &owner.name))
            })
        });
        if against.is_empty() { Ok(()) } else { Err(against) }
    }

    /// Whether an agent pod may run this image.
    ///
    /// # Errors
    /// The policies that do not list it.
    pub fn allows_image(&self, image: &str) -> Result<(), Vec<String>> {
        let against = self.naming(|p| {
            p.images.as_ref().is_none_or(|prefixes| prefixes.iter().any(|p| image::matches(image, p)))
        });
        if against.is_empty() { Ok(()) } else { Err(against) }
    }

    /// Whether a member of these groups can get into agents of others. Nobody can where no policy says so.
    #[must_use]
    pub fn breaks_glass(&self, groups: &[String]) -> bool {
        let named = |group: &String| self.policies.iter().all(|(_, p)| p.break_glass_groups.contains(group));
        !self.policies.is_empty() && groups.iter().any(named)
    }

    /// The policies, with their names.
    pub(super) fn policies(&self) -> impl Iterator<Item = (&str, &'a AgentPolicySpec)> {
        self.policies.iter().map(|(name, spec)| (name.as_str(), *spec))
    }

    /// Whether a pod is refused for a credential that somebody wrote into it.
    #[must_use]
    pub fn refuses_literals(&self) -> bool {
        self.policies.iter().any(|(_, p)| p.literal_credentials == LiteralCredentials::Refuse)
    }

    /// Names of the policies for which `holds` does not.
    fn naming(&self, holds: impl Fn(&AgentPolicySpec) -> bool) -> Vec<String> {
        self.policies.iter().filter(|(_, p)| !holds(p)).map(|(name, _)| name.clone()).collect()
    }

    /// Whether a pod may name this pull Secret.
    #[must_use]
    pub fn allows_pull_secret(&self, name: &str) -> bool {
        self.policies
            .iter()
            .filter_map(|(_, p)| p.image_pull_secrets.as_ref())
            .all(|l| l.iter().any(|s| s == name))
    }

    /// The part of an identity's permissions that its author held and that lies under the
    /// ceiling, and the part that is withheld.
    #[must_use]
    pub fn clip(&self, identity: &Identity) -> Clipped {
        let held = identity.authorized_before().map(|a| a.permissions.as_slice()).unwrap_or_default();
        let held: BTreeSet<_> = held.iter().flat_map(expand).collect();
        self.divide(&identity.spec.permissions, |permission| held.contains(permission))
    }

    fn divide(&self, rules: &[PermissionRule], held: impl Fn(&Permission) -> bool) -> Clipped {
        let mut granted = Vec::new();
        let mut withheld = BTreeMap::<_, BTreeSet<String>>::new();
        for permission in rules.iter().flat_map(expand) {
            let author = || if held(&permission) { Ok(()) } else { Err(Reason::AuthorLacks) };
            if let Err(reason) = self.verdict(&permission).and_then(|()| author()) {
                let Permission { group, resource, name, verb } = permission;
                let reason = format!("{}: {reason}", reason.code());
                withheld.entry((group, resource, name, reason)).or_default().insert(verb);
            } else {
                granted.push(permission);
            }
        }
        Clipped {
            rules: compact(granted),
            withheld: withheld
                .into_iter()
                .map(|((api_group, resource, resource_name, reason), verbs)| WithheldPermission {
                    api_group,
                    resource,
                    resource_name,
                    verbs: verbs.into_iter().collect(),
                    reason,
                })
                .collect(),
        }
    }

    /// Whether the ceiling lets a permission through.
    pub(super) fn verdict(&self, permission: &Permission) -> Result<(), Reason> {
        let elevated = power(permission)? == Power::Elevated;
        if self.policies.is_empty() {
            return Err(Reason::NoPolicy);
        }
        let over = self.naming(|p| {
            let rules = if elevated { &p.elevated_permissions } else { &p.permissions };
            rules.iter().any(|r| covers(r, permission))
        });
        match (over.is_empty(), elevated) {
            (true, _) => Ok(()),
            (false, true) => Err(Reason::Elevated),
            (false, false) => Err(Reason::OverCeiling { policies: over }),
        }
    }

    fn least(&self, field: impl Fn(&AgentPolicySpec) -> u32) -> Option<u32> {
        self.policies.iter().map(|(_, p)| field(p)).min()
    }
}

/// `*` in a pattern stands for any run of characters.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<_> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn rule(group: &str, resource: &str, verbs: &[&str]) -> PermissionRule {
        PermissionRule {
            api_groups: vec![group.into()],
            resources: vec![resource.into()],
            resource_names: vec![],
            verbs: verbs.iter().map(|v| (*v).to_owned()).collect(),
        }
    }

    fn policy(name: &str, namespaces: &[&str], permissions: Vec<PermissionRule>) -> AgentPolicy {
        let spec = json!({"namespaces": namespaces, "permissions": permissions});
        AgentPolicy::new(name, serde_json::from_value(spec).unwrap())
    }

    fn clip(policies: &[AgentPolicy], wanted: &PermissionRule) -> Clipped {
        Ceiling::of("ns", policies).divide(std::slice::from_ref(wanted), |_| true)
    }

    fn granted(policies: &[AgentPolicy], wanted: &PermissionRule) -> Vec<String> {
        let clipped = clip(policies, wanted);
        clipped.rules.into_iter().flat_map(|r| r.verbs).collect()
    }

    fn reasons(policies: &[AgentPolicy], wanted: &PermissionRule) -> Vec<String> {
        let clipped = clip(policies, wanted);
        clipped.withheld.into_iter().map(|w| w.reason[..6].to_owned()).collect()
    }

    #[test]
    fn what_policies_do_not_cover_is_withheld_and_the_rest_granted() {
        let policies = [policy("p", &["ns"], vec![rule("", "configmaps", &["get", "list"])])];
        let wanted = rule("", "configmaps", &["get", "update"]);
        assert_eq!(granted(&policies, &wanted), ["get"]);
        assert_eq!(reasons(&policies, &wanted), ["AID034"]);
    }

    #[test]
    fn exact_policies_intersect_and_a_star_is_only_a_fallback() {
        let all = || vec![rule("*", "*", &["*"])];
        let get = || vec![rule("", "configmaps", &["get"])];
        let wanted = rule("", "configmaps", &["get", "list"]);
        assert_eq!(granted(&[policy("star", &["*"], all())], &wanted), ["get", "list"]);
        assert_eq!(granted(&[policy("star", &["*"], all()), policy("ns", &["ns"], get())], &wanted), ["get"]);
        assert_eq!(granted(&[policy("a", &["ns"], all()), policy("b", &["ns"], get())], &wanted), ["get"]);
        assert_eq!(granted(&[policy("else", &["other"], all())], &wanted), Vec::<String>::new());
        assert_eq!(reasons(&[], &wanted), ["AID036"]);
    }

    #[rstest]
    #[case::wildcard_verb(rule("", "configmaps", &["*"]), "AID030")]
    #[case::part_wildcard(rule("apps", "*/scale", &["get"]), "AID030")]
    #[case::bind(rule("rbac.authorization.k8s.io", "roles", &["bind"]), "AID031")]
    #[case::escalate(rule("rbac.authorization.k8s.io", "roles", &["escalate"]), "AID031")]
    #[case::impersonate(rule("", "users", &["impersonate"]), "AID031")]
    #[case::impersonate_under_a_constraint(rule("authentication.k8s.io", "serviceaccounts", &["impersonate:serviceaccount"]), "AID031")]
    #[case::impersonate_for_one_verb(rule("", "pods", &["impersonate-on:serviceaccount:get"]), "AID031")]
    #[case::own_namespace(rule("", "namespaces", &["delete"]), "AID032")]
    #[case::node_proxy(rule("", "nodes/proxy", &["get"]), "AID032")]
    #[case::webhooks(rule("admissionregistration.k8s.io", "validatingwebhookconfigurations", &["get"]), "AID032")]
    #[case::mutating_policies(rule("admissionregistration.k8s.io", "mutatingadmissionpolicies", &["create"]), "AID032")]
    #[case::create_pods(rule("", "pods", &["create"]), "AID033")]
    #[case::patch_deployments(rule("apps", "deployments", &["patch"]), "AID033")]
    #[case::exec_by_get(rule("", "pods/exec", &["get"]), "AID033")]
    #[case::proxy(rule("", "pods/proxy", &["get"]), "AID033")]
    #[case::tokens(rule("", "serviceaccounts/token", &["create"]), "AID033")]
    #[case::secrets(rule("", "secrets", &["get"]), "AID033")]
    #[case::secrets_shown_by_a_patch(rule("", "secrets", &["patch"]), "AID033")]
    #[case::own_rbac(rule("rbac.authorization.k8s.io", "rolebindings", &["create"]), "AID033")]
    #[case::own_account(rule("", "serviceaccounts", &["patch"]), "AID033")]
    #[case::traffic(rule("discovery.k8s.io", "endpointslices", &["update"]), "AID033")]
    #[case::own_identity(rule("perpro.dev", "agentidentities", &["patch"]), "AID033")]
    fn withholds_from_the_widest_ceiling(#[case] wanted: PermissionRule, #[case] code: &str) {
        let policies = [policy("p", &["ns"], vec![rule("*", "*", &["*"])])];
        assert_eq!(granted(&policies, &wanted), Vec::<String>::new());
        assert_eq!(reasons(&policies, &wanted), [code]);
    }

    #[rstest]
    #[case::read_pods(rule("", "pods", &["get", "list", "watch", "delete"]))]
    #[case::logs(rule("", "pods/log", &["get"]))]
    #[case::read_roles(rule("rbac.authorization.k8s.io", "roles", &["get"]))]
    #[case::scale(rule("apps", "deployments/scale", &["patch"]))]
    #[case::unknown_kind(rule("example.com", "widgets", &["create"]))]
    fn grants_under_the_widest_ceiling(#[case] wanted: PermissionRule) {
        let policies = [policy("p", &["ns"], vec![rule("*", "*", &["*"])])];
        assert_eq!(reasons(&policies, &wanted), Vec::<String>::new());
    }

    #[test]
    fn an_elevated_power_is_lifted_only_by_name_and_by_every_policy() {
        let mut lifted = policy("lifted", &["ns"], vec![]);
        lifted.spec.elevated_permissions = vec![rule("", "pods", &["create"])];
        let wanted = rule("", "pods", &["create"]);
        assert_eq!(granted(std::slice::from_ref(&lifted), &wanted), ["create"]);
        assert_eq!(
            reasons(&[lifted, policy("other", &["ns"], vec![rule("*", "*", &["*"])])], &wanted),
            ["AID033"]
        );
    }

    #[test]
    fn a_ceiling_on_one_name_covers_no_other_and_not_all() {
        let mut ceiling = rule("", "configmaps", &["get"]);
        ceiling.resource_names = vec!["mine".into()];
        let policies = [policy("p", &["ns"], vec![ceiling])];
        let named =
            |n: &str| PermissionRule { resource_names: vec![n.into()], ..rule("", "configmaps", &["get"]) };
        assert_eq!(granted(&policies, &named("mine")), ["get"]);
        assert_eq!(reasons(&policies, &named("other")), ["AID034"]);
        assert_eq!(reasons(&policies, &rule("", "configmaps", &["get"])), ["AID034"]);
    }

    #[test]
    fn a_ceiling_on_one_group_covers_no_namesake_in_another() {
        let policies = [policy("p", &["ns"], vec![rule("example.com", "widgets", &["get"])])];
        assert_eq!(granted(&policies, &rule("example.com", "widgets", &["get"])), ["get"]);
        for group in ["", "example.org"] {
            assert_eq!(reasons(&policies, &rule(group, "widgets", &["get"])), ["AID034"]);
        }
    }

    #[test]
    fn numbers_are_the_least_of_all_policies() {
        let mut strict = policy("strict", &["ns"], vec![]);
        strict.spec.max_instances = 3;
        strict.spec.drain_seconds = 0;
        strict.spec.image_pull_secrets = Some(vec!["regcred".into()]);
        let policies = [policy("wide", &["ns"], vec![]), strict];
        let ceiling = Ceiling::of("ns", &policies);
        assert_eq!(
            (ceiling.max_instances(), ceiling.kubernetes_token_seconds(), ceiling.drain_seconds()),
            (3, 900, 0)
        );
        assert!(ceiling.allows_pull_secret("regcred") && !ceiling.allows_pull_secret("other"));
        assert!(Ceiling::default().allows_pull_secret("any"));
    }
}
