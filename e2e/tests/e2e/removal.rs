//! `helm uninstall` with agents that live: of perpro nothing is left that anybody would trip over. Runs last on its
//! cluster, which has no perpro afterwards.

use std::time::Instant;

use crate::common::{World, account_of, agent, gated, pod};
use crate::running::inside::{self, create, in_time, is_ready, runs, world};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use perpro_core::names;
use perpro_e2e::cache::Cache;
use perpro_e2e::install::{Helm, NAMESPACE};
use perpro_e2e::wait;
use serde::de::DeserializeOwned;
use serde_json::json;

/// Names of all objects of a kind that are perpro's, in all namespaces.
async fn ours<K>(world: &World) -> Vec<String>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let all = Api::<K>::all(world.client.clone()).list(&ListParams::default()).await.unwrap();
    let managed = |it: &K| it.labels().get(names::MANAGED_BY).is_some_and(|by| by == names::MANAGER);
    let named = |it: &K| it.name_any().starts_with("perpro") || it.name_any().starts_with("aid-");
    let kind = K::kind(&());
    all.iter().filter(|it| managed(it) || named(it)).map(|it| format!("{kind} {}", it.name_any())).collect()
}

#[tokio::test]
#[ignore = "needs a cluster with a node, and ends perpro on it"]
async fn helm_uninstall_leaves_nothing_that_anybody_would_trip_over() {
    let (lives, waits) = futures::join!(world(), world());
    for world in [&lives, &waits] {
        world.identity("bot", json!({})).await;
    }
    lives.accepts(&agent(json!({}))).await;
    let before = runs(&lives, "pod").await;
    assert!(lives.may(&account_of(&before), "get", "configmaps").await);
    // One that waits at its gate for as long as somebody allows no binding.
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight"},
        "spec": {"hard": {"count/rolebindings.rbac.authorization.k8s.io": "0"}}});
    create::<ResourceQuota>(&waits, quota).await;
    let quotas = Api::<ResourceQuota>::namespaced(waits.client.clone(), &waits.namespace);
    in_time("the quota should count", async || match quotas.get("tight").await.unwrap().status {
        Some(status) if status.hard.is_some() => wait::ready(()),
        other => wait::not_yet(format!("{other:?}")),
    })
    .await;
    waits.accepts(&agent(json!({}))).await;
    assert!(gated(&waits.pods().get("pod").await.unwrap()));

    let helm = Helm::ensure(&Cache::from_env().unwrap()).await.unwrap();
    let since = Instant::now();
    let uninstall = ["uninstall", "perpro", "--namespace", NAMESPACE, "--wait", "--timeout", "3m"];
    helm.run(&lives.cluster.kubeconfig(), &uninstall).await.unwrap();
    println!("helm uninstall took {:?}", since.elapsed());

    let left = [
        ours::<MutatingWebhookConfiguration>(&lives).await,
        ours::<ValidatingWebhookConfiguration>(&lives).await,
        ours::<ValidatingAdmissionPolicy>(&lives).await,
        ours::<ValidatingAdmissionPolicyBinding>(&lives).await,
        ours::<ClusterRoleBinding>(&lives).await,
        ours::<RoleBinding>(&lives).await,
        ours::<ServiceAccount>(&lives).await,
        ours::<Secret>(&lives).await,
    ];
    assert_eq!(left.concat(), Vec::<String>::new());
    let leases =
        Api::<Lease>::namespaced(lives.client.clone(), NAMESPACE).list(&ListParams::default()).await.unwrap();
    assert!(leases.items.is_empty(), "{leases:?}");
    // The aggregated roles of the kinds may stay with the kinds, and a Role that says nothing with its identity.
    let roles = Api::<Role>::all(lives.client.clone()).list(&ListParams::default()).await.unwrap();
    let powerful = roles
        .iter()
        .filter(|role| role.name_any().starts_with("aid-") && role.rules.iter().flatten().count() > 0);
    assert_eq!(powerful.map(ResourceExt::name_any).collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!(ours::<ClusterRole>(&lives).await, Vec::<String>::new());
    let pods = Api::<Pod>::all(lives.client.clone()).list(&ListParams::default()).await.unwrap();
    let waiting: Vec<_> = pods.iter().filter(|pod| gated(pod)).map(ResourceExt::name_any).collect();
    assert_eq!(waiting, Vec::<String>::new(), "nobody is left to remove their gate");
    let said = lives.perpro(&["status"]).await;
    let one =
        said.out.lines().count() == 1 && said.out.starts_with("perpro is not installed in this cluster; ");
    assert!(said.code == Some(1) && one, "{said:?}");

    // What ran goes on, without its power; what is new is as if perpro had never been.
    let after = lives.pods().get("pod").await.unwrap();
    assert!(is_ready(&after) && after.uid() == before.uid());
    assert!(!lives.may(&account_of(&before), "get", "configmaps").await);
    for (name, new) in [("plain", pod(json!({}))), ("labelled", agent(json!({})))] {
        let mut new = new;
        new.metadata.name = Some(name.into());
        lives.accepts(&new).await;
        assert_eq!(account_of(&runs(&lives, name).await), "default");
    }
    for world in [lives, waits] {
        inside::end(world).await;
    }
}
