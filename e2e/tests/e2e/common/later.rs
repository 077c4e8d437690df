//! Somebody else's webhook that is asked after perpro's, or before: a real one, served by the test itself, so the API
//! server must run on this machine.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use axum_server::tls_rustls::RustlsConfig;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};

use super::World;

/// What it says of a pod: nothing, no, or what to change (RFC 6902).
pub enum Answer {
    Allow,
    Deny(&'static str),
    Patch(Value),
}

type Decide = fn(&Value) -> Answer;

/// Whether it is asked before perpro's webhook or after.
#[derive(Clone, Copy, Debug)]
pub enum Turn {
    Before,
    After,
}

/// A webhook for the pods of one namespace.
pub struct Later {
    name: String,
    client: kube::Client,
    server: axum_server::Handle<std::net::SocketAddr>,
}

impl Later {
    /// Starts one that changes pods as `mutate` says, and judges them as `validate` does. The API server learns of it a
    /// moment later: wait until it shows.
    pub async fn start(world: &World, mutate: Decide, validate: Decide) -> Self {
        Self::start_in(world, Turn::After, mutate, validate).await
    }

    /// Starts one in its turn. Before, it is asked again when perpro has changed what it saw.
    pub async fn start_in(world: &World, turn: Turn, mutate: Decide, validate: Decide) -> Self {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let tls =
            RustlsConfig::from_pem(cert.pem().into(), signing_key.serialize_pem().into()).await.unwrap();
        let routes = Router::new()
            .route("/mutate", post(answer).with_state(mutate))
            .route("/validate", post(answer).with_state(validate));
        let server = axum_server::Handle::new();
        let listener = axum_server::bind_rustls(([127, 0, 0, 1], 0).into(), tls).handle(server.clone());
        tokio::spawn(listener.serve(routes.into_make_service()));
        let address = server.listening().await.unwrap();

        // Webhooks that change are asked in the order of their configurations' names.
        let name = match turn {
            Turn::Before => format!("aa-earlier-{}", world.namespace),
            Turn::After => format!("zz-later-{}", world.namespace),
        };
        let webhook = |path: &str| {
            let mut webhook = json!({
                "name": "later.perpro.test", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": format!("https://{address}/{path}"),
                    "caBundle": ByteString(cert.pem().into_bytes())},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}]
            });
            if path == "mutate" && matches!(turn, Turn::Before) {
                webhook["reinvocationPolicy"] = json!("IfNeeded");
            }
            webhook
        };
        let configuration = |path: &str| json!({"metadata": {"name": name}, "webhooks": [webhook(path)]});
        let params = PostParams::default();
        let client = world.client.clone();
        let object = serde_json::from_value(configuration("mutate")).unwrap();
        Api::<MutatingWebhookConfiguration>::all(client.clone()).create(&params, &object).await.unwrap();
        let object = serde_json::from_value(configuration("validate")).unwrap();
        Api::<ValidatingWebhookConfiguration>::all(client.clone()).create(&params, &object).await.unwrap();
        Self { name, client, server }
    }

    /// Nobody is asked any more. A test that fails leaves it, for its own namespace alone.
    pub async fn end(self) {
        let params = DeleteParams::default();
        Api::<MutatingWebhookConfiguration>::all(self.client.clone())
            .delete(&self.name, &params)
            .await
            .unwrap();
        Api::<ValidatingWebhookConfiguration>::all(self.client).delete(&self.name, &params).await.unwrap();
        self.server.shutdown();
    }
}

async fn answer(State(decide): State<Decide>, Json(review): Json<Value>) -> Json<Value> {
    let request = &review["request"];
    let mut response = json!({"uid": request["uid"], "allowed": true});
    match decide(&request["object"]) {
        Answer::Allow => {}
        Answer::Deny(why) => {
            response["allowed"] = json!(false);
            response["status"] = json!({"message": why});
        }
        Answer::Patch(patch) => {
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(ByteString(patch.to_string().into_bytes()));
        }
    }
    Json(json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}))
}
