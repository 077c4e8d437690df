//! Our own tokens, stolen: whoever has one can do what the process does, and nothing else.
//!
//! Each test holds the token of one process. What RBAC withholds is `Guard::Rbac`; what only the
//! policy for our own writes withholds is `Guard::Policy`. Everything is a dry run.

mod accounts;
mod beyond_rbac;
mod bindings;
mod certificates;
mod pods;
mod records;
mod roles;

use super::actors::{Actor, Guard};
use crate::common::{World, account_of, agent, pod, when};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::ResourceExt;
use kube::api::{Api, PostParams};
use perpro_core::names;
use perpro_e2e::install::NAMESPACE;
use serde_json::{Value, json};

const POLICY: Guard = Guard::Policy("AID086");
const RBAC: &str = "rbac.authorization.k8s.io/v1";
const FINALIZER: &str = "example.com/hold";

/// What no process of ours may do, whichever it is.
async fn is_no_way_out(actor: &Actor, world: &World) {
    let user = json!({"kind": "Role", "rules": []});
    let secret = |name: &str| json!({"metadata": {"name": name}, "stringData": {"a": "b"}});
    let binding = json!({"metadata": {"name": "x"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole", "name": "cluster-admin"}, "subjects": []});
    for (method, path, body) in [
        ("GET", world.path("v1", "secrets"), json!(null)),
        ("GET", format!("/api/v1/namespaces/{NAMESPACE}/secrets"), json!(null)),
        ("GET", "/api/v1/namespaces/kube-system/secrets".to_owned(), json!(null)),
        // Another verb than that of the lists.
        ("GET", world.path("v1", "secrets/crm"), json!(null)),
        ("GET", format!("/api/v1/namespaces/{NAMESPACE}/secrets/sh.helm.release.v1.perpro.v1"), json!(null)),
        ("GET", "/api/v1/namespaces/kube-system/secrets/any".to_owned(), json!(null)),
        ("POST", world.path("v1", "secrets"), secret("x")),
        ("POST", world.path("v1", "pods"), json!(pod(json!({})))),
        ("POST", world.path("v1", "configmaps"), json!({"metadata": {"name": "x"}})),
        ("POST", world.path("apps/v1", "deployments"), json!({"metadata": {"name": "x"}})),
        ("POST", world.path("v1", "serviceaccounts/default/token"), json!({"spec": {"audiences": []}})),
        ("POST", world.path("v1", "pods/pod/exec?command=sh"), json!(null)),
        ("POST", world.path("v1", "pods/pod/eviction"), json!({"metadata": {"name": "pod"}})),
        ("POST", world.path("v1", "pods/pod/binding"), json!({"target": {"name": "node"}})),
        ("PATCH", world.path("v1", "pods/pod/status"), json!({"metadata": {"labels": {"a": "b"}}})),
        ("PATCH", world.path("v1", "pods/pod/ephemeralcontainers"), json!({"spec": {}})),
        (
            "PATCH",
            format!("/api/v1/namespaces/{}", world.namespace),
            json!({"metadata": {"labels": {"a": "b"}}}),
        ),
        ("POST", "/api/v1/namespaces".to_owned(), json!({"metadata": {"name": "new"}})),
        ("POST", format!("/apis/{RBAC}/clusterroles"), user),
        ("POST", format!("/apis/{RBAC}/clusterrolebindings"), binding),
        (
            "DELETE",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/agentidentities.perpro.dev".to_owned(),
            json!(null),
        ),
        (
            "DELETE",
            "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/perpro".to_owned(),
            json!(null),
        ),
        (
            "DELETE",
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/perpro".to_owned(),
            json!(null),
        ),
        (
            "DELETE",
            "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/perpro-own-writes".to_owned(),
            json!(null),
        ),
        (
            "DELETE",
            "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/perpro-own-writes"
                .to_owned(),
            json!(null),
        ),
        ("POST", world.path("perpro.dev/v1alpha1", "agentidentities"), json!({"metadata": {"name": "x"}})),
        (
            "PATCH",
            world.path("perpro.dev/v1alpha1", "agentidentities/bot"),
            json!({"spec": {"suspended": true}}),
        ),
        ("DELETE", world.path("perpro.dev/v1alpha1", "agentidentities/bot"), json!(null)),
        ("POST", "/apis/perpro.dev/v1alpha1/agentpolicies".to_owned(), json!({"metadata": {"name": "x"}})),
        ("DELETE", "/api/v1/nodes/node".to_owned(), json!(null)),
    ] {
        actor.may_not(Guard::Rbac, method, &path, body).await;
    }
}

/// An account as the webhook mints it.
fn minted(name: &str) -> Value {
    json!({"metadata": {"name": name, "labels": marks(), "annotations": {names::IDENTITY_UID: "1", names::OWNER: "User:jane"}},
        "automountServiceAccountToken": false})
}

fn marks() -> Value {
    json!({names::IDENTITY_LABEL: "bot", names::MANAGED_BY: names::MANAGER, names::PART_OF: "bot"})
}

fn with(mut object: Value, change: Value) -> Value {
    crate::common::merge(&mut object, change);
    object
}

/// A namespace with a released pod `pod` and a pod `gated` that has no room for its binding.
async fn agents() -> (World, String, String) {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    let account = world.released_agent().await;
    world.no_more_bindings().await;
    let gated = world.accepts(&agent(json!({"metadata": {"name": "gated"}}))).await;
    let gated = account_of(&gated);
    world
        .eventually("its account should be claimed", async || {
            let claimed = world.accounts().get(&gated).await.unwrap();
            when(claimed.annotations().contains_key(names::CLAIMED_BY_UID), "it is not")
        })
        .await;
    (world, account, gated)
}

impl World {
    /// From now on agents stay at their gate: there is a quota for bindings, and it is used up.
    pub async fn no_more_bindings(&self) {
        let used = self.bindings().list(&Default::default()).await.unwrap().items.len();
        let resource = "count/rolebindings.rbac.authorization.k8s.io";
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "bindings"},
            "spec": {"hard": {resource: used.to_string()}}});
        let quotas = Api::<ResourceQuota>::namespaced(self.client.clone(), &self.namespace);
        quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
        self.eventually("the quota should count", async || {
            let quota = quotas.get("bindings").await.unwrap();
            let counted =
                quota.status.and_then(|s| s.used).and_then(|u| u.get(resource).map(|q| q.0.clone()));
            when(counted == Some(used.to_string()), &format!("{counted:?} of {used}"))
        })
        .await;
    }
}
