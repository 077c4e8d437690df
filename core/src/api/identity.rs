//! AgentIdentity: who owns an agent, until when, why, and what each of its containers may have.

use super::PermissionRule;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Of CEL, what nobody sees: control and format characters, separators of lines and paragraphs, what Unicode calls
/// ignorable, and blanks that it calls letters or symbols. `decide::definition` says the same in Rust.
macro_rules! invisible {
    () => {
        r"[\\p{C}\\p{Zl}\\p{Zp}\\x{34F}\\x{115F}\\x{1160}\\x{17B4}\\x{17B5}\\x{180B}-\\x{180F}\\x{2065}\\x{2800}\\x{2D7F}\\x{3164}\\x{FE00}-\\x{FE0F}\\x{FFA0}\\x{FFF0}-\\x{FFF8}\\x{FFFC}\\x{10A3F}\\x{1107F}\\x{13441}\\x{13442}\\x{16FE4}\\x{1D159}\\x{E0000}-\\x{E0FFF}]"
    };
}
const NAME: &str = concat!("self.trim() == self && !self.matches('", invisible!(), "')");
const NAMES: &str = concat!("self.all(c, c.trim() == c && !c.matches('", invisible!(), "'))");
const REASON: &str = concat!("self.trim().size() >= 10 && !self.matches('", invisible!(), "')");

/// Who owns an agent, until when, why, and what each of its containers may have.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "perpro.dev",
    version = "v1alpha1",
    kind = "AgentIdentity",
    plural = "agentidentities",
    singular = "agentidentity",
    shortname = "aid",
    category = "perpro",
    namespaced,
    status = "AgentIdentityStatus",
    derive = "PartialEq",
    doc = "Who owns an AI agent, until when, why, and what each of its containers may have.",
    validation = Rule::new("self.metadata.name.size() <= 48 && !self.metadata.name.contains('.')").message("AID040 name an AgentIdentity with a DNS label of at most 48 characters: account names are made from it (kubectl perpro explain AID040)"),
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.owner.name"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt"),
    printcolumn(name = "Pods", type_ = "integer", json_path = ".status.instances"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", priority = "1"),
    printcolumn(name = "Justification", type_ = "string", json_path = ".spec.justification", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.permissions) || self.permissions.map(p, p.apiGroups.size() * p.resources.size() * p.verbs.size() * (has(p.resourceNames) && p.resourceNames.size() > 0 ? p.resourceNames.size() : 1)).sum() <= 200").message("AID035 list at most 200 permissions: this is what the rules expand to, one per group, resource, name and verb (kubectl perpro explain AID035)").field_path(".permissions"))]
#[x_kube(validation = Rule::new("!has(self.containers) || self.containers.all(c, !has(c.secretKeys) || c.secretKeys.all(k, has(self.secrets) && self.secrets.exists(s, s.name == k.secret)))").message("AID043 list every Secret that secretKeys names under spec.secrets, with the date to rotate it by (kubectl perpro explain AID043)").field_path(".containers"))]
pub struct AgentIdentitySpec {
    /// Who answers for the agent, named as the API server names them.
    pub owner: Owner,
    /// Whom to ask about the agent: people, groups, channels, in any form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 256)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new(NAMES).message("AID041 write contacts without a blank at either end, and without control or invisible characters (kubectl perpro explain AID041)"))]
    pub contacts: Vec<String>,
    /// When the identity ends (RFC 3339). There is no default.
    #[x_kube(validation = Rule::new("timestamp('1970-01-01T00:00:00Z') <= self && self < timestamp('2200-01-01T00:00:00Z')").message("AID046 set a date from 1970 to 2199 (kubectl perpro explain AID046)"))]
    #[schemars(extend("pattern" = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?([Zz]|[+-][0-2][0-9]:[0-5][0-9])$"))]
    pub expires_at: Time,
    /// Why the agent exists and needs what it gets.
    #[schemars(length(min = 10, max = 512))]
    #[x_kube(validation = Rule::new(REASON).message("AID042 say in 10 to 512 characters, without control or invisible characters, why the agent needs what it gets (kubectl perpro explain AID042)"))]
    pub justification: String,
    /// Stops the agent: no new pods, the power of running ones ends, then they do.
    #[serde(default)]
    pub suspended: bool,
    /// What the agent may do at the API server in its own namespace. Who writes it must hold it.
    /// What goes over the ceiling of the namespace's AgentPolicies is refused; what a later,
    /// lower ceiling cuts is withheld and listed in status.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    #[x_kube(validation = Rule::new("self.all(p, p.apiGroups.all(g, !g.contains('*')) && p.resources.all(r, !r.contains('*')) && p.verbs.all(v, !v.contains('*')) && (!has(p.resourceNames) || p.resourceNames.all(n, !n.contains('*'))))").message("AID030 name each API group, resource and verb: an agent's permissions hold no wildcard, nor a part of one (kubectl perpro explain AID030)"))]
    #[x_kube(validation = Rule::new("self.all(p, p.verbs.all(v, v in ['*', 'get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection']))").message("AID031 use the verbs get, list, watch, create, update, patch, delete, deletecollection: no other can be granted to an agent (kubectl perpro explain AID031)"))]
    pub permissions: Vec<PermissionRule>,
    /// The static Secrets that this identity owns. A Secret belongs to one identity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub secrets: Vec<OwnedSecret>,
    /// What each container gets, by name; init containers and sidecars too. Nothing else
    /// reaches a container, and one that is not listed gets nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub containers: Vec<ContainerGrant>,
}

/// A person or group, named as the API server names them.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Owner {
    /// User or Group.
    pub kind: OwnerKind,
    /// Name of the user or group.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new(NAME).message("AID041 name who answers for this agent as the API server does: no blank at either end, no control or invisible characters (kubectl perpro explain AID041)"))]
    pub name: String,
}

/// What kind of subject owns an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum OwnerKind {
    /// One person.
    User,
    /// A group of people.
    Group,
}

impl Owner {
    /// `Kind:name`, for annotations.
    #[must_use]
    pub fn reference(&self) -> String {
        let kind = match self.kind {
            OwnerKind::User => "User",
            OwnerKind::Group => "Group",
        };
        format!("{kind}:{}", self.name)
    }
}

/// A static Secret that belongs to the identity.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnedSecret {
    /// Name of the Secret, in the namespace of the identity: a DNS subdomain.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
    /// When its value must have been replaced (RFC 3339). After that no new pod starts with it.
    #[x_kube(validation = Rule::new("timestamp('1970-01-01T00:00:00Z') <= self && self < timestamp('2200-01-01T00:00:00Z')").message("AID046 set a date from 1970 to 2199 (kubectl perpro explain AID046)"))]
    #[schemars(extend("pattern" = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?([Zz]|[+-][0-2][0-9]:[0-5][0-9])$"))]
    pub rotate_by: Time,
}

/// What one container gets.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerGrant {
    /// Name of the container in the pod: a DNS label, of at most 50 characters, since volume names are made from it.
    #[schemars(length(min = 1, max = 50), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Prefixes that the image must match one of, each ending at `/`, `:` or `@` of the image;
    /// any image when empty. `docker.io/library/` may be left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 512)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub images: Vec<String>,
    /// `Token`: a short-lived token of the pod's own account where client libraries look for it.
    #[serde(default)]
    pub kubernetes_access: KubernetesAccess,
    /// Keys of the identity's Secrets, as environment variable, file, or both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["secret", "key"]))]
    #[x_kube(validation = Rule::new("self.all(k, !has(k.env) || self.filter(o, has(o.env) && o.env == k.env).size() == 1) && self.all(k, !has(k.path) || self.filter(o, has(o.path) && o.path == k.path).size() == 1)").message("AID045 give each key of a container an environment variable and a path of its own (kubectl perpro explain AID045)"))]
    pub secret_keys: Vec<SecretKeyGrant>,
}

/// Whether a container can talk to the API server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum KubernetesAccess {
    /// No token.
    #[default]
    None,
    /// A token of the pod's own account at `/var/run/secrets/kubernetes.io/serviceaccount`.
    Token,
}

/// One key of a Secret for one container.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[x_kube(validation = Rule::new("has(self.env) || has(self.path)").message("AID044 say how the container gets the key: set env, path, or both (kubectl perpro explain AID044)"))]
pub struct SecretKeyGrant {
    /// Name of the Secret; must be listed under `spec.secrets`.
    #[schemars(length(min = 1, max = 253))]
    pub secret: String,
    /// Key in the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
    /// Environment variable that holds the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_.-]*$"))]
    pub env: Option<String>,
    /// File that holds the value, relative to `/run/secrets/perpro.dev/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$")
    )]
    pub path: Option<String>,
}

/// What the controller found.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentIdentityStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Accepted, SecretsExclusive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Live instances: pods that hold a claimed account, until their power ends. A larger number is written at most every 5 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<i64>,
    /// When the identity ends: `spec.expiresAt`, or earlier where an AgentPolicy shortens it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_expires_at: Option<Time>,
    /// What its author was found to hold. Asked once per generation: people leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// What `spec.permissions` asks for and is withheld: its author does not hold it, or the
    /// ceiling is lower.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub withheld_permissions: Vec<WithheldPermission>,
}

/// What the author of an identity held when the controller asked (SubjectAccessReview).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authorization {
    /// The recorded author that was asked about.
    pub author: String,
    /// Generation of the spec that was asked about.
    pub generation: i64,
    /// Since when: a policy's `maxLifetimeDays` counts from here. Narrowing keeps it.
    pub since: Time,
    /// `spec.expiresAt` at that time; a later one is asked about anew.
    pub expires_at: Time,
    /// Of `spec.permissions`, what the author held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub permissions: Vec<PermissionRule>,
    /// Of `spec.secrets`, those that the author could read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub secrets: Vec<String>,
}

/// Permissions on one resource that are withheld, and why.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WithheldPermission {
    /// API group; "" is the core group.
    pub api_group: String,
    /// Resource or resource/subresource.
    pub resource: String,
    /// Name of the single object, if the rule names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
    /// Verbs withheld.
    #[schemars(length(max = 8))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub verbs: Vec<String>,
    /// Code and one sentence that says what would lift it.
    pub reason: String,
}
