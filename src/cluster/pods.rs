//! Agent pods.

use super::{Cluster, Write, deleted, exactly, settled};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use perpro_core::model::PodFacts;
use perpro_core::names;
use serde_json::{Value, json};

impl Cluster {
    /// The live pod as JSON, with the fields that our types don't know; `None` when it is gone.
    pub(crate) async fn raw_pod(&self, namespace: &str, name: &str) -> kube::Result<Option<Value>> {
        let resource = ApiResource::erase::<Pod>(&());
        let pods = Api::<DynamicObject>::namespaced_with(self.client(), namespace, &resource);
        let found = pods.get_opt(name).await?;
        found.map(|pod| serde_json::to_value(pod).map_err(kube::Error::SerdeError)).transpose()
    }

    /// The live pod; `None` when it is gone.
    pub(crate) async fn pod(&self, namespace: &str, name: &str) -> kube::Result<Option<Pod>> {
        Api::<Pod>::namespaced(self.client(), namespace).get_opt(name).await
    }

    /// Removes our scheduling gate from exactly this pod; gates of others stay. `false` when
    /// it is another one by now.
    pub(crate) async fn ungate(&self, namespace: &str, pod: &PodFacts) -> kube::Result<bool> {
        let patch = json!({
            "metadata": { "uid": pod.uid },
            "spec": { "schedulingGates": [{ "$patch": "delete", "name": names::GATE }] },
        });
        let pods = Api::<Pod>::namespaced(self.client(), namespace);
        let (params, patch) = (PatchParams::default(), Patch::Strategic(&patch));
        settled(self.write(Write::Ungate, pods.patch(&pod.name, &params, &patch)).await)
    }

    /// Deletes a pod with a grace of our own. Never by eviction: a disruption budget must not
    /// keep an agent alive that has lost its identity. `false` when it is another one by now.
    pub(crate) async fn delete_pod(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        grace_seconds: i64,
    ) -> kube::Result<bool> {
        let mut params = exactly(uid, None);
        params.grace_period_seconds = u32::try_from(grace_seconds).ok();
        let pods = Api::<Pod>::namespaced(self.client(), namespace);
        deleted(self.write(Write::DeletePod, pods.delete(name, &params)).await)
    }
}
