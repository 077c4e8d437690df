//! What an API server asks an admission webhook: an AdmissionReview (admission.k8s.io/v1), as far as anybody reads it.

use crate::decide::pod::AgentPod;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The review; `O` is how its objects are read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "O: Default + Deserialize<'de>"))]
pub struct Review<O> {
    /// `admission.k8s.io/v1`, or it is another API's.
    pub api_version: String,
    /// `AdmissionReview`.
    pub kind: String,
    /// The question.
    pub request: Option<Request<O>>,
}

/// The question.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<O> {
    /// What the answer must repeat.
    pub uid: String,
    /// Kind of the object.
    pub kind: Kind,
    /// Namespace; empty for what has none.
    #[serde(default)]
    pub namespace: String,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: String,
    /// Who asks.
    #[serde(default)]
    pub user_info: UserInfo,
    /// Name; empty where one is generated.
    #[serde(default)]
    pub name: String,
    /// Subresource; empty for the object itself.
    #[serde(default)]
    pub sub_resource: String,
    /// The object as it would be.
    #[serde(default)]
    pub object: O,
    /// The object as it is.
    #[serde(default)]
    pub old_object: O,
    /// Whether nothing may come of it.
    #[serde(default)]
    pub dry_run: Option<bool>,
}

/// A kind (meta/v1 `GroupVersionKind`).
#[derive(Debug, Deserialize)]
pub struct Kind {
    /// API group; "" is the core group.
    #[serde(default)]
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
}

/// Who asks (authentication.k8s.io/v1 `UserInfo`).
#[derive(Debug, Default, Deserialize)]
pub struct UserInfo {
    /// User name.
    #[serde(default)]
    pub username: String,
    /// UID, where the authenticator knows one.
    #[serde(default)]
    pub uid: Option<String>,
    /// Groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// What else the authenticator says.
    #[serde(default)]
    pub extra: BTreeMap<String, Vec<String>>,
}

impl<O> Request<O> {
    /// The same question with its objects read in another way.
    #[must_use]
    pub fn with<P>(self, object: P, old_object: P) -> Request<P> {
        let Self { uid, kind, namespace, operation, user_info, name, sub_resource, dry_run, .. } = self;
        Request {
            uid,
            kind,
            namespace,
            operation,
            user_info,
            name,
            sub_resource,
            object,
            old_object,
            dry_run,
        }
    }
}

/// Reads a review of a pod, and in the same pass the pod by its type. Here and not where it is asked for, so that the
/// types of a pod are compiled once: they are a tenth of the program.
///
/// # Errors
/// When either can't be read. Reading the pod alone ([`AgentPod::parse`]) tells at which of its fields.
pub fn of_pod(json: &str) -> serde_json::Result<Review<Option<AgentPod>>> {
    serde_json::from_str(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_is_read_with_its_review_as_it_is_read_alone() {
        let pod = json!({"metadata": {"name": "web-0", "managedFields": [{"x": 1}], "labels": {"a": "b"}},
            "spec": {"containers": [{"name": "agent", "env": [{"name": "E", "valueFrom": {"vaultRef": {}}}]}]}, "status": {}});
        let request = json!({"uid": "u", "kind": {"version": "v1", "kind": "Pod"}, "operation": "CREATE", "object": pod, "oldObject": null});
        let review =
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        let request = of_pod(&review.to_string()).unwrap().request.unwrap();
        assert!(request.old_object.is_none());
        let (within, alone) = (request.object.unwrap(), AgentPod::parse(&pod.to_string()).unwrap());
        assert_eq!(format!("{within:?}"), format!("{alone:?}"));
        assert_eq!(within.unknown, ["spec.containers[0].env[0].valueFrom.vaultRef"]);
    }

    #[test]
    fn a_pod_that_holds_too_much_is_not_read_with_its_review_either() {
        let containers: Vec<_> = (0..5000).map(|_| json!({"name": "a"})).collect();
        let request = json!({"uid": "u", "kind": {"version": "v1", "kind": "Pod"}, "operation": "CREATE", "object": {"spec": {"containers": containers}}});
        let review =
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        assert!(of_pod(&review.to_string()).is_err());
    }
}
