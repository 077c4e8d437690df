//! Watches that fill stores and say which identity to look at again.

use super::{Key, key_of};
use crate::runtime::lean::Lean;
use crate::runtime::metrics::METRICS;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Api, PartialObjectMeta};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_objects};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Touched {
    /// Something of one identity.
    Identity(Key),
    /// Something that concerns every identity of a namespace.
    Namespace(String),
    /// Something that may concern every identity.
    Everything,
}

/// The running watches, and where they report.
pub(crate) struct Watches {
    tasks: JoinSet<&'static str>,
    synced: Vec<Pin<Box<dyn Future<Output = ()> + Send>>>,
    touched: Option<mpsc::UnboundedSender<Touched>>,
}

impl Watches {
    /// No watches yet; `touched` hears of every change.
    pub(crate) fn new(touched: Option<mpsc::UnboundedSender<Touched>>) -> Self {
        Self { tasks: JoinSet::new(), synced: Vec::new(), touched }
    }

    /// Waits until every store holds what was there when its watch began.
    pub(crate) async fn synced(&mut self) {
        futures::future::join_all(self.synced.drain(..)).await;
    }

    /// Resolves with the name of a watch when it ends, which none should.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Ok(kind)) => anyhow::anyhow!("the watch of {kind} ended"),
            Some(Err(error)) => anyhow::anyhow!("a watch failed: {error}"),
            None => anyhow::anyhow!("there is no watch"),
        }
    }

    /// Watches objects in every namespace, those with `label` if given; `trim` drops what nobody
    /// reads. Of a [`PartialObjectMeta`] only the metadata is sent.
    pub(super) fn follow<K>(&mut self, client: &Client, label: Option<&str>, trim: fn(&mut K)) -> Store<K>
    where
        K: Resource<DynamicType = ()> + Concerns + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        self.follow_with(client, label, trim, |_| {})
    }

    /// The same; `observe` is called with every event when the store has it.
    pub(super) fn follow_with<K>(
        &mut self,
        client: &Client,
        label: Option<&str>,
        trim: fn(&mut K),
        observe: impl Fn(&Event<K>) + Send + 'static,
    ) -> Store<K>
    where
        K: Resource<DynamicType = ()> + Concerns + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let config = label.map_or_else(watcher::Config::default, |l| watcher::Config::default().labels(l));
        let kind: &'static str = K::kind(&()).into_owned().leak();
        METRICS.watch_restarts.begin([kind]);
        let stream = watch_objects(Api::<Lean<K>>::all(client.clone()), config);
        let stream = stream.map_ok(unwrapped).modify(trim);
        let (store, writer) = reflector::store::<K>();
        let reader = store.clone();
        self.synced.push(Box::pin(async move {
            // The writer lives as long as the process.
            let _ = reader.wait_until_ready().await;
        }));
        let (reader, touched) = (store.clone(), self.touched.clone());
        self.tasks.spawn(async move {
            let mut events = Box::pin(stream.default_backoff().reflect(writer));
            let mut listed = BTreeSet::new();
            while let Some(event) = events.next().await {
                let _ = event.as_ref().map(&observe);
                let report: BTreeSet<Touched> = match event {
                    Ok(Event::Apply(object)) => object.concerns().into_iter().collect(),
                    Ok(Event::Delete(object)) => object.concerns_when_gone().into_iter().collect(),
                    // A new list: what was there before and is not any more changed too.
                    Ok(Event::Init) => {
                        listed = reader.state().iter().filter_map(|o| o.concerns_when_gone()).collect();
                        continue;
                    }
                    Ok(Event::InitApply(object)) => {
                        listed.extend(object.concerns());
                        continue;
                    }
                    Ok(Event::InitDone) => std::mem::take(&mut listed),
                    Err(error) => {
                        METRICS.watch_restarts.inc([kind]);
                        tracing::warn!(kind, %error, "a watch was interrupted and is tried again");
                        continue;
                    }
                };
                if let Some(touched) = &touched {
                    // Nobody listens any more only at shutdown.
                    report.into_iter().for_each(|t| drop(touched.send(t)));
                }
            }
            kind
        });
        store
    }
}

/// Which identities a change of an object concerns.
pub(crate) trait Concerns {
    /// What to look at again.
    fn concerns(&self) -> Option<Touched>;

    /// What to look at again when it is gone.
    fn concerns_when_gone(&self) -> Option<Touched> {
        self.concerns()
    }
}

impl Concerns for DeserializeGuard<perpro_core::api::AgentIdentity> {
    /// A new spec concerns the whole namespace: which identity owns a Secret depends on all of
    /// them. Our own status write and annotations concern only itself.
    fn concerns(&self) -> Option<Touched> {
        let observed = self.0.as_ref().ok().and_then(|i| i.status.as_ref()?.observed_generation);
        let namespace = self.namespace()?;
        if observed.is_none() || observed != self.meta().generation {
            return Some(Touched::Namespace(namespace));
        }
        Some(Touched::Identity(Key { namespace, identity: self.name_any() }))
    }

    fn concerns_when_gone(&self) -> Option<Touched> {
        self.namespace().map(Touched::Namespace)
    }
}

impl Concerns for perpro_core::api::AgentPolicy {
    fn concerns(&self) -> Option<Touched> {
        Some(Touched::Everything)
    }
}

impl Concerns for PartialObjectMeta<Namespace> {
    fn concerns(&self) -> Option<Touched> {
        Some(Touched::Namespace(self.name_any()))
    }
}

macro_rules! labelled {
    ($($kind:ty),*) => { $(impl Concerns for $kind {
        fn concerns(&self) -> Option<Touched> { key_of(self).map(Touched::Identity) }
    })* };
}
labelled!(
    k8s_openapi::api::core::v1::Pod,
    k8s_openapi::api::rbac::v1::Role,
    PartialObjectMeta<ServiceAccount>,
    PartialObjectMeta<k8s_openapi::api::rbac::v1::RoleBinding>
);

/// The event about the object itself.
fn unwrapped<K>(event: Event<Lean<K>>) -> Event<K> {
    match event {
        Event::Apply(Lean(object)) => Event::Apply(object),
        Event::Delete(Lean(object)) => Event::Delete(object),
        Event::Init => Event::Init,
        Event::InitApply(Lean(object)) => Event::InitApply(object),
        Event::InitDone => Event::InitDone,
    }
}
