//! What a policy lets pass though no identity lists it: credentials of sidecars that other webhooks inject, and
//! exceptions that end.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A sidecar of somebody else's webhook, and the tokens that it brings.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Injector {
    /// Name of the container, init container or native sidecar. An ephemeral container is never an injector's.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Prefixes of its images, each ending at `/`, `:` or `@` of the image. A container of that name with any other
    /// image has nothing by this.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 512)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub images: Vec<String>,
    /// Names of the volumes whose tokens it can mount. One without a token needs no entry; a Secret stays refused.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub volumes: Vec<String>,
    /// Audiences of these tokens, none that an API server accepts. Each lives at most 86400 s and is good for the pod's
    /// own account.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub audiences: Vec<String>,
}

/// A workload whose pods start in spite of some codes, until a date.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyException {
    /// Name, for warnings and the audit log.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Namespace of the workload, one that this policy bounds.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// The workload as `Kind/name`: what made the pod, the Deployment or CronJob behind it, or `Pod/name` of a pod that
    /// nothing made.
    #[schemars(length(min = 3, max = 317))]
    #[schemars(extend("pattern" = r"^[A-Z][A-Za-z0-9]*/[a-z0-9][-.a-z0-9]*$"))]
    pub workload: String,
    /// The codes that its pods are not refused for: AID004, AID013, AID020, AID057.
    #[schemars(length(min = 1, max = 8), inner(length(min = 6, max = 6)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub codes: Vec<String>,
    /// Who answers for it: a team or an address, as people are to read it.
    #[schemars(length(min = 1, max = 256))]
    pub owner: String,
    /// Why it is needed.
    #[schemars(length(min = 10, max = 512))]
    pub reason: String,
    /// When it ends (RFC 3339), at most 90 days ahead. From then on new pods are refused.
    #[x_kube(validation = Rule::new("timestamp('1970-01-01T00:00:00Z') <= self && self < timestamp('2200-01-01T00:00:00Z')").message("AID046 set a date from 1970 to 2199 (kubectl perpro explain AID046)"))]
    #[schemars(extend("pattern" = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?([Zz]|[+-][0-2][0-9]:[0-5][0-9])$"))]
    pub expires_at: Time,
}
