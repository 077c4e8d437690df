//! What the controller of a workload makes of its template.

use crate::manifest::Object;
use serde_json::{Value, json};

/// Group of Knative's services.
const KNATIVE: &str = "serving.knative.dev";

/// Writes into a pod of a workload what the workload's controller will: that it made it, and a name of its only container
/// where Knative gives one.
pub(super) fn by(workload: &Object, pod: &mut Value) {
    let containers = pod.pointer_mut("/spec/containers").and_then(Value::as_array_mut);
    if workload.group() == KNATIVE
        && let Some([Value::Object(only)]) = containers.map(Vec::as_mut_slice)
    {
        only.entry("name").or_insert_with(|| json!("user-container"));
    }
    let (Some(name), Some(pod)) = (workload.name(), pod.as_object_mut()) else { return };
    let owner = json!({"apiVersion": workload.api_version, "kind": workload.kind, "name": name, "uid": "", "controller": true});
    let metadata = pod.entry("metadata").or_insert_with(|| json!({}));
    if metadata.is_null() {
        *metadata = json!({});
    }
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("ownerReferences".to_owned(), json!([owner]));
    }
}
