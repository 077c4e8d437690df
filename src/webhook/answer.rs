//! A verdict as an AdmissionReview (admission.k8s.io/v1).

use super::review::Review;
use axum::Json;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use json_patch::Patch;
use perpro_core::decide::refusal::{Reason, Refusal, summary};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most causes in an answer, and most warnings: a small pod can earn very many.
const MAX_CAUSES: usize = 50;

/// The answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) refusals: Vec<Refusal>,
    pub(super) warnings: Vec<Refusal>,
    /// Code with which pods are refused later, or would be: here nothing is refused.
    pub(super) would_refuse: Option<&'static str>,
    /// Warnings as they are shown.
    pub(super) advice: Vec<String>,
    pub(super) patch: Option<Patch>,
    /// Audit annotations: what the API server's audit log keeps of the decision.
    pub(super) audit: Vec<(&'static str, String)>,
}

impl Answer {
    /// Refuses what the types can't read: nobody could say what it grants.
    pub(super) fn unreadable() -> Self {
        let error = "a field has another type than the definition of the kind says".to_owned();
        Self::refuse(Refusal::at("object", Reason::Unreadable { error }))
    }

    /// Refuses for one reason.
    pub(super) fn refuse(refusal: Refusal) -> Self {
        Self { refusals: vec![refusal], ..Self::default() }
    }

    /// The account that was minted for the pod.
    pub(super) fn account(&self) -> Option<&str> {
        self.audit.iter().find(|(key, _)| *key == "account").map(|(_, account)| account.as_str())
    }

    /// The review that carries the answer.
    pub(super) fn respond<'a>(self, review: &'a Review<'_>) -> Json<Reply<'a>> {
        let allowed = self.refusals.is_empty();
        let mut audit_annotations = BTreeMap::from_iter(self.audit);
        audit_annotations.extend(self.would_refuse.map(|code| ("would-refuse", code.to_owned())));
        let status = self.refusals.first().map(|first| {
            audit_annotations.insert("code", first.code().to_owned());
            let causes: Vec<_> = self
                .refusals
                .iter()
                .take(MAX_CAUSES)
                .map(|r| json!({ "reason": r.code(), "field": r.path, "message": r.reason.to_string() }))
                .collect();
            json!({
                "code": 403, "status": "Failure", "reason": "Forbidden",
                "message": summary(&self.refusals), "details": { "causes": causes },
            })
        });
        let patch = self.patch.filter(|p| allowed && !p.is_empty());
        let patch = patch.map(|p| BASE64_STANDARD.encode(serde_json::to_vec(&p).unwrap_or_default()));
        let response = Response {
            uid: &review.request.uid,
            allowed,
            status,
            warnings: self
                .warnings
                .iter()
                .take(MAX_CAUSES)
                .map(|w| format!("perpro {w}"))
                .chain(self.advice)
                .collect(),
            patch_type: patch.is_some().then_some("JSONPatch"),
            patch,
            audit_annotations,
        };
        Json(Reply { api_version: "admission.k8s.io/v1", kind: "AdmissionReview", response })
    }
}

/// What the API server is answered (admission.k8s.io/v1 `AdmissionReview`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reply<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    /// Base64 of a JSON patch.
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<&'static str, String>,
}

#[cfg(test)]
mod tests {
    use super::super::pods;
    use super::*;

    /// What is answered, as the API server reads it.
    fn response(answer: Answer) -> Value {
        let body = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": { "uid": "u", "kind": {"version": "v1", "kind": "Pod"}, "namespace": "ns", "operation": "CREATE" }
        });
        let body = body.to_string();
        let review = Review::parse(body.as_bytes(), &pods::SUBJECT).unwrap();
        let reply = serde_json::to_value(answer.respond(&review).0).unwrap();
        assert_eq!(
            (&reply["apiVersion"], &reply["kind"]),
            (&json!("admission.k8s.io/v1"), &json!("AdmissionReview"))
        );
        reply["response"].clone()
    }

    #[test]
    fn a_plain_yes_says_nothing_more() {
        assert_eq!(response(Answer::default()), json!({"uid": "u", "allowed": true}));
    }

    #[test]
    fn a_yes_carries_its_patch_and_what_the_audit_log_keeps() {
        let patch = json_patch::diff(&json!({}), &json!({"a": 1}));
        let answer =
            Answer { patch: Some(patch), audit: vec![("account", "x".to_owned())], ..Answer::default() };
        let patch = BASE64_STANDARD.encode(r#"[{"op":"add","path":"/a","value":1}]"#);
        assert_eq!(
            response(answer),
            json!({"uid": "u", "allowed": true, "patchType": "JSONPatch", "patch": patch, "auditAnnotations": {"account": "x"}})
        );
    }

    #[test]
    fn a_no_is_a_403_with_every_cause_and_no_patch() {
        let patch = json_patch::diff(&json!({}), &json!({"a": 1}));
        let response = response(Answer { patch: Some(patch), ..Answer::unreadable() });
        let refusal = &Answer::unreadable().refusals[0];
        assert_eq!(response["allowed"], false);
        assert_eq!(
            (&response["status"]["code"], &response["status"]["reason"]),
            (&json!(403), &json!("Forbidden"))
        );
        assert!(response["status"]["message"].as_str().unwrap().starts_with(refusal.code()));
        let cause =
            json!({"reason": refusal.code(), "field": "object", "message": refusal.reason.to_string()});
        assert_eq!(response["status"]["details"]["causes"], json!([cause]));
        assert_eq!(response["auditAnnotations"], json!({"code": refusal.code()}));
        assert!(response.get("patch").is_none() && response.get("patchType").is_none());
    }

    #[test]
    fn of_very_many_warnings_some_are_told() {
        let warning = Refusal::at("spec.x", Reason::SkippedField { field: "spec.x".to_owned() });
        let response = response(Answer { warnings: vec![warning; 10_000], ..Answer::default() });
        assert_eq!(response["warnings"].as_array().unwrap().len(), MAX_CAUSES);
    }
}
