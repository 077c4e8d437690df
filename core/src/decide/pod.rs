//! A pod as the decisions read it: typed, with every field that the types don't know.

use super::container::ContainerView;
use super::path::Part;
use super::refusal::{Reason, Refusal};
use super::unknown::{self, Path};
use super::unreadable::unreadable;
use crate::names;
use k8s_openapi::api::core::v1::{KeyToPath, PodSpec, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// Most credentials that a pod may hold by mounting volumes again and again. Items times mounts
/// grows with the square of a pod's size; one pod must not keep all others waiting.
const MAX_CREDENTIALS: usize = 4096;

/// Fields of a pod beside its spec that no decision reads; that they are there is nothing to tell.
const UNREAD: [&str; 3] = ["apiVersion", "kind", "status"];
/// The same of its metadata. The API server adds managed fields, which are as long as all the rest.
const UNREAD_METADATA: [&str; 10] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "namespace",
    "resourceVersion",
    "selfLink",
];

/// A pod, and the paths of the fields that the types dropped.
#[derive(Clone, Debug)]
pub struct AgentPod {
    /// What is read of its metadata.
    pub metadata: Metadata,
    /// The typed spec; a pod without one is not readable. Boxed: it is large, and the pod is passed on often.
    pub spec: Box<PodSpec>,
    /// Paths of unknown fields, with list positions as the API server writes them.
    pub unknown: Vec<String>,
}

/// What decisions read of a pod's metadata.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Metadata {
    /// Name; not yet there where one is generated.
    pub name: Option<String>,
    /// UID; not yet there in the first webhook.
    pub uid: Option<String>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations.
    pub annotations: Option<BTreeMap<String, String>>,
    /// What made it, and others that it goes with.
    #[serde(rename = "ownerReferences")]
    pub owners: Option<Vec<OwnerReference>>,
}

/// A pod as it is read.
#[derive(Deserialize)]
struct Pod {
    #[serde(default)]
    metadata: Metadata,
    spec: Option<Box<PodSpec>>,
}

/// Why a pod that can be read is none to decide on.
#[derive(Clone, Copy, Debug)]
enum Unfit {
    Empty,
    TooMuch,
}

impl Unfit {
    fn refusal(self) -> Refusal {
        match self {
            Self::Empty => Refusal::at("spec", Reason::Unreadable { error: "it has no spec".to_owned() }),
            Self::TooMuch => Refusal::at("spec", Reason::TooManyCredentials { limit: MAX_CREDENTIALS }),
        }
    }
}

/// As a part of something else. What went wrong is told by [`AgentPod::parse`].
impl<'de> Deserialize<'de> for AgentPod {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(deserializer)?.map_err(|unfit| D::Error::custom(unfit.refusal()))
    }
}

impl AgentPod {
    /// Reads a pod from its JSON. Of text only: the types of a pod are a tenth of the program for
    /// each form that they are read from.
    ///
    /// # Errors
    /// [`Reason::Unreadable`] when the JSON is not a core/v1 Pod.
    pub fn parse(json: &str) -> Result<Self, Refusal> {
        let read = Self::read(&mut serde_json::Deserializer::from_str(json));
        read.map_err(|error| unreadable(json, &error))?.map_err(|unfit| unfit.refusal())
    }

    /// Reads a pod; the inner error is of one that can be read and is none to decide on.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Result<Self, Unfit>, D::Error> {
        let mut unknown = Vec::new();
        let pod: Pod = unknown::deserialize(deserializer, |path| {
            if !is_unread(path) {
                unknown.push(path.to_string());
            }
        })?;
        let Some(spec) = pod.spec else { return Ok(Err(Unfit::Empty)) };
        let pod = Self { metadata: pod.metadata, spec, unknown };
        Ok(if pod.count_credentials() > MAX_CREDENTIALS { Err(Unfit::TooMuch) } else { Ok(pod) })
    }

    /// A pod that was read before, all of whose fields the types know.
    #[must_use]
    pub fn known(spec: impl Into<Box<PodSpec>>) -> Self {
        Self { metadata: Metadata::default(), spec: spec.into(), unknown: Vec::new() }
    }

    /// Upper bound of what `credentials` will list: a volume's items times its mounts. Also of what could hold one:
    /// decisions compare each volume with each mount, and whatever is listed with each container; and of what makes every
    /// write of the pod slow, ours among them.
    fn count_credentials(&self) -> usize {
        let containers = self.containers();
        let env: usize = containers.iter().map(|c| c.env.len() + c.env_from.len()).sum();
        let mounts: usize = containers.iter().map(|c| c.mounts.len()).sum();
        let spec = &self.spec;
        let others = [
            spec.host_aliases.as_ref().map_or(0, Vec::len),
            spec.image_pull_secrets.as_ref().map_or(0, Vec::len),
            spec.topology_spread_constraints.as_ref().map_or(0, Vec::len),
            self.metadata.labels.as_ref().map_or(0, BTreeMap::len),
            self.metadata.annotations.as_ref().map_or(0, BTreeMap::len),
        ];
        // An API server compares each with each, at every update.
        let tolerations = spec.tolerations.as_ref().map_or(0, Vec::len).saturating_pow(2);
        let parts = containers.len() + self.volumes().count() + mounts + env + others.iter().sum::<usize>();
        let parts = parts.saturating_add(tolerations);
        if parts > MAX_CREDENTIALS {
            return parts;
        }
        let in_volume = |volume: &Volume| {
            let items = |items: &Option<Vec<KeyToPath>>| items.as_ref().map_or(1, Vec::len);
            let secret = volume.secret.as_ref().map_or(0, |s| items(&s.items));
            let sources = volume.projected.iter().flat_map(|p| p.sources.iter().flatten());
            let projected: usize = sources.map(|s| s.secret.as_ref().map_or(1, |s| items(&s.items))).sum();
            let mounts = containers.iter().flat_map(|c| c.mounts).filter(|m| m.name == volume.name).count();
            (secret + projected).saturating_mul(mounts.max(1))
        };
        self.volumes().map(|(_, v)| in_volume(v)).fold(env, usize::saturating_add)
    }

    /// Name of the AgentIdentity that the pod asks for.
    #[must_use]
    pub fn identity(&self) -> Option<&str> {
        self.label(names::IDENTITY_LABEL).filter(|name| !name.is_empty())
    }

    /// A label's value.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(key).map(String::as_str)
    }

    /// An annotation's value.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// What made the pod, as it says itself.
    #[must_use]
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.metadata.owners.iter().flatten().find(|owner| owner.controller == Some(true))
    }

    /// Every container: init containers and sidecars, main and ephemeral ones.
    pub(super) fn containers(&self) -> Vec<ContainerView<'_>> {
        let init = self.spec.init_containers.iter().flatten();
        let init = init.enumerate().map(|(i, c)| ContainerView::of(Part("initContainers", i), c));
        let main = self.spec.containers.iter();
        let main = main.enumerate().map(|(i, c)| ContainerView::of(Part("containers", i), c));
        let ephemeral = self.spec.ephemeral_containers.iter().flatten();
        let ephemeral = ephemeral
            .enumerate()
            .map(|(i, c)| ContainerView::of_ephemeral(Part("ephemeralContainers", i), c));
        init.chain(main).chain(ephemeral).collect()
    }

    /// Every volume with its path.
    pub(super) fn volumes(&self) -> impl Iterator<Item = (Part, &Volume)> {
        self.spec.volumes.iter().flatten().enumerate().map(|(i, v)| (Part("volumes", i), v))
    }
}

fn is_unread(path: Path<'_>) -> bool {
    match path {
        Path::Key(Path::Root, key) => UNREAD.contains(&key),
        Path::Key(Path::Key(Path::Root, "metadata"), key) => UNREAD_METADATA.contains(&key),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_unknown_field_is_named_by_its_path() {
        let raw = json!({"spec": {"containers": [{"name": "a", "env": [{"name": "E", "valueFrom": {"vaultRef": {"x": 1}}}]}],
            "volumes": [{"name": "v", "vault": {}}]}});
        let pod = AgentPod::parse(&raw.to_string()).unwrap();
        assert_eq!(pod.unknown, ["spec.containers[0].env[0].valueFrom.vaultRef", "spec.volumes[0].vault"]);
    }

    #[test]
    fn a_pod_that_multiplies_items_by_mounts_is_refused_at_once() {
        let items: Vec<_> = (0..100).map(|i| json!({"key": "k", "path": format!("{i}")})).collect();
        let pod = |mounts: usize| {
            let mounts: Vec<_> =
                (0..mounts).map(|i| json!({"name": "v", "mountPath": format!("/{i}")})).collect();
            let pod = json!({"spec": {"containers": [{"name": "a", "volumeMounts": mounts}],
                "volumes": [{"name": "v", "secret": {"secretName": "s", "items": items}}]}});
            AgentPod::parse(&pod.to_string())
        };
        assert!(pod(40).is_ok());
        assert_eq!(pod(41).unwrap_err().code(), "AID070");
    }

    #[test]
    fn a_pod_of_thousands_of_parts_is_refused_before_they_are_compared() {
        // Compared with each other they would take minutes.
        let volumes: Vec<_> = (0..50_000).map(|i| json!({"name": format!("v{i}"), "emptyDir": {}})).collect();
        let mounts: Vec<_> =
            (0..50_000).map(|i| json!({"name": format!("v{i}"), "mountPath": format!("/{i}")})).collect();
        let containers: Vec<_> = (0..50_000).map(|_| json!({"name": "a"})).collect();
        let mounting = json!([{"name": "a", "volumeMounts": mounts}]);
        for spec in [json!({"containers": mounting, "volumes": volumes}), json!({"containers": containers})] {
            assert_eq!(AgentPod::parse(&json!({"spec": spec}).to_string()).unwrap_err().code(), "AID070");
        }
    }

    #[test]
    fn a_pod_that_makes_each_write_of_it_slow_is_refused() {
        let pod = |tolerations: usize, labels: usize| {
            let tolerations: Vec<_> =
                (0..tolerations).map(|i| json!({"key": format!("k{i}"), "operator": "Exists"})).collect();
            let labels: BTreeMap<_, _> = (0..labels).map(|i| (format!("l{i}"), "x")).collect();
            let pod = json!({"metadata": {"labels": labels}, "spec": {"containers": [], "tolerations": tolerations}});
            AgentPod::parse(&pod.to_string()).map(drop).map_err(|refusal| refusal.code())
        };
        assert_eq!(pod(64, 0), Ok(()));
        assert_eq!(pod(65, 0), Err("AID070"));
        assert_eq!(pod(0, 4096), Ok(()));
        assert_eq!(pod(0, 4097), Err("AID070"));
    }

    #[test]
    fn a_thing_that_is_no_pod_is_refused_in_words() {
        let refusal = AgentPod::parse(r#"{"spec": {"containers": "none"}}"#).unwrap_err();
        assert_eq!((refusal.code(), refusal.path.as_str()), ("AID028", "spec.containers"));
        let number = AgentPod::parse(r#"{"metadata": {"labels": {"a.b/c": 1}}, "spec": {"containers": []}}"#)
            .unwrap_err();
        assert_eq!(
            number.to_string(),
            "AID028 metadata.labels[a.b/c]: send an object that its API can read: invalid type: integer `1`, expected a string"
        );
        assert_eq!(AgentPod::parse("{}").unwrap_err().path, "spec");
    }

    #[test]
    fn a_pod_that_is_a_long_text_is_refused_in_few_words() {
        let refusal = AgentPod::parse(&json!({"spec": "\u{7f}".repeat(100_000)}).to_string()).unwrap_err();
        let said = refusal.to_string();
        assert!(said.len() < 300 && said.ends_with("expected PodSpec"), "{said}");
    }
}
