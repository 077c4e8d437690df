//! AdmissionReview (admission.k8s.io/v1) as bytes in, and a verdict as a review out.
//!
//! The object stays raw JSON: the patch must keep fields that our types don't know.

use axum::Json;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use json_patch::Patch;
use perpro_core::decide::refusal::{Refusal, summary};
use perpro_core::names;
use serde::Deserialize;
use serde_json::{Value, json};

/// Most causes in an answer: a small pod can earn very many refusals.
const MAX_CAUSES: usize = 50;

/// What the API server asks.
#[derive(Debug)]
pub(super) struct Review {
    pub(super) request: Request,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    pub(super) uid: String,
    pub(super) kind: Kind,
    #[serde(default)]
    pub(super) namespace: String,
    pub(super) operation: String,
    #[serde(default)]
    pub(super) user_info: UserInfo,
    #[serde(default)]
    pub(super) object: Value,
    #[serde(default)]
    pub(super) dry_run: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Kind {
    #[serde(default)]
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct UserInfo {
    #[serde(default)]
    pub(super) groups: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    api_version: String,
    kind: String,
    request: Option<Request>,
}

impl Review {
    /// Reads a review of a pod's creation.
    ///
    /// # Errors
    /// What is wrong with it, for a 400: nothing else is ever sent here by an API server with our
    /// configurations.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let envelope: Envelope =
            serde_json::from_slice(body).map_err(|e| format!("not an AdmissionReview: {e}\n"))?;
        if envelope.api_version != "admission.k8s.io/v1" || envelope.kind != "AdmissionReview" {
            return Err("send an AdmissionReview of admission.k8s.io/v1\n".to_owned());
        }
        let request = envelope.request.ok_or("the AdmissionReview has no request\n")?;
        let Kind { group, version, kind } = &request.kind;
        if (group.as_str(), version.as_str(), kind.as_str(), request.operation.as_str())
            != ("", "v1", "Pod", "CREATE")
        {
            return Err("this path decides on the creation of v1 Pods\n".to_owned());
        }
        if !names::is_dns_label(&request.namespace) {
            return Err("the request names no namespace\n".to_owned());
        }
        Ok(Self { request })
    }
}

/// The answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) refusals: Vec<Refusal>,
    pub(super) warnings: Vec<Refusal>,
    pub(super) patch: Option<Patch>,
    /// Audit annotations: what the API server's audit log keeps of the decision.
    pub(super) audit: Vec<(&'static str, String)>,
}

impl Answer {
    /// Refuses for one reason.
    pub(super) fn refuse(refusal: Refusal) -> Self {
        Self { refusals: vec![refusal], ..Self::default() }
    }

    /// The review that carries the answer.
    pub(super) fn respond(self, review: &Review) -> Json<Value> {
        let allowed = self.refusals.is_empty();
        let mut response = json!({
            "uid": review.request.uid,
            "allowed": allowed,
            "warnings": self.warnings.iter().map(|w| format!("perpro {w}")).collect::<Vec<_>>(),
        });
        let mut audit: serde_json::Map<_, _> =
            self.audit.into_iter().map(|(k, v)| (k.to_owned(), json!(v))).collect();
        if !allowed {
            let causes: Vec<_> = self
                .refusals
                .iter()
                .take(MAX_CAUSES)
                .map(|r| json!({ "reason": r.code(), "field": r.path, "message": r.reason.to_string() }))
                .collect();
            response["status"] = json!({
                "code": 403, "status": "Failure", "reason": "Forbidden",
                "message": summary(&self.refusals), "details": { "causes": causes },
            });
            audit.insert("code".to_owned(), json!(self.refusals[0].code()));
        }
        if let Some(patch) = self.patch.filter(|p| allowed && !p.is_empty()) {
            let bytes = serde_json::to_vec(&patch).unwrap_or_default();
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(BASE64_STANDARD.encode(bytes));
        }
        response["auditAnnotations"] = Value::Object(audit);
        Json(json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn body(change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": { "uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": "ns",
                "operation": "CREATE", "userInfo": {"username": "jane"}, "object": {"spec": {}} }
        });
        change(&mut review);
        serde_json::to_vec(&review).unwrap()
    }

    #[test]
    fn reads_the_creation_of_a_pod() {
        let review = Review::parse(&body(|_| {})).unwrap();
        assert_eq!((review.request.namespace.as_str(), review.request.dry_run), ("ns", None));
    }

    #[rstest]
    #[case::empty(vec![])]
    #[case::no_utf8(vec![b'{', 0xff, b'}'])]
    #[case::too_deep("[".repeat(100_000).into_bytes())]
    #[case::unknown_version(body(|r| r["apiVersion"] = json!("admission.k8s.io/v1beta1")))]
    #[case::wrong_kind(body(|r| r["kind"] = json!("Status")))]
    #[case::no_request(body(|r| r["request"] = Value::Null))]
    #[case::another_object(body(|r| r["request"]["kind"]["kind"] = json!("Service")))]
    #[case::another_operation(body(|r| r["request"]["operation"] = json!("DELETE")))]
    #[case::path_for_a_namespace(body(|r| r["request"]["namespace"] = json!("../kube-system")))]
    #[case::no_namespace(body(|r| r["request"]["namespace"] = json!("")))]
    fn answers_rubbish_with_words(#[case] body: Vec<u8>) {
        assert!(Review::parse(&body).unwrap_err().ends_with('\n'));
    }
}
