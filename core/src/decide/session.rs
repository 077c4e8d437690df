//! Who may get into an agent's pod while it runs: by exec, attach, port-forward, the API server's proxy, or by a
//! container that is added to it. Whoever does has what the agent has.

use super::admit::Context;
use super::ceiling::Ceiling;
use super::credentials::credentials;
use super::isolation;
use super::listed::{extra, images};
use super::pod::AgentPod;
use super::refusal::{Reason, Refusal};
use crate::api::OwnerKind;
use crate::model::Identity;

/// As whom somebody gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insider {
    /// The owner of the identity, or a member of the group that owns it.
    Owner,
    /// A member of a group that every policy of the namespace names.
    BreakGlass,
}

impl Insider {
    /// The name for the audit log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::BreakGlass => "break-glass",
        }
    }
}

/// What a pod says of its identity, as admission wrote it there.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// Name of the identity.
    pub identity: &'a str,
    /// Its UID and generation; `None` for a pod that admission has not seen.
    pub admitted_under: Option<(&'a str, i64)>,
}

/// As whom this user may get in. An identity that is gone has no owner.
///
/// The owner gets into pods that were admitted under the identity as it is. Whoever may write identities could otherwise
/// take everything from one, which needs nothing, make themselves the owner of what is left, which needs nothing either,
/// and be in a pod that still holds what it was started with.
///
/// # Errors
/// Why not.
pub fn insider(
    user: &str,
    groups: &[String],
    pod: Stamp<'_>,
    identity: Option<&Identity>,
    ceiling: &Ceiling<'_>,
) -> Result<Insider, Reason> {
    let owns = identity.is_some_and(|identity| {
        let owner = &identity.spec.owner;
        match owner.kind {
            OwnerKind::User => owner.name == user,
            OwnerKind::Group => groups.contains(&owner.name),
        }
    });
    let as_admitted = identity.is_some_and(|i| pod.admitted_under == Some((&i.uid, i.generation)));
    if owns && as_admitted {
        return Ok(Insider::Owner);
    }
    if ceiling.breaks_glass(groups) {
        return Ok(Insider::BreakGlass);
    }
    Err(Reason::NotTheirs { identity: pod.identity.to_owned(), changed: owns })
}

/// What is wrong with the ephemeral containers of a pod. Like every other container, one has what the identity lists
/// under its name, which is nothing for a name that it does not list.
#[must_use]
pub fn joins(pod: &AgentPod, context: Context<'_>) -> Vec<Refusal> {
    const ADDED: &str = "spec.ephemeralContainers[";
    let mut added = pod.containers();
    added.retain(|c| c.path.to_string().starts_with(ADDED));
    let mut held = credentials(pod);
    held.retain(|h| added.iter().any(|c| h.container.as_deref() == Some(c.name)));
    let mut holes = isolation::holes(pod);
    holes.retain(|r| r.path.starts_with(ADDED));
    let unknown = pod.unknown.iter().filter(|field| field.starts_with(ADDED));
    let unknown = unknown.map(|field| Refusal::at(field, Reason::UnknownField { field: field.clone() }));
    extra(&held, pod, context.identity, context.ceiling)
        .into_iter()
        .chain(holes)
        .chain(images(&added, context.identity, context.ceiling))
        .chain(unknown)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::AgentPolicy;
    use crate::model::SecretOwners;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn identity(owner: &Value) -> Identity {
        let object = json!({"metadata": {"name": "bot", "namespace": "ns", "uid": "u", "generation": 1,
                "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"owner": owner, "expiresAt": "2030-01-01T00:00:00Z", "justification": "Answers questions.",
                "secrets": [{"name": "crm", "rotateBy": "2030-01-01T00:00:00Z"}],
                "containers": [{"name": "agent", "secretKeys": [{"secret": "crm", "key": "key", "env": "KEY"}]}]}});
        Identity::from_object(&serde_json::from_value(object).unwrap()).unwrap()
    }

    fn policy(name: &str, groups: &[&str]) -> AgentPolicy {
        let object = json!({"apiVersion": "perpro.dev/v1alpha1", "kind": "AgentPolicy", "metadata": {"name": name},
            "spec": {"namespaces": ["ns"], "breakGlassGroups": groups, "images": ["ghcr.io/"]}});
        serde_json::from_value(object).unwrap()
    }

    const ADMITTED: Stamp<'_> = Stamp { identity: "bot", admitted_under: Some(("u", 1)) };

    fn as_whom(owner: &Value, policies: &[AgentPolicy]) -> Option<Insider> {
        let groups = ["support", "oncall"].map(str::to_owned);
        insider("jane", &groups, ADMITTED, Some(&identity(owner)), &Ceiling::of("ns", policies)).ok()
    }

    #[test]
    fn the_owner_gets_into_no_pod_that_is_older_than_the_identity_as_it_is() {
        let identity = identity(&json!({"kind": "User", "name": "jane"}));
        let oncall = ["oncall".to_owned()];
        let policies = [policy("a", &["oncall"])];
        let ceiling = Ceiling::of("ns", &policies);
        for admitted_under in [None, Some(("u", 0)), Some(("u", 2)), Some(("older", 1))] {
            let pod = Stamp { admitted_under, ..ADMITTED };
            assert_eq!(
                insider("jane", &[], pod, Some(&identity), &ceiling),
                Err(Reason::NotTheirs { identity: "bot".to_owned(), changed: true })
            );
            assert_eq!(insider("jane", &oncall, pod, Some(&identity), &ceiling), Ok(Insider::BreakGlass));
        }
        assert_eq!(insider("jane", &[], ADMITTED, Some(&identity), &ceiling), Ok(Insider::Owner));
    }

    #[test]
    fn the_owner_gets_in_or_whoever_is_in_the_group_that_owns() {
        for (owner, gets_in) in [
            (json!({"kind": "User", "name": "jane"}), true),
            (json!({"kind": "Group", "name": "support"}), true),
            (json!({"kind": "User", "name": "support"}), false),
            (json!({"kind": "Group", "name": "jane"}), false),
            (json!({"kind": "Group", "name": "sup"}), false),
        ] {
            assert_eq!(as_whom(&owner, &[]), gets_in.then_some(Insider::Owner), "{owner}");
        }
    }

    #[test]
    fn a_group_breaks_the_glass_where_every_policy_names_it() {
        let other = json!({"kind": "User", "name": "joe"});
        let oncall = || policy("a", &["x", "oncall"]);
        assert_eq!(as_whom(&other, &[]), None);
        assert_eq!(as_whom(&other, &[oncall()]), Some(Insider::BreakGlass));
        assert_eq!(as_whom(&other, &[oncall(), policy("b", &["oncall"])]), Some(Insider::BreakGlass));
        assert_eq!(as_whom(&other, &[oncall(), policy("b", &["support"])]), None);
        let groups = ["oncall".to_owned()];
        let policies = [oncall()];
        let ceiling = Ceiling::of("ns", &policies);
        assert_eq!(insider("jane", &groups, ADMITTED, None, &ceiling), Ok(Insider::BreakGlass), "it is gone");
        assert!(insider("jane", &[], ADMITTED, None, &ceiling).is_err());
    }

    #[rstest]
    #[case::nothing(json!({}), &[])]
    #[case::the_same_processes(json!({"targetContainerName": "agent"}), &[])]
    #[case::another_image(json!({"image": "docker.io/evil"}), &["AID057 spec.ephemeralContainers[0].image"])]
    #[case::a_key(json!({"env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "crm", "key": "key"}}}]}),
        &["AID021 spec.ephemeralContainers[0].env[K]"])]
    #[case::a_whole_secret(json!({"envFrom": [{"secretRef": {"name": "other"}}]}),
        &["AID012 spec.ephemeralContainers[0].envFrom[0]"])]
    #[case::the_agents_volume(json!({"volumeMounts": [{"name": "keys", "mountPath": "/k"}]}), &["AID021 spec.volumes[0].secret.items[0]"])]
    #[case::privileged(json!({"securityContext": {"privileged": true}}), &["AID004 spec.ephemeralContainers[0].securityContext.privileged"])]
    #[case::a_later_field(json!({"vault": {}}), &["AID014 spec.ephemeralContainers[0].vault"])]
    fn a_container_that_is_added_has_nothing_that_is_not_listed_for_it(
        #[case] change: Value,
        #[case] expected: &[&str],
    ) {
        let mut debug = json!({"name": "debug", "image": "ghcr.io/debug"});
        debug.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let pod = json!({"spec": {"nodeName": "n", "containers": [{"name": "agent", "image": "docker.io/older",
                "volumeMounts": [{"name": "keys", "mountPath": "/k"}]}],
            "volumes": [{"name": "keys", "secret": {"secretName": "crm", "items": [{"key": "key", "path": "k"}]}}],
            "ephemeralContainers": [debug]}});
        let pod = AgentPod::parse(&pod.to_string()).unwrap();
        let policies = [policy("a", &[])];
        let ceiling = Ceiling::of("ns", &policies);
        let identity = identity(&json!({"kind": "User", "name": "jane"}));
        let context = Context {
            identity: &identity,
            owners: &SecretOwners::default(),
            ceiling: &ceiling,
            now: "2026-06-01T00:00:00Z".parse().unwrap(),
        };
        let found: Vec<_> = joins(&pod, context).iter().map(|r| format!("{} {}", r.code(), r.path)).collect();
        assert_eq!(found, expected);
    }
}
