//! The fields of a pod that a real API server has: each is one that perpro's types know, and with them the tests of the
//! decision, which classify every field of the types.

#[allow(dead_code, reason = "the tests of the decision use all of it")]
#[path = "../../../../core/tests/decision/fields/schema.rs"]
mod schema;

use crate::common::World;
use k8s_openapi::api::core::v1::PodSpec;
use schema::Schema;

#[tokio::test]
#[ignore = "needs a cluster"]
async fn every_field_of_a_pod_that_the_api_server_has_is_known_to_the_decision() {
    let world = World::new("all").await;
    let request = http::Request::get("/openapi/v3/api/v1").body(Vec::new()).unwrap();
    let document = serde_json::from_str(&world.client.request_text(request).await.unwrap()).unwrap();
    let served = Schema::at(document, "/components/schemas/io.k8s.api.core.v1.PodSpec").paths("spec").0;
    let known = Schema::at(schemars::schema_for!(PodSpec).to_value(), "").paths("spec").0;
    let unknown: Vec<_> = served.difference(&known).collect();
    assert!(served.len() > 700, "{}", served.len());
    assert!(unknown.is_empty(), "build perpro with the types of a newer API: {unknown:#?}");
}
