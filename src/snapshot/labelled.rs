//! What wears an identity's label, as the core's model and by identity: every pass asks for what one identity has, and
//! kube's store would have to look through that of the whole cluster.

use super::Key;
use super::watch::{Keeps, Touched};
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// By identity, and so in the order of namespaces.
type Objects<T> = BTreeMap<Key, Named<T>>;
/// What one identity has; never nothing.
type Named<T> = BTreeMap<String, Arc<T>>;

/// What a watch has brought.
pub(super) struct Labelled<T>(Arc<RwLock<Objects<T>>>);

impl<T> Clone for Labelled<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Labelled<T> {
    /// What one identity has.
    pub(super) fn of(&self, key: &Key) -> Vec<Arc<T>> {
        self.read().get(key).into_iter().flat_map(Named::values).cloned().collect()
    }

    /// Whether an identity has any.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.read().contains_key(key)
    }

    /// Identities that have any.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.read().keys().cloned().collect()
    }

    /// How many a namespace has.
    pub(super) fn count(&self, namespace: &str) -> usize {
        within(&self.read(), namespace).map(|(_, named)| named.len()).sum()
    }

    /// What all identities of a namespace, or of the cluster, have.
    pub(super) fn all(&self, namespace: Option<&str>) -> Vec<(Key, Vec<Arc<T>>)> {
        let objects = self.read();
        let owned = |(key, named): (&Key, &Named<T>)| (key.clone(), named.values().cloned().collect());
        match namespace {
            Some(namespace) => within(&objects, namespace).map(owned).collect(),
            None => objects.iter().map(owned).collect(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Objects<T>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Objects<T>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a namespace has.
fn within<'a, T>(objects: &'a Objects<T>, namespace: &str) -> impl Iterator<Item = (&'a Key, &'a Named<T>)> {
    let first = Key { namespace: namespace.to_owned(), identity: String::new() };
    objects.range(first..).take_while(move |(key, _)| key.namespace == namespace)
}

/// Fills a [`Labelled`] from a watch.
pub(super) struct Filler<K, T> {
    read: fn(&K) -> Option<(Key, T)>,
    objects: Labelled<T>,
    /// What the list has brought that is not over yet.
    listed: Objects<T>,
}

impl<K, T> Filler<K, T> {
    /// With what `read` makes of an object; `None` is not kept.
    pub(super) fn new(read: fn(&K) -> Option<(Key, T)>) -> Self {
        Self { read, objects: Labelled(Arc::default()), listed: Objects::new() }
    }

    /// What it fills.
    pub(super) fn objects(&self) -> Labelled<T> {
        self.objects.clone()
    }
}

impl<K, T> Keeps<K> for Filler<K, T>
where
    K: Resource + 'static,
    T: Send + Sync + 'static,
{
    fn see(&mut self, event: &Event<K>) {
        match event {
            Event::Init => self.listed = Objects::new(),
            // A list has each name once.
            Event::InitApply(object) => put(&mut self.listed, object, (self.read)(object)),
            Event::InitDone => *self.objects.write() = std::mem::take(&mut self.listed),
            Event::Apply(object) => {
                let read = (self.read)(object);
                let mut objects = self.objects.write();
                if !read.as_ref().is_some_and(|(key, _)| has(&objects, key, object)) {
                    // It may have worn the label of another identity.
                    remove(&mut objects, object);
                }
                put(&mut objects, object, read);
            }
            Event::Delete(object) => remove(&mut self.objects.write(), object),
        }
    }

    fn concerns(&self) -> BTreeSet<Touched> {
        self.objects.keys().into_iter().map(Touched::Identity).collect()
    }
}

fn has<T>(objects: &Objects<T>, key: &Key, object: &impl Resource) -> bool {
    objects.get(key).is_some_and(|named| named.contains_key(&object.name_any()))
}

fn put<T>(objects: &mut Objects<T>, object: &impl Resource, read: Option<(Key, T)>) {
    if let Some((key, read)) = read {
        objects.entry(key).or_default().insert(object.name_any(), Arc::new(read));
    }
}

fn remove<T>(objects: &mut Objects<T>, object: &impl Resource) {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let holds = |(key, named): (&Key, &Named<T>)| named.contains_key(&name).then(|| key.clone());
    let holders: Vec<Key> = within(objects, &namespace).filter_map(holds).collect();
    for key in holders {
        let Some(named) = objects.get_mut(&key) else { continue };
        named.remove(&name);
        if named.is_empty() {
            objects.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::convert;
    use k8s_openapi::api::core::v1::Pod;
    use perpro_core::model::PodFacts;
    use perpro_core::names;
    use serde_json::json;

    fn pod(namespace: &str, identity: &str, name: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": namespace, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {names::IDENTITY_LABEL: identity}},
            "spec": {"containers": []},
        }))
        .unwrap()
    }

    fn key(namespace: &str, identity: &str) -> Key {
        Key { namespace: namespace.to_owned(), identity: identity.to_owned() }
    }

    fn listed(pods: Vec<Pod>) -> (Filler<Pod, PodFacts>, Labelled<PodFacts>) {
        let mut filler = Filler::new(convert::labelled_pod);
        filler.see(&Event::Init);
        pods.into_iter().for_each(|pod| filler.see(&Event::InitApply(pod)));
        filler.see(&Event::InitDone);
        let objects = filler.objects();
        (filler, objects)
    }

    fn names_of(objects: &Labelled<PodFacts>, key: &Key) -> Vec<String> {
        objects.of(key).iter().map(|pod| pod.name.clone()).collect()
    }

    #[test]
    fn each_identity_has_what_wears_its_label_in_its_namespace() {
        let (_, objects) = listed(vec![
            pod("ns", "a", "p1"),
            pod("ns", "a", "p2"),
            pod("ns", "b", "p3"),
            pod("ns2", "a", "p1"),
            pod("n", "a", "p1"),
        ]);
        assert_eq!(names_of(&objects, &key("ns", "a")), ["p1", "p2"]);
        assert_eq!(names_of(&objects, &key("ns", "b")), ["p3"]);
        assert_eq!(names_of(&objects, &key("ns", "c")), [""; 0]);
        assert_eq!([objects.count("n"), objects.count("ns"), objects.count("other")], [1, 3, 0]);
        assert_eq!(objects.keys(), [key("n", "a"), key("ns", "a"), key("ns", "b"), key("ns2", "a")]);
        let of_one = objects.all(Some("ns")).into_iter().map(|(key, pods)| (key.identity, pods.len()));
        assert_eq!(of_one.collect::<Vec<_>>(), [("a".to_owned(), 2), ("b".to_owned(), 1)]);
        assert_eq!(objects.all(None).len(), 4);
    }

    #[test]
    fn what_changes_or_goes_is_seen_at_once() {
        let (mut filler, objects) = listed(vec![pod("ns", "a", "p1"), pod("other", "a", "p1")]);
        let mut finished = pod("ns", "a", "p1");
        finished.status = serde_json::from_value(json!({"phase": "Failed"})).unwrap();
        filler.see(&Event::Apply(finished));
        assert!(objects.of(&key("ns", "a"))[0].finished);
        // It wears another label, and no more the first.
        filler.see(&Event::Apply(pod("ns", "b", "p1")));
        assert!(!objects.has(&key("ns", "a")));
        assert_eq!(names_of(&objects, &key("ns", "b")), ["p1"]);
        filler.see(&Event::Delete(pod("ns", "b", "p1")));
        assert_eq!(objects.keys(), [key("other", "a")]);
    }

    #[test]
    fn a_new_list_counts_when_it_is_whole_and_only_what_it_holds() {
        let (mut filler, objects) = listed(vec![pod("ns", "a", "p1"), pod("ns", "b", "p2")]);
        filler.see(&Event::Init);
        filler.see(&Event::InitApply(pod("ns", "c", "p3")));
        assert_eq!(objects.keys(), [key("ns", "a"), key("ns", "b")]);
        // A watch that broke off lists anew.
        filler.see(&Event::Init);
        filler.see(&Event::InitApply(pod("ns", "a", "p1")));
        filler.see(&Event::InitDone);
        assert_eq!(objects.keys(), [key("ns", "a")]);
        let again = |key| Touched::Identity(key);
        assert_eq!(filler.concerns(), BTreeSet::from([again(key("ns", "a"))]));
    }
}
