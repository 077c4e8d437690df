//! Permission rules and what they expand to.

use crate::api::PermissionRule;
use crate::model::Permission;
use std::collections::{BTreeMap, BTreeSet};

/// Rules that expand to `permissions`, verbs on one object together.
pub(super) fn compact(permissions: impl IntoIterator<Item = Permission>) -> Vec<PermissionRule> {
    let mut verbs_of = BTreeMap::<_, BTreeSet<String>>::new();
    for Permission { group, resource, name, verb } in permissions {
        verbs_of.entry((group, resource, name)).or_default().insert(verb);
    }
    let rule = |((group, resource, name), verbs): ((String, String, Option<String>), BTreeSet<String>)| {
        PermissionRule {
            api_groups: vec![group],
            resources: vec![resource],
            resource_names: name.into_iter().collect(),
            verbs: verbs.into_iter().collect(),
        }
    };
    verbs_of.into_iter().map(rule).collect()
}

/// What a rule grants, one by one.
pub(super) fn expand(rule: &PermissionRule) -> impl Iterator<Item = Permission> {
    let names: Vec<_> = match rule.resource_names.as_slice() {
        [] => vec![None],
        names => names.iter().cloned().map(Some).collect(),
    };
    let mut all = Vec::new();
    for group in &rule.api_groups {
        for resource in &rule.resources {
            for name in &names {
                all.extend(rule.verbs.iter().map(|verb| Permission {
                    group: group.clone(),
                    resource: resource.clone(),
                    name: name.clone(),
                    verb: verb.clone(),
                }));
            }
        }
    }
    all.into_iter()
}

/// How many permissions `rules` expand to.
pub(super) fn size(rules: &[PermissionRule]) -> usize {
    let size = |r: &PermissionRule| {
        let lists = [r.api_groups.len(), r.resources.len(), r.resource_names.len().max(1), r.verbs.len()];
        lists.into_iter().fold(1, usize::saturating_mul)
    };
    rules.iter().map(size).fold(0, usize::saturating_add)
}

/// Whether a ceiling's rule covers a permission, as the RBAC authorizer would.
pub(super) fn covers(rule: &PermissionRule, permission: &Permission) -> bool {
    let has = |list: &[String], wanted: &str| list.iter().any(|x| x == wanted || x == "*");
    has(&rule.api_groups, &permission.group)
        && has(&rule.resources, &permission.resource)
        && has(&rule.verbs, &permission.verb)
        && (rule.resource_names.is_empty()
            || permission.name.as_ref().is_some_and(|n| rule.resource_names.contains(n)))
}
