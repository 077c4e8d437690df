//! The kinds, as users write them. Generated into `crds/` by `perpro crds`.
//!
//! A field is here only together with the code that honours it.

mod beyond;
mod governed;
mod identity;
mod policy;

pub use beyond::{Injector, PolicyException};
pub use governed::{GovernedNamespace, GovernedNamespaceSpec, GovernedNamespaceStatus, MAX_SECRETS};
pub use identity::{
    AgentIdentity, AgentIdentitySpec, AgentIdentityStatus, Authorization, ContainerGrant, KubernetesAccess,
    OwnedSecret, Owner, OwnerKind, SecretKeyGrant, WithheldPermission,
};
use kube::CustomResourceExt;
pub use policy::{AgentPolicy, AgentPolicySpec, LiteralCredentials, OwnerPatterns};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// API verbs on resources, spelled as in an RBAC `PolicyRule`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PermissionRule {
    /// API groups; "" is the core group.
    #[schemars(length(min = 1, max = 8), inner(length(max = 253)))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub api_groups: Vec<String>,
    /// Resources, subresources as `pods/log`.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253)))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub resources: Vec<String>,
    /// Names of single objects; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub resource_names: Vec<String>,
    /// get, list, watch, create, update, patch, delete, deletecollection.
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 32)))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub verbs: Vec<String>,
}

/// The definitions of all kinds, in the order in which they are printed and applied.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let mut governed = GovernedNamespace::crd();
    for version in &mut governed.spec.versions {
        // One object, one write: what policies read and what people read can't differ.
        version.subresources = None;
    }
    vec![AgentIdentity::crd(), AgentPolicy::crd(), governed]
}
