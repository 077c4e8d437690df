//! What the policy withholds where RBAC would give it.

use super::{POLICY, RBAC};
use crate::api::actors::Actor;
use crate::common::{World, pod, when};
use perpro_e2e::install::NAMESPACE;
use serde_json::{Value, json};

/// A certificate and its key, as the certificate Job stores them.
fn pair(name: &str) -> Value {
    json!({"metadata": {"name": name}, "type": "kubernetes.io/tls", "stringData": {"tls.crt": "", "tls.key": ""}})
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_rbac_gives_too_much_the_policy_takes_back() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    let admin = Actor::admin(&world);
    let plain = World::new("").await;
    let leases = plain.path("coordination.k8s.io/v1", "leases");
    let secrets = plain.path("v1", "secrets");
    let fresh = json!({"metadata": {"name": "perpro-controller"}, "spec": {"holderIdentity": "x"}});
    let secret = pair("perpro-ca");
    // A Lease is replaced at a version, or not at all.
    let lease = admin.sends("POST", &leases, fresh.clone()).await.unwrap();
    admin.sends("POST", &secrets, secret.clone()).await.unwrap();
    let service = json!({"metadata": {"name": "perpro-webhook"}, "spec": {"ports": [{"port": 443}]}});
    admin.sends("POST", &plain.path("v1", "services"), service).await.unwrap();
    admin.sends("POST", &plain.path("v1", "pods"), json!(pod(json!({})))).await.unwrap();

    for account in ["perpro-webhook", "perpro-controller", "perpro-certs"] {
        plain
            .bind(&format!("system:serviceaccount:{NAMESPACE}:{account}"), "ClusterRole", "cluster-admin")
            .await;
        let thief = Actor::token(&world, NAMESPACE, account).await;
        for (method, path, body) in [
            ("POST", plain.path("v1", "configmaps"), json!({"metadata": {"name": "x"}})),
            ("POST", plain.path("v1", "pods"), json!(pod(json!({"metadata": {"name": "new"}})))),
            ("POST", secrets.clone(), json!({"metadata": {"name": "x"}})),
            ("POST", secrets.clone(), pair("perpro-webhook-tls")),
            ("PUT", format!("{secrets}/perpro-ca"), secret.clone()),
            ("DELETE", format!("{secrets}/perpro-ca"), json!(null)),
            ("DELETE", plain.path("v1", "services/perpro-webhook"), json!(null)),
            ("DELETE", plain.path("v1", "pods/pod"), json!(null)),
            ("DELETE", plain.path("v1", "pods"), json!(null)),
            ("PATCH", plain.path("v1", "pods/pod"), json!({"metadata": {"labels": {"a": "b"}}})),
            ("PATCH", plain.path("v1", "pods/pod/status"), json!({"metadata": {"labels": {"a": "b"}}})),
            ("POST", plain.path("v1", "pods/pod/eviction"), json!({"metadata": {"name": "pod"}})),
            ("POST", plain.path("v1", "serviceaccounts/default/token"), json!({"spec": {"audiences": []}})),
            ("DELETE", plain.path("v1", "serviceaccounts"), json!(null)),
            ("POST", leases.clone(), fresh.clone()),
            ("PUT", format!("{leases}/perpro-controller"), lease.clone()),
            ("DELETE", format!("{leases}/perpro-controller"), json!(null)),
            (
                "PATCH",
                format!("/api/v1/namespaces/{}", plain.namespace),
                json!({"metadata": {"labels": {"a": "b"}}}),
            ),
        ] {
            thief.may_not(POLICY, method, &path, body).await;
        }
        // There is no dry run of it, and no node that could carry it out.
        let exec = plain.path("v1", "pods/pod/exec?command=sh&container=agent");
        let refused = thief.sends("POST", &exec, json!(null)).await.unwrap_err();
        assert!(refused.contains("denied request: AID086"), "{refused}");
        thief.may("GET", &secrets, json!(null)).await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn among_its_like_each_process_keeps_to_the_objects_that_have_its_names() {
    let world = World::new("all").await;
    let admin = Actor::admin(&world);
    let name = format!("test-{}", world.namespace);
    let (core, leases, admission) = ("", "coordination.k8s.io", "admissionregistration.k8s.io");
    let configuration = || {
        json!({"metadata": {"name": name}, "webhooks": [{"name": "a.example.com", "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "clientConfig": {"url": "https://localhost"}}]})
    };
    let service = json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 443}]}});
    let lease = json!({"metadata": {"name": name}, "spec": {"holderIdentity": "x"}});
    // Of which kind, and which account tries what with an object that is not perpro's.
    for (group, resource, object, tries) in [
        (leases, "leases", lease, &[("perpro-controller", "PUT")][..]),
        (core, "secrets", pair(&name), &[("perpro-certs", "PUT"), ("perpro-controller", "DELETE")]),
        (core, "services", service, &[("perpro-controller", "DELETE")]),
        (admission, "mutatingwebhookconfigurations", configuration(), &[("perpro-certs", "PUT")]),
        (admission, "validatingwebhookconfigurations", configuration(), &[("perpro-certs", "PUT")]),
    ] {
        let root = if group == core { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") };
        let inside = if group == admission { String::new() } else { format!("/namespaces/{NAMESPACE}") };
        let all = format!("{root}{inside}/{resource}");
        let object = admin.sends("POST", &all, object).await.unwrap();

        let names = json!({"name": format!("{name}-{resource}")});
        let role = json!({"metadata": names, "rules": [{"apiGroups": [group], "resources": [resource],
            "resourceNames": [name], "verbs": ["update", "delete"]}]});
        let user = |account: &str| {
            json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User",
                "name": format!("system:serviceaccount:{NAMESPACE}:{account}")})
        };
        let users: Vec<_> = tries.iter().map(|(account, _)| user(account)).collect();
        let binding = json!({"metadata": names, "subjects": users, "roleRef":
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": names["name"]}});
        for (resource, object) in [("clusterroles", role), ("clusterrolebindings", binding)] {
            admin.sends("POST", &format!("/apis/{RBAC}/{resource}"), object).await.unwrap();
        }
        let path = format!("{all}/{name}");
        for (account, method) in tries {
            let thief = Actor::token(&world, NAMESPACE, account).await;
            let body = if *method == "PUT" { object.clone() } else { json!(null) };
            world
                .eventually("the role should count", async || {
                    let refused = thief.asks(method, &path, body.clone()).await.err();
                    let by_rbac = refused.as_ref().is_some_and(|e| e.contains(" cannot "));
                    when(!by_rbac, &format!("{refused:?}"))
                })
                .await;
            thief.may_not(POLICY, method, &path, body).await;
        }
        let rbac =
            ["clusterrolebindings", "clusterroles"].map(|r| format!("/apis/{RBAC}/{r}/{name}-{resource}"));
        for path in rbac.iter().chain([&path]) {
            admin.sends("DELETE", path, json!(null)).await.unwrap();
        }
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn nobodys_token_of_ours_impersonates() {
    let world = World::new("all").await;
    for account in ["perpro-webhook", "perpro-controller", "perpro-certs"] {
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
            "user": format!("system:serviceaccount:{NAMESPACE}:{account}"),
            "resourceAttributes": {"verb": "impersonate", "resource": "users"}}});
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let answer = Actor::admin(&world).sends("POST", path, review).await.unwrap();
        assert_eq!(answer["status"]["allowed"], false, "{account}");
    }
}
