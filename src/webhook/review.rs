//! AdmissionReview (admission.k8s.io/v1) as bytes, and what it asks.
//!
//! The object stays raw JSON: the patch must keep fields that our types don't know.

use crate::runtime::lean;
use perpro_core::decide::pod::AgentPod;
use perpro_core::decide::refusal::Refusal;
use perpro_core::names;
use perpro_core::review::{self, Kind};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::ops::Deref;
use std::sync::OnceLock;

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

#[cfg(test)]
mod tests {
    use super::super::pods;
    use super::*;
    use rstest::rstest;
    use serde_json::json;

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
