//! Every kind of object that makes pods, as people write it.

use kube::api::{Api, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, TypeMeta};
use serde_json::{Value, json};

use crate::common::{World, merge};
use k8s_openapi::api::core::v1::Pod;

/// What makes a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person.
    Bare,
    /// A person, with `generateName`.
    Generated,
    Deployment,
    ReplicaSet,
    ReplicationController,
    StatefulSet,
    DaemonSet,
    Job,
    CronJob,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::Bare,
        Self::Generated,
        Self::Deployment,
        Self::ReplicaSet,
        Self::ReplicationController,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::Job,
        Self::CronJob,
    ];

    /// Those whose pods are made by a controller of Kubernetes.
    pub fn workloads() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|kind| !matches!(kind, Self::Bare | Self::Generated))
    }

    /// The kind of object that owns its pods, and is told when one cannot be made.
    pub fn owner(self) -> String {
        match self {
            Self::Deployment => "ReplicaSet".into(),
            Self::CronJob => "Job".into(),
            kind => format!("{kind:?}"),
        }
    }

    /// One that makes one pod like `pod`, with label `app` of its own name.
    pub fn object(self, pod: &Pod) -> Value {
        let name = self.name();
        let mut template = serde_json::to_value(pod).unwrap();
        merge(&mut template, json!({"metadata": {"labels": {"app": name}}}));
        template["metadata"].as_object_mut().unwrap().remove("name");
        let selector = json!({"app": name});
        match self {
            Self::Bare | Self::Generated => {
                let field = if self == Self::Bare { "name" } else { "generateName" };
                merge(&mut template, json!({"metadata": {field: name}}));
                return template;
            }
            Self::Job | Self::CronJob => template["spec"]["restartPolicy"] = json!("Never"),
            _ => {}
        }
        let template = json!({"metadata": template["metadata"], "spec": template["spec"]});
        let spec = match self {
            Self::ReplicationController => json!({"selector": selector, "template": template}),
            Self::Job => json!({"template": template}),
            Self::CronJob => json!({"schedule": "* * * * *", "concurrencyPolicy": "Forbid",
                "jobTemplate": {"spec": {"template": template}}}),
            _ => json!({"selector": {"matchLabels": selector}, "template": template}),
        };
        json!({"apiVersion": self.version(), "kind": format!("{self:?}"), "metadata": {"name": name}, "spec": spec})
    }

    /// Creates it.
    pub async fn create(self, world: &World, pod: &Pod) {
        let object = self.object(pod);
        create(world, &object).await;
        if self == Self::CronJob {
            // Its last run seems long ago, so the next is due now and not at the next full minute.
            let past = json!({"status": {"lastScheduleTime": "2020-01-01T00:00:00Z"}});
            let params = PatchParams::default();
            api(world, &object).patch_status(&self.name(), &params, &Patch::Merge(past)).await.unwrap();
        }
    }

    /// The name of the object, and of its pods' label `app`.
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    fn version(self) -> &'static str {
        match self {
            Self::Bare | Self::Generated | Self::ReplicationController => "v1",
            Self::Job | Self::CronJob => "batch/v1",
            _ => "apps/v1",
        }
    }
}

/// Creates an object of the namespace of any kind.
pub async fn create(world: &World, object: &Value) -> DynamicObject {
    let typed = serde_json::from_value(object.clone()).unwrap();
    api(world, object).create(&PostParams::default(), &typed).await.unwrap()
}

/// Objects of the kind of this one.
pub fn api(world: &World, object: &Value) -> Api<DynamicObject> {
    let types: TypeMeta = serde_json::from_value(object.clone()).unwrap();
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(types).unwrap());
    Api::namespaced_with(world.client.clone(), &world.namespace, &resource)
}
