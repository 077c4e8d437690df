//! AdmissionReview (admission.k8s.io/v1) as bytes in, and a verdict as a review out.
//!
//! The object stays raw JSON: the patch must keep fields that our types don't know.

use crate::runtime::lean;
use axum::Json;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use json_patch::Patch;
use perpro_core::decide::pod::AgentPod;
use perpro_core::decide::refusal::{Reason, Refusal, summary};
use perpro_core::names;
use perpro_core::review::{self, Kind};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::OnceLock;

/// Most causes in an answer, and most warnings: a small pod can earn very many.
const MAX_CAUSES: usize = 50;

/// What the API server asks.
#[derive(Debug)]
pub(super) struct Review<'a> {
    pub(super) request: Request<'a>,
}

pub(super) type Request<'a> = review::Request<Object<'a>>;

/// An object as it was sent. As text and as JSON it is there for whoever looks: a pod that is only to be validated is
/// read by type with the review around it, which is cheaper than either.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "Option<&'a RawValue>", bound(deserialize = "'de: 'a"))]
pub(super) struct Object<'a> {
    text: Text<'a>,
    json: OnceLock<Value>,
}

#[derive(Debug)]
enum Text<'a> {
    Sent(Option<&'a RawValue>),
    /// The object of this review.
    Of(&'a str),
}

impl Default for Text<'_> {
    fn default() -> Self {
        Self::Sent(None)
    }
}

impl<'a> From<Option<&'a RawValue>> for Object<'a> {
    fn from(text: Option<&'a RawValue>) -> Self {
        Self { text: Text::Sent(text), json: OnceLock::new() }
    }
}

impl<'a> Object<'a> {
    /// The text, for a parser of one's own.
    pub(super) fn text(&self) -> &'a str {
        let sent = match self.text {
            Text::Sent(text) => text,
            Text::Of(review) => {
                let review = serde_json::from_str::<review::Review<Object<'a>>>(review);
                review.ok().and_then(|review| review.request).and_then(|request| match request.object.text {
                    Text::Sent(text) => text,
                    Text::Of(_) => None,
                })
            }
        };
        sent.map_or("null", RawValue::get)
    }
}

impl Deref for Object<'_> {
    type Target = Value;

    /// Without managed fields; null for what else is nested deeper than the parser goes, as for
    /// what is not there.
    fn deref(&self) -> &Value {
        let read = || lean::read(self.text()).unwrap_or_default();
        self.json.get_or_init(read)
    }
}

/// What a path decides on; nothing else is ever sent there by an API server with our
/// configurations.
pub(super) struct Subject {
    pub(super) groups: &'static [&'static str],
    pub(super) version: &'static str,
    pub(super) kinds: &'static [&'static str],
    pub(super) namespaced: bool,
    pub(super) operations: &'static [&'static str],
}

impl<'a> Review<'a> {
    /// Reads a review of what `subject` names.
    ///
    /// # Errors
    /// What is wrong with it, for a 400.
    pub(super) fn parse(body: &'a [u8], subject: &Subject) -> Result<Self, String> {
        let review = serde_json::from_slice(body).map_err(|e| format!("not an AdmissionReview: {e}\n"))?;
        Ok(Self { request: subject.request(review)? })
    }

    /// Reads a review of a pod, and the pod.
    ///
    /// # Errors
    /// What is wrong with the review, for a 400.
    pub(super) fn of_pod(
        body: &'a [u8],
        subject: &Subject,
    ) -> Result<(Self, Result<AgentPod, Refusal>), String> {
        if let Some(text) = str::from_utf8(body).ok()
            && let Ok(review) = review::of_pod(text)
        {
            let mut request = subject.request(review)?;
            if let Some(pod) = request.object.take() {
                let object = Object { text: Text::Of(text), json: OnceLock::new() };
                return Ok((Self { request: request.with(object, Object::default()) }, Ok(pod)));
            }
        }
        let review = Self::parse(body, subject)?;
        let pod = AgentPod::parse(review.request.object.text());
        Ok((review, pod))
    }
}

impl Subject {
    /// The request of a review, if it is about this.
    fn request<O>(&self, review: review::Review<O>) -> Result<review::Request<O>, String> {
        if review.api_version != "admission.k8s.io/v1" || review.kind != "AdmissionReview" {
            return Err("send an AdmissionReview of admission.k8s.io/v1\n".to_owned());
        }
        let request = review.request.ok_or("the AdmissionReview has no request\n")?;
        let Kind { group, version, kind } = &request.kind;
        if !self.groups.contains(&group.as_str())
            || version != self.version
            || !self.kinds.contains(&kind.as_str())
            || !self.operations.contains(&request.operation.as_str())
        {
            return Err(format!(
                "this path decides on {} of {}\n",
                self.operations.join(", "),
                self.kinds.join(", ")
            ));
        }
        if self.namespaced && !names::is_dns_label(&request.namespace) {
            return Err("the request names no namespace\n".to_owned());
        }
        Ok(request)
    }
}

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
        let body = body(|_| {});
        let review = Review::parse(&body, &pods::SUBJECT).unwrap();
        assert_eq!((review.request.namespace.as_str(), review.request.dry_run), ("ns", None));
    }

    #[test]
    fn an_object_is_there_as_text_and_as_json() {
        let body = body(|r| r["request"]["object"] = json!({"spec": {"x": [1]}}));
        let review = Review::parse(&body, &pods::SUBJECT).unwrap();
        assert_eq!(review.request.object.text(), r#"{"spec":{"x":[1]}}"#);
        assert_eq!(review.request.object["spec"]["x"][0], 1);
        assert!(review.request.old_object.is_null());
    }

    /// What is answered, as the API server reads it.
    fn response(answer: Answer) -> Value {
        let body = body(|_| {});
        let review = Review::parse(&body, &pods::SUBJECT).unwrap();
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
        assert!(Review::parse(&body, &pods::SUBJECT).unwrap_err().ends_with('\n'));
    }
}
