//! AgentPolicy: a ceiling that the platform team sets. It never grants anything.

#![allow(clippy::duplicated_attributes, reason = "print columns repeat their keys")]

use super::{Injector, PermissionRule, PolicyException};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
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
    #[x_kube(validation = Rule::new("self.size() == 1 || !self.exists(n, n == '*')").message("AID050 name namespaces exactly, or give '*' alone (kubectl perpro explain AID050)"))]
    #[x_kube(validation = Rule::new("self.all(n, n == '*' || !n.contains('*'))").message("AID050 name namespaces exactly, or give '*' alone: patterns are not supported (kubectl perpro explain AID050)"))]
    pub namespaces: Vec<String>,
    /// Who can own an identity; anybody, when not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owners: Option<OwnerPatterns>,
    /// Longest life of an identity in days, from when it was last widened. What is over is refused; a later,
    /// shorter one ends identities earlier than they say.
    #[serde(default = "AgentPolicySpec::default_max_lifetime_days")]
    #[schemars(range(min = 1, max = 3650), extend("format" = "int32"))]
    pub max_lifetime_days: u32,
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
    #[x_kube(validation = Rule::new("self.all(p, p.apiGroups.all(g, !g.contains('*')) && p.resources.all(r, !r.contains('*')) && p.verbs.all(v, !v.contains('*')))").message("AID051 name each elevated group, resource and verb exactly, without wildcards (kubectl perpro explain AID051)"))]
    pub elevated_permissions: Vec<PermissionRule>,
    /// Prefixes of the images that agent pods can run, each ending at `/`, `:` or `@` of the image; any, when not
    /// set. For every container of the pod, listed in its identity or not, and for images that it mounts as volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 512)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub images: Option<Vec<String>>,
    /// Pull Secrets that agent pods can name; any, when not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub image_pull_secrets: Option<Vec<String>>,
    /// Groups that can exec into agent pods, attach to them, reach their ports through the API server and add
    /// ephemeral containers, besides each agent's owner. Where several policies name a namespace, those that all name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 256)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub break_glass_groups: Vec<String>,
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
    /// How long, in seconds, a running pod may keep a Secret, token or container that its identity lists no more.
    #[serde(default = "AgentPolicySpec::default_stale_seconds")]
    #[schemars(range(min = 0, max = 86400), extend("format" = "int32"))]
    pub stale_seconds: u32,
    /// Sidecars that other webhooks inject, and the tokens that they can hold though no identity lists them. Where
    /// several policies name a namespace, what all of them let through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new("self.all(i, i.audiences.all(a, !a.startsWith('https://kubernetes.default') && !(a in ['k3s', 'rke2'])))").message("AID058 name an audience that is not the API server's: its tokens are for what identities list (kubectl perpro explain AID058)"))]
    pub injectors: Vec<Injector>,
    /// Workloads whose pods start in spite of some codes, until a date. Where several policies name a namespace, all of
    /// them must have one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new("self.all(e, e.codes.all(c, c in ['AID004', 'AID013', 'AID020', 'AID057']))").message("AID058 leave codes AID004, AID013, AID020 and AID057 alone in the list: no other can have an exception (kubectl perpro explain AID058)"))]
    pub exceptions: Vec<PolicyException>,
    /// What happens to a pod with a credential written into an environment variable, command, argument, probe or hook.
    /// Where several policies name a namespace, it is refused if one of them says so.
    #[serde(default)]
    pub literal_credentials: LiteralCredentials,
}

/// What happens to a pod that has a credential in its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum LiteralCredentials {
    /// It passes with a warning.
    #[default]
    Warn,
    /// It is refused.
    Refuse,
}

/// Patterns of who can own an identity; `*` stands for any run of characters.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct OwnerPatterns {
    /// Patterns of user names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub users: Vec<String>,
    /// Patterns of group names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub groups: Vec<String>,
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

    /// Default of `maxLifetimeDays`, in days.
    #[must_use]
    pub fn default_max_lifetime_days() -> u32 {
        365
    }

    /// Default of `staleSeconds`, in seconds.
    #[must_use]
    pub fn default_stale_seconds() -> u32 {
        900
    }

    /// Default of `drainSeconds`, in seconds.
    #[must_use]
    pub fn default_drain_seconds() -> u32 {
        30
    }
}
