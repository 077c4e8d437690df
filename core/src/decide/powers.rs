//! How far a permission reaches: what is as good as a larger role, and what no agent can have.

use super::refusal::Reason;
use crate::model::Permission;

/// How far a permission reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// As far as it says.
    Ordinary,
    /// As far as a larger role: a ceiling must lift it by name.
    Elevated,
}

/// How far a permission reaches.
///
/// # Errors
/// Why no ceiling can lift it: wildcards, verbs outside the standard eight, cluster-scoped
/// resources, for which a Role would silently grant nothing.
pub fn power(permission: &Permission) -> Result<Power, Reason> {
    let Permission { group, resource, name: _, verb } = permission;
    let (group, resource, verb) = (group.as_str(), resource.as_str(), verb.as_str());
    if [group, resource, verb].iter().any(|s| s.contains('*')) {
        return Err(Reason::Wildcard);
    }
    if !VERBS.contains(&verb) {
        return Err(Reason::Verb { verb: verb.to_owned() });
    }
    let base = resource.split('/').next().unwrap_or(resource);
    if CLUSTER_GROUPS.contains(&group) || CLUSTER_RESOURCES.contains(&(group, base)) {
        return Err(Reason::ClusterScoped { resource: resource.to_owned() });
    }
    // Any verb on a Secret may show it: an empty patch or a delete answers with the object.
    let elevated = (group.is_empty() && (base == "secrets" || DOORS.contains(&resource)))
        || ((ELEVATED_GROUPS.contains(&group) || STEERING.contains(&(group, base)))
            && WRITES.contains(&verb))
        || ((PODS.contains(&(group, resource)) || WORKLOADS.contains(&(group, resource)))
            && ["create", "update", "patch"].contains(&verb));
    Ok(if elevated { Power::Elevated } else { Power::Ordinary })
}

/// The verbs that can be granted.
pub(super) const VERBS: [&str; 8] =
    ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// Groups all of whose writes are as good as a larger role.
const ELEVATED_GROUPS: [&str; 4] =
    ["rbac.authorization.k8s.io", "admissionregistration.k8s.io", "certificates.k8s.io", "perpro.dev"];

/// A pod, and a template of one. Updating either runs any image just as creating it does.
const PODS: [(&str, &str); 2] = [("", "pods"), ("", "podtemplates")];
/// What makes pods of a template that it holds, as API group and resource. The same goes for its updates.
pub const WORKLOADS: [(&str, &str); 7] = [
    ("", "replicationcontrollers"),
    ("apps", "daemonsets"),
    ("apps", "deployments"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("batch", "cronjobs"),
    ("batch", "jobs"),
];

/// Doors into other pods, their traffic and their accounts; any verb opens them.
const DOORS: [&str; 10] = [
    "bindings",
    "pods/attach",
    "pods/binding",
    "pods/ephemeralcontainers",
    "pods/exec",
    "pods/portforward",
    "pods/proxy",
    "pods/status",
    "serviceaccounts/token",
    "services/proxy",
];

/// Resources that steer accounts, roll-outs and traffic; writing them is as good as a larger role.
const STEERING: [(&str, &str); 4] = [
    ("", "endpoints"),
    ("", "serviceaccounts"),
    ("apps", "controllerrevisions"),
    ("discovery.k8s.io", "endpointslices"),
];

/// Groups of the API server's own that hold cluster-scoped resources only.
const CLUSTER_GROUPS: [&str; 6] = [
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "node.k8s.io",
];

/// Cluster-scoped resources in groups that hold namespaced ones too. A Role for `namespaces`
/// would even work, on its own namespace: the authorizer treats it as namespaced.
const CLUSTER_RESOURCES: [(&str, &str); 26] = [
    ("", "componentstatuses"),
    ("", "namespaces"),
    ("", "nodes"),
    ("", "persistentvolumes"),
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authentication.k8s.io", "tokenreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
    ("certificates.k8s.io", "certificatesigningrequests"),
    ("certificates.k8s.io", "clustertrustbundles"),
    ("networking.k8s.io", "ingressclasses"),
    ("networking.k8s.io", "ipaddresses"),
    ("networking.k8s.io", "servicecidrs"),
    ("perpro.dev", "agentpolicies"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("resource.k8s.io", "deviceclasses"),
    ("resource.k8s.io", "devicetaintrules"),
    ("resource.k8s.io", "resourceslices"),
    ("scheduling.k8s.io", "priorityclasses"),
    ("storage.k8s.io", "csidrivers"),
    ("storage.k8s.io", "csinodes"),
    ("storage.k8s.io", "storageclasses"),
    ("storage.k8s.io", "volumeattachments"),
    ("storage.k8s.io", "volumeattributesclasses"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    /// A resource as kubectl spells it.
    fn spelled((group, resource): (&str, &str)) -> String {
        if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
    }

    #[test]
    fn the_chart_lifts_what_is_elevated_and_no_typo() {
        let schema = include_str!("../../../charts/perpro/values.schema.json");
        let schema: Value = serde_json::from_str(schema).unwrap();
        let listed = schema["properties"]["elevated"]["items"]["enum"].as_array().unwrap();
        let listed: BTreeSet<_> = listed.iter().map(|r| r.as_str().unwrap().to_owned()).collect();
        for resource in &listed {
            let (main, sub) = resource.split_once('/').map_or((resource.as_str(), ""), |(m, s)| (m, s));
            let (main, group) = main.split_once('.').unwrap_or((main, ""));
            let resource = if sub.is_empty() { main.to_owned() } else { format!("{main}/{sub}") };
            let permission =
                Permission { group: group.to_owned(), resource, name: None, verb: "create".to_owned() };
            assert_eq!(power(&permission), Ok(Power::Elevated), "{permission:?}");
        }
        let doors = DOORS.iter().map(|door| ("", *door));
        for elevated in
            doors.chain(PODS).chain(WORKLOADS).chain(STEERING).chain([("", "secrets")]).map(spelled)
        {
            assert!(listed.contains(&elevated), "{elevated}");
        }
    }
}
