//! API objects as the core's model.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodSpec, PodStatus, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt;
use kube::api::PartialObjectMeta;
use perpro_core::api::PermissionRule;
use perpro_core::model::{Account, Binding, Claim, Deletion, PodFacts};
use perpro_core::names;

/// Keeps what [`pod_facts`] reads; a pod is mostly its spec.
pub(super) fn trim_pod(pod: &mut Pod) {
    pod.annotations_mut().clear();
    let spec = pod.spec.take().unwrap_or_default();
    pod.spec = Some(PodSpec {
        service_account_name: spec.service_account_name,
        scheduling_gates: spec.scheduling_gates,
        termination_grace_period_seconds: spec.termination_grace_period_seconds,
        ..PodSpec::default()
    });
    let phase = pod.status.take().and_then(|s| s.phase);
    pod.status = Some(PodStatus { phase, ..PodStatus::default() });
}

/// What the life of an instance needs to know of its pod.
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
        account: spec.service_account_name.clone().unwrap_or_default(),
        gated: spec.scheduling_gates.iter().flatten().any(|g| g.name == names::GATE),
        finished: matches!(phase, Some("Succeeded" | "Failed")),
        deletion,
        grace_seconds: spec.termination_grace_period_seconds.unwrap_or(30),
    })
}

pub(super) fn account(object: &PartialObjectMeta<ServiceAccount>) -> Option<Account> {
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
        claim,
        deleting: object.metadata.deletion_timestamp.is_some(),
    })
}

pub(super) fn binding(object: &PartialObjectMeta<RoleBinding>) -> Option<Binding> {
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
