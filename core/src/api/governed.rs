//! GovernedNamespace: what policies need to know of a governed namespace, and what people want to see of it.

#![allow(clippy::duplicated_attributes, reason = "print columns repeat their keys")]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most Secrets of a namespace that a [`GovernedNamespace`] names. Policies read the whole object for each pod, and
/// etcd takes 1.5 MiB.
pub const MAX_SECRETS: usize = 1024;

/// What holds in one governed namespace.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[kube(
    group = "perpro.dev",
    version = "v1alpha1",
    kind = "GovernedNamespace",
    plural = "governednamespaces",
    singular = "governednamespace",
    shortname = "gns",
    category = "perpro",
    namespaced,
    status = "GovernedNamespaceStatus",
    derive = "PartialEq",
    doc = "What perpro governs in this namespace, written by perpro alone. One in each governed namespace, named \"perpro\".",
    printcolumn(name = "Enforce", type_ = "string", json_path = ".status.enforce"),
    printcolumn(name = "Identities", type_ = "integer", json_path = ".status.identities"),
    printcolumn(name = "Pods", type_ = "integer", json_path = ".status.instances"),
    printcolumn(name = "Gated", type_ = "integer", json_path = ".status.gated"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct GovernedNamespaceSpec {
    /// The Secrets that belong to an AgentIdentity alone, each with its name: a pod without identity that names one
    /// is refused (AID096).
    // A map, so that a policy need not search it. Written also when empty: server-side apply would leave a spec of null.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 1024, "x-kubernetes-map-type" = "atomic"))]
    #[schemars(extend("additionalProperties" = {"type": "string", "maxLength": 63}))]
    pub claimed_secrets: BTreeMap<String, String>,
}

/// What people want to see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GovernedNamespaceStatus {
    /// Value of the namespace's label perpro.dev/enforce.
    #[schemars(length(max = 63))]
    pub enforce: String,
    /// AgentIdentities.
    #[schemars(extend("format" = "int32"))]
    pub identities: u32,
    /// Pods that have an account of their own, and neither finished nor were told to end.
    #[schemars(extend("format" = "int32"))]
    pub instances: u32,
    /// Those of them that wait at their gate.
    #[schemars(extend("format" = "int32"))]
    pub gated: u32,
    /// Secrets of identities that pods without identity name, each with these pods: nobody is kept off them before
    /// the last of these is gone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 1024, "x-kubernetes-map-type" = "atomic"))]
    #[schemars(extend("additionalProperties" = {"type": "string", "maxLength": 1024}))]
    pub secrets_in_use: BTreeMap<String, String>,
}
