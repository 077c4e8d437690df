//! The rules that the definitions have in CEL. Codes stand beside the rule that says them.

use crate::api::{
    AgentIdentity, AgentIdentitySpec, AgentPolicy, ContainerGrant, PermissionRule, SecretKeyGrant,
};
use crate::decide::exception::CODES;
use crate::decide::grant::MOST;
use crate::decide::injector::is_api_servers;
use crate::decide::powers::VERBS;
use crate::decide::refusal::{Reason, Refusal};
use crate::decide::rules::size;
use crate::names;
use jiff::Timestamp;
use kube::ResourceExt;
use std::ops::Range;

/// Seconds of 1970-01-01T00:00:00Z to 2200-01-01T00:00:00Z: a later date is a way to write never, an earlier one a slip,
/// and CEL knows none before the year 1.
const DATES: Range<i64> = 0..7_258_118_400;

pub(super) fn of_identity(identity: &AgentIdentity) -> Vec<Refusal> {
    let spec = &identity.spec;
    let mut found = Vec::new();
    // AID040. One that is generated is not known yet.
    if identity.metadata.name.is_some() && !names::is_identity_name(&identity.name_any()) {
        found.push(Refusal::at("metadata.name", Reason::IdentityName));
    }
    // AID041
    let is_name = |name: &str| name.trim() == name && !name.contains(is_invisible);
    if !is_name(&spec.owner.name) {
        found.push(Refusal::at("spec.owner.name", Reason::OwnerName));
    }
    for (i, _) in spec.contacts.iter().enumerate().filter(|(_, c)| !is_name(c)) {
        found.push(Refusal::at(format!("spec.contacts[{i}]"), Reason::ContactName));
    }
    // AID042
    if spec.justification.trim().chars().count() < 10 || spec.justification.contains(is_invisible) {
        found.push(Refusal::at("spec.justification", Reason::NoJustification));
    }
    found.extend(undue(dates(spec)));
    found.extend(permissions(&spec.permissions));
    for (i, grant) in spec.containers.iter().enumerate() {
        keys(&format!("spec.containers[{i}]"), grant, spec, &mut found);
    }
    found
}

fn dates(spec: &AgentIdentitySpec) -> impl Iterator<Item = (String, Timestamp)> {
    let rotations =
        spec.secrets.iter().enumerate().map(|(i, s)| (format!("spec.secrets[{i}].rotateBy"), s.rotate_by.0));
    std::iter::once(("spec.expiresAt".to_owned(), spec.expires_at.0)).chain(rotations)
}

/// AID046
fn undue(dates: impl Iterator<Item = (String, Timestamp)>) -> impl Iterator<Item = Refusal> {
    dates.filter(|(_, at)| !DATES.contains(&at.as_second())).map(|(path, _)| Refusal::at(path, Reason::NoEnd))
}

fn permissions(rules: &[PermissionRule]) -> Vec<Refusal> {
    let mut found = Vec::new();
    // AID035
    if size(rules) > MOST.1 {
        found.push(Refusal::at("spec.permissions", Reason::TooManyPermissions));
    }
    for (i, rule) in rules.iter().enumerate() {
        let at = |reason| Refusal::at(format!("spec.permissions[{i}]"), reason);
        // AID030
        if has_wildcard(rule) || rule.resource_names.iter().any(|n| n.contains('*')) {
            found.push(at(Reason::Wildcard));
        }
        // AID031
        let other = rule.verbs.iter().find(|v| !v.contains('*') && !VERBS.contains(&v.as_str()));
        found.extend(other.map(|verb| at(Reason::Verb { verb: verb.clone() })));
    }
    found
}

fn has_wildcard(rule: &PermissionRule) -> bool {
    [&rule.api_groups, &rule.resources, &rule.verbs].into_iter().flatten().any(|x| x.contains('*'))
}

fn keys(path: &str, grant: &ContainerGrant, spec: &AgentIdentitySpec, found: &mut Vec<Refusal>) {
    for (i, key) in grant.secret_keys.iter().enumerate() {
        let path = format!("{path}.secretKeys[{i}]");
        let SecretKeyGrant { secret, key: name, env, path: file } = key;
        // AID043
        if !spec.secrets.iter().any(|s| s.name == *secret) {
            found.push(Refusal::at(&path, Reason::SecretNotOwned { secret: secret.clone() }));
        }
        // AID044
        if env.is_none() && file.is_none() {
            let reason = Reason::KeyWithoutPlace { secret: secret.clone(), key: name.clone() };
            found.push(Refusal::at(&path, reason));
        }
        // AID045
        let earlier = &grant.secret_keys[..i];
        let twice = |place: &Option<String>, of: fn(&SecretKeyGrant) -> &Option<String>| {
            place.clone().filter(|_| earlier.iter().any(|k| of(k) == place))
        };
        if let Some(place) = twice(env, |k| &k.env) {
            found.push(Refusal::at(format!("{path}.env"), Reason::PlaceTwice { place }));
        }
        if let Some(place) = twice(file, |k| &k.path) {
            found.push(Refusal::at(format!("{path}.path"), Reason::PlaceTwice { place }));
        }
    }
}

pub(super) fn of_policy(policy: &AgentPolicy) -> Vec<Refusal> {
    let mut found = Vec::new();
    // AID050
    let namespaces = &policy.spec.namespaces;
    if namespaces.len() > 1 && namespaces.iter().any(|n| n == "*") {
        found.push(Refusal::at("spec.namespaces", Reason::NamespacePattern));
    }
    for (i, _) in namespaces.iter().enumerate().filter(|(_, n)| n.contains('*') && *n != "*") {
        found.push(Refusal::at(format!("spec.namespaces[{i}]"), Reason::NamespacePattern));
    }
    // AID051
    let elevated = policy.spec.elevated_permissions.iter().enumerate();
    for (i, _) in elevated.filter(|(_, rule)| has_wildcard(rule)) {
        found.push(Refusal::at(format!("spec.elevatedPermissions[{i}]"), Reason::ElevatedWildcard));
    }
    // AID058
    for (i, injector) in policy.spec.injectors.iter().enumerate() {
        if let Some(audience) = injector.audiences.iter().find(|a| is_api_servers(a)) {
            let reason = Reason::NeverInjected { audience: audience.clone() };
            found.push(Refusal::at(format!("spec.injectors[{i}].audiences"), reason));
        }
    }
    let exceptions = policy.spec.exceptions.iter().enumerate();
    found.extend(undue(
        exceptions.clone().map(|(i, e)| (format!("spec.exceptions[{i}].expiresAt"), e.expires_at.0)),
    ));
    for (i, exception) in exceptions {
        let mut codes = exception.codes.clone();
        codes.retain(|c| !CODES.contains(&c.as_str()));
        if !codes.is_empty() {
            found.push(Refusal::at(format!("spec.exceptions[{i}].codes"), Reason::NeverExcepted { codes }));
        }
    }
    found
}

/// What the rules of the kinds call invisible in CEL, less what Unicode has not assigned: control and format characters,
/// those of private use, separators of lines and paragraphs, what Unicode calls ignorable, and blanks that it calls
/// letters or symbols.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0xAD | 0x34F | 0x600..=0x605 | 0x61C | 0x6DD | 0x70F | 0x890..=0x891 | 0x8E2 | 0x115F..=0x1160
            | 0x17B4..=0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x2800 | 0x2D7F
            | 0x3164 | 0xE000..=0xF8FF | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFC | 0x10A3F | 0x1107F
            | 0x110BD | 0x110CD | 0x13430..=0x1343F | 0x13441..=0x13442 | 0x16FE4 | 0x1BCA0..=0x1BCA3 | 0x1D159
            | 0x1D173..=0x1D17A
            | 0xE0000..=0xE0FFF | 0xF0000..=0x10_FFFF)
}
