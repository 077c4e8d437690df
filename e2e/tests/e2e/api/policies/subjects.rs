//! Nobody lends an agent's account more than its identity lists.

use super::{RBAC, running};
use crate::api::actors::{Actor, Guard};
use crate::common::{World, when};
use serde_json::{Value, json};

const SUBJECTS: Guard = Guard::Policy("AID094");
const EVERYWHERE: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";

fn account(namespace: &str, name: &str) -> Value {
    json!({"kind": "ServiceAccount", "name": name, "namespace": namespace})
}

fn other(kind: &str, name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name})
}

fn binding(role: &str, subjects: &[Value]) -> Value {
    json!({"metadata": {"generateName": "more-"}, "subjects": subjects,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}})
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn nobody_binds_another_role_to_an_agents_account_however_it_is_spelled() {
    let (world, agent) = running().await;
    let ungoverned = World::new("").await;
    let (here, admin) = (&world.namespace, Actor::admin(&world));
    let eve = Actor::person(&world, "eve", "admin").await;
    let good = [account(here, "default"), other("User", &format!("system:serviceaccount:{here}:default"))];
    for wrong in [account(here, &agent), other("User", &format!("system:serviceaccount:{here}:{agent}"))] {
        let subjects = [good[0].clone(), wrong];
        eve.may_not(SUBJECTS, "POST", &world.path(RBAC, "rolebindings"), binding("view", &subjects)).await;
        for path in
            [world.path(RBAC, "rolebindings"), ungoverned.path(RBAC, "rolebindings"), EVERYWHERE.to_owned()]
        {
            admin.may_not(SUBJECTS, "POST", &path, binding("view", &subjects)).await;
        }
    }
    eve.may("POST", &world.path(RBAC, "rolebindings"), binding("view", &good)).await;
    for path in [world.path(RBAC, "rolebindings"), EVERYWHERE.to_owned()] {
        admin.may("POST", &path, binding("view", &good)).await;
        let mut named = binding("view", &good);
        named["metadata"] = json!({"name": world.namespace});
        admin.sends("POST", &path, named).await.unwrap();
        let more = json!({"subjects": [good[0], account(here, &agent)]});
        admin.may_not(SUBJECTS, "PATCH", &format!("{path}/{here}"), more).await;
        admin.may("PATCH", &format!("{path}/{here}"), json!({"subjects": [good[0]]})).await;
        admin.sends("DELETE", &format!("{path}/{here}"), json!(null)).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn where_agents_are_governed_no_role_is_bound_to_all_accounts() {
    let world = World::new("").await;
    let admin = Actor::admin(&world);
    let path = world.path(RBAC, "rolebindings");
    let all = [
        other("Group", "system:serviceaccounts"),
        other("Group", &format!("system:serviceaccounts:{}", world.namespace)),
    ];
    let mut older = binding("view", &all);
    older["metadata"] = json!({"name": "older"});
    admin.sends("POST", &path, older).await.unwrap();

    let label = json!({"metadata": {"labels": {"perpro.dev/enforce": "all"}}});
    admin.sends("PATCH", &format!("/api/v1/namespaces/{}", world.namespace), label).await.unwrap();
    world
        .eventually("the label should count", async || {
            let made = admin.asks("POST", &path, binding("view", &all)).await;
            when(made.is_err_and(|e| e.contains("AID094")), "it does not")
        })
        .await;
    let elsewhere = other("Group", "system:serviceaccounts:elsewhere");
    for group in all.iter().chain([&elsewhere]) {
        admin.may_not(SUBJECTS, "POST", &path, binding("view", std::slice::from_ref(group))).await;
    }
    let mut namesake = binding("system:image-puller", &all);
    namesake["roleRef"]["kind"] = json!("Role");
    admin.may_not(SUBJECTS, "POST", &path, namesake).await;
    admin.may("POST", &path, binding("system:image-puller", &all)).await;
    admin.may("POST", EVERYWHERE, binding("view", &all)).await;

    // What was bound before stays, and can be taken back.
    let older = format!("{path}/older");
    admin.may("PATCH", &older, json!({"metadata": {"labels": {"a": "b"}}})).await;
    admin.may("PATCH", &older, json!({"subjects": [all[0]]})).await;
    let agents = json!({"subjects": [all[0], account(&world.namespace, "aid-bot-0123456789")]});
    admin.may_not(SUBJECTS, "PATCH", &older, agents).await;
}
