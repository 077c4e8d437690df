//! Objects read without their managed fields.
//!
//! Whoever may write an object chooses `metadata.managedFields`, and an API server stores them
//! nested deeper than serde_json goes (128 levels). Read like the rest, one such object would make
//! every list that holds it unreadable, and so stop us for everybody. Nobody here needs them, so
//! they are passed over, which serde_json does without recursion.
//!
//! Nor is the status of a pod read, but for its phase and what its containers wait for: it is full of times, of which Go
//! stores later ones than our types can say.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, ObjectList, ObjectMeta, PartialObjectMeta, Request};
use kube::{Client, Resource};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Unexpected, Visitor,
};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use std::any::TypeId;
use std::borrow::Cow;
use std::fmt;

/// An object, read without `metadata.managedFields`, by way of untyped JSON: so each type is
/// compiled for one form that it is read from, not for every answer of an API server.
#[derive(Clone, Debug)]
pub(crate) struct Lean<K>(pub(crate) K);

/// A page of the metadata of objects, in a namespace or in all.
///
/// # Errors
/// Those of the API server.
pub(crate) async fn list_metadata<K>(
    client: &Client,
    namespace: Option<&str>,
    page: &ListParams,
) -> kube::Result<ObjectList<Lean<PartialObjectMeta<K>>>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let request = Request::new(K::url_path(&(), namespace)).list_metadata(page);
    client.request(request.map_err(kube::Error::BuildRequest)?).await
}

impl<'de, K: DeserializeOwned + 'static> Deserialize<'de> for Lean<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Level::Object.deserialize(deserializer)?;
        // Items of a list do not say their kind.
        if TypeId::of::<K>() == TypeId::of::<Pod>()
            && let Some(status) = object.get_mut("status").and_then(Value::as_object_mut)
        {
            trim_status(status);
        }
        let named = |field: &str| object["metadata"][field].as_str();
        // One among thousands of a list: whoever reads the error is to find it.
        let name: Vec<_> = ["namespace", "name"].into_iter().filter_map(named).collect();
        let name = name.join("/");
        K::deserialize(object)
            .map(Self)
            .map_err(|e| D::Error::custom(format!("\"{name}\" can't be read: {e}")))
    }
}

/// Leaves what holds no time.
fn trim_status(status: &mut Map<String, Value>) {
    const CONTAINERS: [&str; 2] = ["initContainerStatuses", "containerStatuses"];
    const REQUIRED: [&str; 5] = ["name", "image", "imageID", "ready", "restartCount"];
    status.retain(|field, _| field == "phase" || CONTAINERS.contains(&field.as_str()));
    for list in CONTAINERS {
        for container in status.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(container) = container.as_object_mut() else { continue };
            container.retain(|field, _| field == "state" || REQUIRED.contains(&field.as_str()));
            if let Some(state) = container.get_mut("state").and_then(Value::as_object_mut) {
                state.retain(|field, _| field == "waiting");
            }
        }
    }
}

/// Reads an object without managed fields.
///
/// # Errors
/// When it is no JSON object.
pub(crate) fn read(json: &str) -> serde_json::Result<Value> {
    Level::Object.deserialize(&mut serde_json::Deserializer::from_str(json))
}

impl<K: Serialize> Serialize for Lean<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<K: Resource> Resource for Lean<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn metadata_api() -> bool {
        K::metadata_api()
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

/// How far into the object a map is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Object,
    Metadata,
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        match self {
            Self::Object => Err(E::invalid_type(Unexpected::Unit, &self)),
            Self::Metadata => Ok(Value::Null),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            let value = match (self, key.as_str()) {
                (Self::Metadata, "managedFields") => {
                    fields.next_value::<IgnoredAny>()?;
                    continue;
                }
                (Self::Object, "metadata") => fields.next_value_seed(Self::Metadata)?,
                _ => fields.next_value()?,
            };
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ServiceAccount;
    use kube::ResourceExt;
    use kube::api::{DynamicObject, ObjectList, PartialObjectMeta, WatchEvent};
    use kube::core::DeserializeGuard;
    use perpro_core::api::{AgentIdentity, AgentPolicy};
    use serde_json::json;

    /// An object as an API server stores it for whoever asks, this deep.
    fn deep(kind: &str, levels: usize) -> String {
        let fields = format!("{}1{}", "{\"f:a\":".repeat(levels), "}".repeat(levels));
        format!(
            r#"{{"apiVersion":"v1","kind":"{kind}","metadata":{{"name":"n","managedFields":[{{"fieldsV1":{fields}}}],"labels":{{"a":"b"}}}},"spec":{{"containers":[]}}}}"#
        )
    }

    fn reads<K: DeserializeOwned + Resource + 'static>(kind: &str, levels: usize) -> Lean<K> {
        let object = deep(kind, levels);
        let list = format!(r#"{{"kind":"List","apiVersion":"v1","metadata":{{}},"items":[{object}]}}"#);
        assert_eq!(serde_json::from_str::<ObjectList<Lean<DynamicObject>>>(&list).unwrap().items.len(), 1);
        let event = format!(r#"{{"type":"MODIFIED","object":{object}}}"#);
        assert!(matches!(
            serde_json::from_str::<WatchEvent<Lean<K>>>(&event).unwrap(),
            WatchEvent::Modified(_)
        ));
        serde_json::from_str(&object).unwrap()
    }

    #[test]
    fn of_containers_is_read_what_they_wait_for_and_no_time() {
        let state = |name: &str, state: serde_json::Value| {
            json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 1, "state": state,
                "lastState": {"terminated": {"exitCode": 1, "finishedAt": "9999-12-31T23:59:59Z"}}})
        };
        let waiting =
            json!({"waiting": {"reason": "CreateContainerConfigError", "message": "couldn't find key x"}});
        let running = json!({"running": {"startedAt": "9999-12-31T23:59:59Z"}});
        let pod = json!({"metadata": {"name": "n"}, "status": {"phase": "Pending",
            "initContainerStatuses": [state("first", running)], "containerStatuses": [state("agent", waiting)]}});
        let status = serde_json::from_value::<Lean<Pod>>(pod).unwrap().0.status.unwrap();
        let of =
            |list: Option<Vec<k8s_openapi::api::core::v1::ContainerStatus>>| list.unwrap().remove(0).state;
        assert_eq!(of(status.init_container_statuses), Some(Default::default()));
        let said = of(status.container_statuses).unwrap().waiting.unwrap();
        assert_eq!(said.message.as_deref(), Some("couldn't find key x"));
    }

    #[test]
    fn an_object_is_read_however_deep_its_managed_fields_are() {
        for levels in [1, 200, 9000] {
            let pod = reads::<Pod>("Pod", levels).0;
            assert_eq!(pod.metadata.managed_fields, None);
            assert_eq!((pod.name_any().as_str(), pod.labels()["a"].as_str()), ("n", "b"));
            assert!(pod.spec.is_some());
            assert_eq!(
                reads::<DynamicObject>("Pod", levels).0.data["spec"]["containers"],
                serde_json::json!([])
            );
            assert_eq!(
                reads::<PartialObjectMeta<ServiceAccount>>("ServiceAccount", levels).0.name_any(),
                "n"
            );
            // Its spec is no identity's, and only that is told.
            let identity = reads::<DeserializeGuard<AgentIdentity>>("AgentIdentity", levels).0;
            assert_eq!(identity.meta().name.as_deref(), Some("n"));
        }
        assert!(serde_json::from_str::<Pod>(&deep("Pod", 200)).is_err(), "else nothing of this is needed");
    }

    #[test]
    fn a_pod_is_read_whatever_times_its_status_tells() {
        let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"n"},"status":{"phase":"Failed","startTime":"9999-12-31T23:59:59Z"}}"#;
        assert!(serde_json::from_str::<Pod>(pod).is_err(), "else nothing of this is needed");
        let status = serde_json::from_str::<Lean<Pod>>(pod).unwrap().0.status.unwrap();
        assert_eq!((status.phase.as_deref(), status.start_time), (Some("Failed"), None));
    }

    #[test]
    fn of_a_list_the_object_that_cant_be_read_is_named() {
        let policy = |name: &str, end: &str| {
            json!({"metadata": {"name": name}, "spec": {"namespaces": ["a"], "exceptions": [{"name": "nfs", "namespace": "a",
                "workload": "Deployment/bot", "codes": ["AID013"], "owner": "t", "reason": "Moves off NFS.", "expiresAt": end}]}})
        };
        let list = |end: &str| {
            let items = [policy("good", "2030-01-01T00:00:00Z"), policy("bad", end)];
            json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}).to_string()
        };
        let read = |end| serde_json::from_str::<ObjectList<Lean<AgentPolicy>>>(&list(end));
        assert_eq!(read("2030-01-01T00:00:00Z").unwrap().items.len(), 2);
        let error = read("9999-12-31T23:59:59Z").unwrap_err().to_string();
        assert!(error.starts_with("\"bad\" can't be read: "), "{error}");
    }

    #[test]
    fn everything_else_is_as_it_was() {
        let json = r#"{"metadata":{"name":"n","managedFields":null},"managedFields":[1],"spec":{"metadata":{"managedFields":[2]}},"a":[null,true,-1,1.5,"s"]}"#;
        let mut expected: Value = serde_json::from_str(json).unwrap();
        expected["metadata"].as_object_mut().unwrap().remove("managedFields");
        assert_eq!(read(json).unwrap(), expected);
        assert_eq!(serde_json::from_str::<Lean<Value>>(json).unwrap().0, expected);
        assert_eq!(read(r#"{"metadata":null}"#).unwrap(), serde_json::json!({"metadata": null}));
        assert!(read("null").is_err() && read("[]").is_err());
    }
}
