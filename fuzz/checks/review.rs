//! AdmissionReviews: the bytes that come, and the bytes that go back.

use crate::webhook::answer::Answer;
use crate::webhook::review::{Review, Subject};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use perpro_core::decide::admit::Context;
use perpro_core::decide::ceiling::Ceiling;
use perpro_core::decide::check::as_stored;
use perpro_core::decide::pod::AgentPod;
use perpro_core::decide::rehearse::{placeholder, rehearse};
use perpro_core::model::{Identity, SecretOwners};
use serde_json::{Value, json};

/// Pods, and what else a path is ever asked about.
const SUBJECT: Subject =
    Subject { groups: &[""], version: "v1", kinds: &["Pod"], namespaced: true, operations: &["CREATE"] };

/// Whatever is added to the pod and said of it, for each byte of the review; far more than is ever needed.
const GROWS: usize = 40;

fn identity() -> Identity {
    let written = json!({"metadata": {"name": "reader"}, "spec": {
        "owner": {"kind": "User", "name": "jane@example.com"}, "expiresAt": "2036-01-01T00:00:00Z",
        "justification": "Reads feedback.",
        "secrets": [{"name": "crm", "rotateBy": "2036-01-01T00:00:00Z"}],
        "containers": [{"name": "agent", "kubernetesAccess": "Token",
            "secretKeys": [{"secret": "crm", "key": "api-key", "env": "CRM_API_KEY", "path": "crm/key"}]}],
    }});
    let written = serde_json::from_value(written).unwrap_or_else(|error| panic!("{error}"));
    let now = "2026-06-01T00:00:00Z".parse().unwrap_or_else(|error| panic!("{error}"));
    as_stored(written, "ns", None, 0, now)
}

/// From a review to its answer, as when a pod is created under an identity that is known.
pub fn check(bytes: &[u8]) {
    let review = match Review::parse(bytes, &SUBJECT) {
        Ok(review) => review,
        Err(error) => {
            assert!(error.ends_with('\n') && error.len() <= 2 * bytes.len() + 1000, "{error}");
            return;
        }
    };
    let (object, answer, made) = answer(&review);
    let refused = !answer.refusals.is_empty();
    let reply = serde_json::to_vec(&answer.respond(&review).0).unwrap_or_else(|error| panic!("{error}"));
    assert!(reply.len() <= GROWS * bytes.len() + 60_000, "{} bytes for {}", reply.len(), bytes.len());
    let reply: Value = serde_json::from_slice(&reply).unwrap_or_else(|error| panic!("{error}"));
    let response = &reply["response"];
    assert_eq!((&response["uid"], &response["allowed"]), (&json!(review.request.uid), &json!(!refused)));
    let patch = response["patch"].as_str().map(|patch| {
        let patch = BASE64_STANDARD.decode(patch).unwrap_or_else(|error| panic!("{error}"));
        serde_json::from_slice::<json_patch::Patch>(&patch).unwrap_or_else(|error| panic!("{error}"))
    });
    assert!(!(refused && patch.is_some()), "a refused pod is patched: {reply}");
    if let (Some(mut object), false) = (object, refused) {
        json_patch::patch(&mut object, &patch.unwrap_or_default()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(Some(object), made, "the patch makes another pod than was judged");
    }
}

/// The pod as it came, what is answered, and the pod that was judged.
fn answer(review: &Review<'_>) -> (Option<Value>, Answer, Option<Value>) {
    let read = match AgentPod::parse(review.request.object.text()) {
        Ok(read) => read,
        Err(refusal) => return (None, Answer::refuse(refusal), None),
    };
    let raw: &Value = &review.request.object;
    let (identity, owners, ceiling) = (identity(), SecretOwners::default(), Ceiling::default());
    let context = Context { identity: &identity, owners: &owners, ceiling: &ceiling, now: identity.created };
    let (made, verdict) = rehearse(raw, &read, &placeholder(&identity.name), context);
    let patch = Some(json_patch::diff(raw, &made));
    let answer =
        Answer { refusals: verdict.refusals, warnings: verdict.warnings, patch, ..Answer::default() };
    (Some(raw.clone()), answer, Some(made))
}
