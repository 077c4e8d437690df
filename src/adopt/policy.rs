//! The ceiling that the identity needs: none where there is one, or the one that is there made wide enough.

use super::yaml::comment;
use crate::manifest::{Data, Node, read};
use jiff::Timestamp;
use kube::ResourceExt;
use perpro_core::api::{
    AgentIdentitySpec, AgentPolicy, AgentPolicySpec, LiteralCredentials, OwnerKind, OwnerPatterns,
};
use perpro_core::decide::ceiling::Ceiling;
use perpro_core::decide::grant;
use perpro_core::names;

/// What a policy must let through.
pub(super) struct Need<'a> {
    pub(super) identity: &'a AgentIdentitySpec,
    /// Whether it says who owns it, and until when it lives; where it doesn't, its values stand in for nobody's.
    pub(super) says: (bool, bool),
    /// The images of its containers.
    pub(super) images: &'a [String],
    /// Prefixes for them.
    pub(super) prefixes: &'a [String],
    pub(super) pull_secrets: &'a [String],
    /// Whether the policy would bound other identities too.
    pub(super) beside_others: bool,
    pub(super) now: Timestamp,
}

impl Need<'_> {
    /// How long the identity lives, in days begun; 0 where it doesn't say.
    fn days(&self) -> u32 {
        if !self.says.1 {
            return 0;
        }
        let left = self.identity.expires_at.0.as_second() - self.now.as_second();
        let days = left.max(1).div_euclid(86_400) + i64::from(left % 86_400 != 0);
        u32::try_from(days).unwrap_or(u32::MAX)
    }
}

/// The policies to write, and what to say of them.
pub(super) fn written(
    namespace: &str,
    policies: &[AgentPolicy],
    need: &Need<'_>,
) -> (Vec<Node>, Vec<String>) {
    let named = |p: &&AgentPolicy, name: &str| p.spec.namespaces.iter().any(|n| n == name);
    let exact: Vec<_> = policies.iter().filter(|p| named(p, namespace)).collect();
    let all: Vec<_> = policies.iter().filter(|p| named(p, "*")).collect();
    let bounding = if exact.is_empty() { &all } else { &exact };
    if bounding.is_empty() && need.identity.permissions.is_empty() && need.days() <= MOST_DAYS {
        return (
            vec![],
            vec!["no AgentPolicy is written: without permissions this identity needs none".to_owned()],
        );
    }
    if bounding.is_empty() {
        let told = "other identities are in the namespace, so the AgentPolicy says nothing of owners, images and pull Secrets";
        let spec = widened(&empty(namespace, need), need);
        let told = need.beside_others.then(|| told.to_owned());
        // One of that name may be there for other namespaces.
        let taken = policies.iter().any(|p| p.name_any() == namespace);
        let name = if taken { format!("{namespace}-agents") } else { namespace.to_owned() };
        return (vec![document(&name, &spec, NEW)], told.into_iter().collect());
    }
    let wider: Vec<_> = bounding.iter().map(|p| (*p, widened(&p.spec, need))).collect();
    let (mut documents, mut told) = (Vec::new(), Vec::new());
    let enough = wider.iter().all(|(policy, wider)| policy.spec == *wider);
    for (policy, mut wider) in wider {
        let name = policy.name_any();
        if enough {
            told.push(format!("AgentPolicy \"{name}\" is wide enough, so none is written"));
        } else if !exact.is_empty() {
            if policy.spec != wider {
                told.push(format!("AgentPolicy \"{name}\" is written with what it lacks for this identity"));
                documents.push(document(&name, &wider, WIDER));
            }
        } else {
            // One that names the namespace counts in place of those for all.
            wider.namespaces = vec![namespace.to_owned()];
            let own = if all.len() == 1 { namespace.to_owned() } else { format!("{namespace}-{name}") };
            told.push(format!(
                "AgentPolicy \"{name}\", for all namespaces, is not wide enough; \"{own}\" says the same and what this \
                 identity needs, for this one"
            ));
            documents.push(document(&own, &wider, WIDER));
        }
    }
    (documents, told)
}

/// Longest life, in days, where no policy says another.
const MOST_DAYS: u32 = 365;
/// Longest life, in days, that a policy can allow.
const MOST_DAYS_OF_A_POLICY: u32 = 3650;

const NEW: &str = "The ceiling of this namespace, as wide as this identity. The platform team owns it, and lowers or raises it.\n\
    It bounds every agent of the namespace; sidecars that others inject need their images here too.";
const WIDER: &str =
    "The ceiling that is there, raised to what this identity needs. The platform team owns it: ask them.";

/// A policy that lets nothing through of what is needed.
fn empty(namespace: &str, need: &Need<'_>) -> AgentPolicySpec {
    let list = |needed: &[String]| (!needed.is_empty() && !need.beside_others).then(Vec::new);
    AgentPolicySpec {
        namespaces: vec![namespace.to_owned()],
        owners: (need.says.0 && !need.beside_others).then(OwnerPatterns::default),
        max_lifetime_days: if need.says.1 && !need.beside_others { 1 } else { MOST_DAYS },
        permissions: Vec::new(),
        elevated_permissions: Vec::new(),
        images: list(need.prefixes),
        image_pull_secrets: list(need.pull_secrets),
        break_glass_groups: Vec::new(),
        max_instances: AgentPolicySpec::default_max_instances(),
        kubernetes_token_seconds: AgentPolicySpec::default_kubernetes_token_seconds(),
        drain_seconds: AgentPolicySpec::default_drain_seconds(),
        stale_seconds: AgentPolicySpec::default_stale_seconds(),
        injectors: Vec::new(),
        exceptions: Vec::new(),
        literal_credentials: LiteralCredentials::default(),
    }
}

/// The spec with what it lacks.
fn widened(spec: &AgentPolicySpec, need: &Need<'_>) -> AgentPolicySpec {
    let mut wider = spec.clone();
    let policy = AgentPolicy::new("p", spec.clone());
    // A policy that bounds this one namespace, whatever it is called.
    let namespace = spec.namespaces.first().map_or("*", String::as_str);
    let ceiling = Ceiling::of(namespace, [&policy]);
    let owner = &need.identity.owner;
    if need.says.0
        && ceiling.allows_owner(owner).is_err()
        && let Some(owners) = &mut wider.owners
    {
        let patterns = match owner.kind {
            OwnerKind::User => &mut owners.users,
            OwnerKind::Group => &mut owners.groups,
        };
        patterns.push(owner.name.clone());
    }
    wider.max_lifetime_days = wider.max_lifetime_days.max(need.days().min(MOST_DAYS_OF_A_POLICY));
    for rule in &need.identity.permissions {
        let mut alone = need.identity.clone();
        alone.permissions = vec![rule.clone()];
        let (refused, _) = grant::judge(&alone, &ceiling, need.now);
        if refused.iter().any(|r| r.path.starts_with("spec.permissions")) {
            wider.permissions.push(rule.clone());
        }
    }
    if let Some(images) = &mut wider.images {
        for (image, prefix) in need.images.iter().zip(need.prefixes) {
            if ceiling.allows_image(image).is_err() && !images.contains(prefix) {
                images.push(prefix.clone());
            }
        }
    }
    if let Some(secrets) = &mut wider.image_pull_secrets {
        for secret in need.pull_secrets {
            if !ceiling.allows_pull_secret(secret) && !secrets.contains(secret) {
                secrets.push(secret.clone());
            }
        }
    }
    wider
}

/// As people write it: without what is as it would be anyway.
fn document(name: &str, spec: &AgentPolicySpec, words: &str) -> Node {
    let json = serde_json::to_string(spec).unwrap_or_default();
    let text = format!("{{\"apiVersion\": \"v1\", \"kind\": \"X\", \"spec\": {json}}}");
    let read = read(text.as_bytes()).objects.into_iter().next();
    let mut spec = read.and_then(|mut o| o.node.remove("spec")).unwrap_or_else(|| Node::of_fields([]));
    let defaults = [
        ("maxLifetimeDays", AgentPolicySpec::default_max_lifetime_days()),
        ("maxInstances", AgentPolicySpec::default_max_instances()),
        ("kubernetesTokenSeconds", AgentPolicySpec::default_kubernetes_token_seconds()),
        ("drainSeconds", AgentPolicySpec::default_drain_seconds()),
        ("staleSeconds", AgentPolicySpec::default_stale_seconds()),
    ];
    for (field, default) in defaults {
        if matches!(spec.get(field).map(|n| &n.data), Some(Data::Number(n)) if n.as_u64() == Some(default.into()))
        {
            spec.remove(field);
        }
    }
    let mut document = Node::of_fields([
        ("apiVersion", Node::of_text(format!("{}/{}", names::GROUP, names::VERSION))),
        ("kind", Node::of_text("AgentPolicy")),
        ("metadata", Node::of_fields([("name", Node::of_text(name))])),
        ("spec", spec),
    ]);
    document.fields_mut().into_iter().for_each(|f| f.insert(0, comment(words)));
    document
}
