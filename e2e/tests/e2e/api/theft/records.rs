//! What the controller keeps beside: its Lease, its Events, GovernedNamespaces, the status of identities.

use super::POLICY;
use crate::api::actors::{Actor, Guard};
use crate::common::World;
use perpro_e2e::install::NAMESPACE;
use serde_json::json;

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_stolen_token_of_the_controller_keeps_its_lease_its_events_its_records_and_the_status_and_nothing_else()
 {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    let thief = Actor::token(&world, NAMESPACE, "perpro-controller").await;
    let status = world.path("perpro.dev/v1alpha1", "agentidentities/bot/status");
    thief.may("PATCH", &status, json!({"status": {"instances": 1}})).await;

    let lease = |name: &str| json!({"metadata": {"name": name}, "spec": {"holderIdentity": "me"}});
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases");
    let held = format!("{leases}/perpro-controller");
    let now = thief.sends("GET", &held, json!(null)).await.unwrap();
    // The leader renews it all the time; a version that is too old is a conflict, which no policy is.
    let renewed = thief.asks("PUT", &held, now).await;
    assert!(renewed.as_ref().err().is_none_or(|e| e.contains("please apply your changes")), "{renewed:?}");
    thief.may_not(POLICY, "POST", &leases, lease("another")).await;
    thief
        .may_not(
            Guard::Rbac,
            "POST",
            &world.path("coordination.k8s.io/v1", "leases"),
            lease("perpro-controller"),
        )
        .await;
    thief.may_not(Guard::Rbac, "DELETE", &held, json!(null)).await;

    let governed = |name: &str| json!({"apiVersion": "perpro.dev/v1alpha1", "kind": "GovernedNamespace", "metadata": {"name": name}, "spec": {"claimedSecrets": {}}});
    let apply = "?fieldManager=perpro&force=true";
    let ungoverned = World::new("").await;
    let here = world.path("perpro.dev/v1alpha1", "governednamespaces");
    thief.may("PATCH", &format!("{here}/perpro{apply}"), governed("perpro")).await;
    thief.may("DELETE", &format!("{here}/perpro"), json!(null)).await;
    thief.may_not(POLICY, "PATCH", &format!("{here}/other{apply}"), governed("other")).await;
    thief.may_not(POLICY, "POST", &here, governed("other")).await;
    let mut held = governed("perpro");
    held["metadata"]["finalizers"] = json!([super::FINALIZER]);
    thief.may_not(POLICY, "PATCH", &format!("{here}/perpro{apply}"), held).await;
    let there = ungoverned.path("perpro.dev/v1alpha1", "governednamespaces/perpro");
    thief.may_not(POLICY, "PATCH", &format!("{there}{apply}"), governed("perpro")).await;

    let event = |who: &str| {
        json!({"metadata": {"name": "pod.1"}, "reportingController": who, "reportingInstance": who, "action": "Claim",
            "reason": "IdentityRefused", "type": "Warning", "eventTime": "2026-01-01T00:00:00.000000Z",
            "regarding": {"apiVersion": "v1", "kind": "Pod", "name": "pod", "namespace": world.namespace}})
    };
    let events = world.path("events.k8s.io/v1", "events");
    thief.may("POST", &events, event("perpro")).await;
    thief.may_not(POLICY, "POST", &events, event("kubelet")).await;
    Actor::admin(&world).sends("POST", &events, event("kubelet")).await.unwrap();
    let note = json!({"metadata": {"annotations": {"note": "all is well"}}});
    thief.may_not(POLICY, "PATCH", &format!("{events}/pod.1"), note.clone()).await;
    thief.may_not(Guard::Rbac, "PATCH", &world.path("v1", "events/pod.1"), note).await;
}
