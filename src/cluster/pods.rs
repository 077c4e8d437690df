//! Agent pods.

use super::{Cluster, Write, deleted, exactly, instance, settled};
use crate::runtime::lean::{self, Lean};
use k8s_openapi::api::core::v1::Pod;
use kube::Resource;
use kube::api::{Api, GetParams, ListParams, Patch, PatchParams, Request};
use perpro_core::model::PodFacts;
use perpro_core::names;
use serde_json::json;

/// Pods in one answer.
const PAGE: u32 = 500;

impl Cluster {
    /// The live pod as the API server writes it, with the fields that our types don't know; `None`
    /// when it is gone.
    pub(crate) async fn pod_text(&self, namespace: &str, name: &str) -> kube::Result<Option<String>> {
        let request = Request::new(Pod::url_path(&(), Some(namespace)));
        let request = request.get(name, &GetParams::default()).map_err(kube::Error::BuildRequest)?;
        match self.client().request_text(request).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            text => text.map(Some),
        }
    }

    /// The live pod; `None` when it is gone.
    pub(crate) async fn pod(&self, namespace: &str, name: &str) -> kube::Result<Option<Pod>> {
        let pods = Api::<Lean<Pod>>::namespaced(self.client(), namespace);
        Ok(pods.get_opt(name).await?.map(|Lean(pod)| pod))
    }

    /// How many live pods of a namespace have no identity.
    pub(crate) async fn unlabelled_pods(&self, namespace: &str) -> kube::Result<usize> {
        let mut page = ListParams::default()
            .labels(&format!("!{}", names::IDENTITY_LABEL))
            .fields("status.phase!=Succeeded,status.phase!=Failed")
            .limit(PAGE);
        let mut count = 0;
        loop {
            let found = lean::list_metadata::<Pod>(&self.client(), Some(namespace), &page).await?;
            count += found.items.len();
            match found.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page.continue_token = Some(token),
                None => return Ok(count),
            }
        }
    }

    /// Removes our scheduling gate from exactly this pod; gates of others stay. `false` when
    /// it is another one by now.
    pub(crate) async fn ungate(&self, namespace: &str, pod: &PodFacts) -> kube::Result<bool> {
        let patch = json!({
            "metadata": { "uid": pod.uid },
            "spec": { "schedulingGates": [{ "$patch": "delete", "name": names::GATE }] },
        });
        let pods = Api::<Lean<Pod>>::namespaced(self.client(), namespace);
        let (params, patch) = (PatchParams::default(), Patch::Strategic(&patch));
        let instance = instance(namespace, &pod.account, Some(pod));
        settled(self.write_for(instance, Write::Ungate, pods.patch(&pod.name, &params, &patch)).await)
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
        let pods = Api::<Lean<Pod>>::namespaced(self.client(), namespace);
        deleted(self.write(Write::DeletePod, pods.delete(name, &params)).await)
    }
}
