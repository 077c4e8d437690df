//! The writes by which an agent comes to its power, and nothing else: no decision, no read, no watch. Copied from an
//! instance that perpro made, so that the objects are the same.

use std::time::Instant;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use crate::api::{self, ApiServer};

/// What one instance consists of, as text with a name that is replaced.
pub(super) struct Writes {
    namespace: &'static str,
    /// The instance that was copied.
    model: String,
    account: Value,
    pod: Value,
    binding: Value,
}

impl Writes {
    /// Those of the one instance in a namespace.
    pub(super) async fn of(api: &ApiServer, namespace: &'static str) -> Result<Self> {
        let only = async |path: String| -> Result<Value> {
            let list = api.get(&path).await?;
            let first = list["items"].get(0).with_context(|| format!("nothing in {path}"))?;
            Ok(as_written(first, &list))
        };
        let account = only(crate::accounts(namespace)).await?;
        let mut pod = only(api::pods(namespace)).await?;
        // As it was created: perpro's webhook adds the gate, and its controller removes it.
        pod["spec"]["schedulingGates"] = json!([{"name": "bench.perpro.dev/gate"}]);
        let binding = only(bindings(namespace)).await?;
        let model = account["metadata"]["name"].as_str().context("an account without name")?.to_owned();
        Ok(Self { namespace, model, account, pod, binding })
    }

    /// Makes so many instances, some at a time, and returns how many per second.
    pub(super) async fn make_all(&self, api: &ApiServer, count: usize, at_once: usize) -> Result<f64> {
        let started = Instant::now();
        let all = stream::iter(0..count).map(|nth| self.make(api, nth)).buffer_unordered(at_once);
        all.try_for_each(async |()| Ok(())).await?;
        Ok(count as f64 / started.elapsed().as_secs_f64())
    }

    /// Deletes all instances.
    pub(super) async fn clean_up(&self, api: &ApiServer) -> Result<()> {
        let namespace = self.namespace;
        for path in [api::pods(namespace), crate::accounts(namespace), bindings(namespace)] {
            api.delete(&path).await?;
            api.until_none(&path).await?;
        }
        Ok(())
    }

    /// Mint, create, claim, bind, ungate.
    async fn make(&self, api: &ApiServer, nth: usize) -> Result<()> {
        let name = format!("instance-{nth}");
        let namespace = self.namespace;
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        api.create(&accounts, &self.named(&self.account, &name)?).await?;
        let mut pod = self.named(&self.pod, &name)?;
        pod["metadata"]["name"] = json!(name);
        let pod = api.create(&api::pods(namespace), &pod).await?;
        let owner = json!([{"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod["metadata"]["uid"]}]);
        let claim = json!({"metadata": {
            "ownerReferences": owner,
            "annotations": {"perpro.dev/pod-name": name, "perpro.dev/pod-uid": pod["metadata"]["uid"]},
        }});
        api.patch(&format!("{accounts}/{name}"), "merge-patch", &claim).await?;
        let mut binding = self.named(&self.binding, &name)?;
        binding["metadata"]["ownerReferences"] = owner;
        let bindings = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings");
        api.create(&bindings, &binding).await?;
        let gate = json!([{"$patch": "delete", "name": "bench.perpro.dev/gate"}]);
        let ungate = json!({"spec": {"schedulingGates": gate}});
        api.patch(&format!("{}/{name}", api::pods(namespace)), "strategic-merge-patch", &ungate).await
    }

    /// A copy under another name, wherever it occurs.
    fn named(&self, object: &Value, name: &str) -> Result<Value> {
        Ok(serde_json::from_str(&object.to_string().replace(&self.model, name))?)
    }
}

/// The bindings of a namespace's instances.
fn bindings(namespace: &str) -> String {
    format!(
        "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings?labelSelector=perpro.dev/identity"
    )
}

/// An object of a list as somebody wrote it: without what the API server fills in, nor what the claim adds.
fn as_written(item: &Value, list: &Value) -> Value {
    let mut object = item.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|key, _| ["name", "labels", "annotations"].contains(&key.as_str()));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|key, _| !key.starts_with("perpro.dev/pod-"));
        }
    }
    if let Some(all) = object.as_object_mut() {
        all.remove("status");
    }
    // Items of a list don't say what they are.
    object["apiVersion"] = list["apiVersion"].clone();
    object["kind"] = json!(list["kind"].as_str().unwrap_or_default().trim_end_matches("List"));
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_what_was_written_and_nothing_of_the_claim() {
        let item = json!({
            "metadata": {"name": "aid-x", "uid": "u", "resourceVersion": "1", "labels": {"a": "b"},
                "annotations": {"perpro.dev/pod-uid": "p", "perpro.dev/owner": "User:jane"}},
            "spec": {"x": 1}, "status": {"phase": "Pending"}
        });
        let list = json!({"apiVersion": "v1", "kind": "PodList", "items": [item]});
        assert_eq!(
            as_written(&list["items"][0], &list),
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "aid-x", "labels": {"a": "b"}, "annotations": {"perpro.dev/owner": "User:jane"}},
                "spec": {"x": 1}
            })
        );
    }
}
