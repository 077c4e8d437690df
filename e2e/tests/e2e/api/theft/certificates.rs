//! The certificate Job: two Secrets, and the CA of the webhook configurations.

use super::{FINALIZER, POLICY, is_no_way_out, with};
use crate::api::actors::{Actor, Guard};
use crate::common::World;
use perpro_e2e::install::NAMESPACE;
use serde_json::json;

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_stolen_token_of_the_certificate_job_keeps_two_secrets_and_the_ca_and_nothing_else() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    let thief = Actor::token(&world, NAMESPACE, "perpro-certs").await;
    is_no_way_out(&thief, &world).await;

    let secrets = format!("/api/v1/namespaces/{NAMESPACE}/secrets");
    let pair = |name: &str, kind: &str| json!({"metadata": {"name": name}, "type": kind, "stringData": {"tls.crt": "", "tls.key": ""}});
    for name in ["perpro-ca", "perpro-webhook-tls"] {
        thief.may("POST", &secrets, pair(name, "kubernetes.io/tls")).await;
        thief.may_not(POLICY, "POST", &secrets, pair(name, "Opaque")).await;
        thief.may_not(Guard::Rbac, "DELETE", &format!("{secrets}/{name}"), json!(null)).await;
    }
    thief.may_not(POLICY, "POST", &secrets, pair("other", "kubernetes.io/tls")).await;
    let mut token = pair("perpro-ca", "kubernetes.io/service-account-token");
    token["metadata"]["annotations"] = json!({"kubernetes.io/service-account.name": "perpro-controller"});
    thief.may_not(POLICY, "POST", &secrets, token).await;

    for kind in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        let all = format!("/apis/admissionregistration.k8s.io/v1/{kind}");
        let path = format!("{all}/perpro");
        let now = thief.sends("GET", &path, json!(null)).await.unwrap();
        let mut trusted = now.clone();
        trusted["webhooks"][0]["clientConfig"]["caBundle"] = json!("Q0E=");
        // The API server reads a caBundle: it must be PEM.
        let mut ca = now["webhooks"][0]["clientConfig"]["caBundle"].clone();
        std::mem::swap(&mut trusted["webhooks"][0]["clientConfig"]["caBundle"], &mut ca);
        trusted["webhooks"][1]["clientConfig"].as_object_mut().unwrap().remove("caBundle");
        thief.may("PUT", &path, trusted).await;
        for (field, value) in [
            ("failurePolicy", json!("Ignore")),
            ("namespaceSelector", json!({})),
            ("matchConditions", json!([{"name": "never", "expression": "false"}])),
            ("rules", json!([])),
            ("timeoutSeconds", json!(1)),
            ("clientConfig", json!({"url": "https://example.com"})),
        ] {
            let mut changed = now.clone();
            changed["webhooks"][0][field] = value;
            thief.may_not(POLICY, "PUT", &path, changed).await;
        }
        for metadata in [
            json!({"labels": {"a": "b"}}),
            json!({"annotations": {"a": "b"}}),
            json!({"finalizers": [FINALIZER]}),
        ] {
            thief.may_not(POLICY, "PUT", &path, with(now.clone(), json!({ "metadata": metadata }))).await;
        }
        let mut none = now.clone();
        none["webhooks"] = json!([]);
        thief.may_not(POLICY, "PUT", &path, none).await;
        thief.may_not(Guard::Rbac, "POST", &all, json!({"metadata": {"name": "mine"}})).await;
        thief.may_not(Guard::Rbac, "PATCH", &path, json!({"webhooks": []})).await;
    }
}
