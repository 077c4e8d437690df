//! AgentPolicy: a ceiling that the platform team sets. It never grants anything.

#![allow(clippy::duplicated_attributes, reason = "print columns repeat their keys")]

use super::PermissionRule;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// The most that identities of some namespaces can have.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "perpro.dev",
    version = "v1alpha1",
    kind = "AgentPolicy",
    plural = "agentpolicies",
    singular = "agentpolicy",
    shortname = "apol",
    category = "perpro",
    derive = "PartialEq",
    doc = "The most that AgentIdentities of some namespaces can have. A ceiling, never a grant.",
    printcolumn(name = "Namespaces", type_ = "string", json_path = ".spec.namespaces"),
    printcolumn(name = "Max-Instances", type_ = "integer", json_path = ".spec.maxInstances"),
    printcolumn(name = "Token-Seconds", type_ = "integer", json_path = ".spec.kubernetesTokenSeconds"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct AgentPolicySpec {
    /// Exact names, or `*` alone for every namespace that no other policy names.
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 63)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("self.size() == 1 || !self.exists(n, n == '*')").message("AID050 name namespaces exactly, or give '*' alone"))]
    #[x_kube(validation = Rule::new("self.all(n, n == '*' || !n.contains('*'))").message("AID050 name namespaces exactly, or give '*' alone: patterns are not supported"))]
    pub namespaces: Vec<String>,
    /// The most that an identity's permissions can be. `*` stands for every group, resource or
    /// verb, but never for the powers that only `elevatedPermissions` lifts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub permissions: Vec<PermissionRule>,
    /// Powers that are withheld unless named here exactly: pods and workloads written, exec,
    /// tokens, Secrets, RBAC and their like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    #[x_kube(validation = Rule::new("self.all(p, p.apiGroups.all(g, !g.contains('*')) && p.resources.all(r, !r.contains('*')) && p.verbs.all(v, !v.contains('*')))").message("AID051 name each elevated group, resource and verb exactly, without wildcards"))]
    pub elevated_permissions: Vec<PermissionRule>,
    /// Pull Secrets that agent pods can name; any, when not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub image_pull_secrets: Option<Vec<String>>,
    /// Most instance accounts in one namespace, claimed and unclaimed.
    #[serde(default = "AgentPolicySpec::default_max_instances")]
    #[schemars(range(min = 0, max = 10000), extend("format" = "int32"))]
    pub max_instances: u32,
    /// Lifetime of Kubernetes tokens in seconds.
    // The API server issues none under 600 s, and turns exactly 3607 s into a year.
    #[serde(default = "AgentPolicySpec::default_kubernetes_token_seconds")]
    #[schemars(range(min = 600, max = 3600), extend("format" = "int32"))]
    pub kubernetes_token_seconds: u32,
    /// How long, in seconds, a deleted pod keeps its power to finish its work.
    #[serde(default = "AgentPolicySpec::default_drain_seconds")]
    #[schemars(range(min = 0, max = 3600), extend("format" = "int32"))]
    pub drain_seconds: u32,
}

impl AgentPolicySpec {
    /// Default of `maxInstances`.
    #[must_use]
    pub fn default_max_instances() -> u32 {
        1000
    }

    /// Default of `kubernetesTokenSeconds`, in seconds.
    #[must_use]
    pub fn default_kubernetes_token_seconds() -> u32 {
        900
    }

    /// Default of `drainSeconds`, in seconds.
    #[must_use]
    pub fn default_drain_seconds() -> u32 {
        30
    }
}
