//! API objects as the core's model.

use super::Key;
use super::known::Known;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodSpec, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::PartialObjectMeta;
use kube::{Resource, ResourceExt};
use perpro_core::api::PermissionRule;
use perpro_core::decide::credentials::credentials;
use perpro_core::decide::pod::AgentPod;
use perpro_core::model::{Account, Binding, Claim, ControllerRef, Deletion, PodFacts};
use perpro_core::names;

/// Annotations that some decision reads of objects that are kept as they are.
const READ: [&str; 2] = [names::AUTHOR, names::AUTHOR_GROUPS];

/// Drops annotations that nobody reads: kubectl's copy of an object is as large as the object.
pub(super) fn trim_annotations(object: &mut impl ResourceExt) {
    object.annotations_mut().retain(|key, _| READ.contains(&key.as_str()));
}

/// The same; one that can't be read has only its metadata.
pub(super) fn trim_identity(known: &mut Known) {
    let object = known.object_mut();
    match &mut object.0 {
        Ok(identity) => trim_annotations(identity),
        Err(_) => trim_annotations(object),
    }
}

/// A pod that wears the label of an identity.
pub(super) fn labelled_pod(pod: &Pod) -> Option<(Key, PodFacts)> {
    Some((key_of(pod)?, pod_facts(pod)?))
}

/// An account of ours.
pub(super) fn our_account(object: &PartialObjectMeta<ServiceAccount>) -> Option<(Key, Account)> {
    Some((our_key(object)?, account(object)?))
}

/// A binding of ours.
pub(super) fn our_binding(object: &PartialObjectMeta<RoleBinding>) -> Option<(Key, Binding)> {
    Some((our_key(object)?, binding(object)?))
}

/// The identity whose label an object carries.
pub(super) fn key_of(object: &impl ResourceExt) -> Option<Key> {
    let identity = object.labels().get(names::IDENTITY_LABEL)?.clone();
    Some(Key { namespace: object.namespace()?, identity })
}

/// The identity for which perpro created an object, which has both our marks and a name of ours.
fn our_key(object: &impl ResourceExt) -> Option<Key> {
    let marked = object.labels().get(names::MANAGED_BY).is_some_and(|m| m == names::MANAGER);
    key_of(object).filter(|key| marked && names::is_account_of(&object.name_any(), &key.identity))
}

/// What the life of an instance needs to know of its pod. Not what a container holds that somebody added to the running
/// pod: who may break glass does not end the agent with it.
pub(crate) fn pod_facts(pod: &Pod) -> Option<PodFacts> {
    let spec = pod.spec.as_ref()?;
    let meta = &pod.metadata;
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    let deletion = meta.deletion_timestamp.as_ref().map(|due| {
        // A grace period has no upper bound, so the difference may lie before time began.
        let grace = SignedDuration::from_secs(meta.deletion_grace_period_seconds.unwrap_or(0));
        Deletion { requested: due.0.checked_sub(grace).unwrap_or(Timestamp::MIN), due: due.0 }
    });
    Some(PodFacts {
        name: meta.name.clone()?,
        uid: meta.uid.clone()?,
        created: meta.creation_timestamp.as_ref()?.0,
        identity_uid: pod.annotations().get(names::IDENTITY_UID).cloned(),
        account: spec.service_account_name.clone().unwrap_or_default(),
        gated: spec.scheduling_gates.iter().flatten().any(|g| g.name == names::GATE),
        finished: matches!(phase, Some("Succeeded" | "Failed")),
        deletion,
        grace_seconds: spec.termination_grace_period_seconds.unwrap_or(30),
        holds: credentials(&AgentPod::known(PodSpec { ephemeral_containers: None, ..spec.clone() })),
        controller: pod.controller_owner_ref(&()).map(|owner| ControllerRef {
            api_version: owner.api_version.clone(),
            kind: owner.kind.clone(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
        }),
    })
}

fn account(object: &PartialObjectMeta<ServiceAccount>) -> Option<Account> {
    let annotation = |key: &str| object.annotations().get(key).cloned();
    let claim = annotation(names::CLAIMED_BY)
        .zip(annotation(names::CLAIMED_BY_UID))
        .map(|(pod_name, pod_uid)| Claim { pod_name, pod_uid });
    Some(Account {
        name: object.metadata.name.clone()?,
        uid: object.metadata.uid.clone()?,
        resource_version: object.metadata.resource_version.clone()?,
        created: object.metadata.creation_timestamp.as_ref()?.0,
        identity_uid: annotation(names::IDENTITY_UID),
        owned: !object.owner_references().is_empty(),
        stale_since: annotation(names::STALE_SINCE).and_then(|at| at.parse().ok()),
        claim,
        deleting: object.metadata.deletion_timestamp.is_some(),
    })
}

fn binding(object: &PartialObjectMeta<RoleBinding>) -> Option<Binding> {
    Some(Binding {
        name: object.metadata.name.clone()?,
        uid: object.metadata.uid.clone()?,
        resource_version: object.metadata.resource_version.clone()?,
        deleting: object.metadata.deletion_timestamp.is_some(),
    })
}

pub(super) fn permission_rules(role: &Role) -> Vec<PermissionRule> {
    let rule = |r: &k8s_openapi::api::rbac::v1::PolicyRule| PermissionRule {
        api_groups: r.api_groups.clone().unwrap_or_default(),
        resources: r.resources.clone().unwrap_or_default(),
        resource_names: r.resource_names.clone().unwrap_or_default(),
        verbs: r.verbs.clone(),
    };
    role.rules.iter().flatten().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_container_that_was_added_to_a_running_pod_holds_nothing_that_would_end_the_pod() {
        let env = json!([{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "crm", "key": "key"}}}]);
        let pod = |field: &str| {
            let mut spec = json!({"containers": [{"name": "agent", "image": "i"}]});
            spec[field] = json!([{"name": "other", "image": "i", "env": env}]);
            let metadata = json!({"name": "p", "namespace": "ns", "uid": "u",
                "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {names::IDENTITY_LABEL: "bot"}});
            let pod = serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap();
            labelled_pod(&pod).unwrap().1.holds.len()
        };
        assert_eq!(["initContainers", "ephemeralContainers"].map(pod), [1, 0]);
    }
}
