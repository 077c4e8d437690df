//! Watches that fill stores and say which identity to look at again.

use super::Key;
use super::convert::key_of;
use super::known::Known;
use super::labelled::{Filler, Labelled};
use crate::runtime::lean::Lean;
use crate::runtime::metrics::METRICS;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Api, PartialObjectMeta};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_objects};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt::Debug;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Most objects in one answer to a list. Whoever reads it holds all of it several times over, as text and as untyped
/// JSON, so this bounds what a start costs in memory.
const PAGE: u32 = 100;

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

/// Kinds whose stores do not hold yet what was there when their watches began.
///
/// A store could be asked itself, but kube's `Store::wait_until_ready` wakes only the one that asked
/// last: a glance at it would leave whoever waits asleep for ever.
#[derive(Clone, Debug)]
pub(crate) struct Unread(watch::Receiver<BTreeSet<&'static str>>);

impl Unread {
    /// Those kinds by now.
    pub(crate) fn kinds(&self) -> BTreeSet<&'static str> {
        self.0.borrow().clone()
    }
}

/// The running watches, and where they report.
pub(crate) struct Watches {
    tasks: JoinSet<&'static str>,
    unread: watch::Sender<BTreeSet<&'static str>>,
    touched: Option<mpsc::UnboundedSender<Touched>>,
}

impl Watches {
    /// No watches yet; `touched` hears of every change.
    pub(crate) fn new(touched: Option<mpsc::UnboundedSender<Touched>>) -> Self {
        Self { tasks: JoinSet::new(), unread: watch::Sender::default(), touched }
    }

    /// Waits until every store holds what was there when its watch began.
    pub(crate) fn synced(&self) -> impl Future<Output = ()> + use<> {
        let mut unread = self.unread.subscribe();
        async move {
            // Without its sender there is no watch: `ended` tells.
            if unread.wait_for(BTreeSet::is_empty).await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// What they have not read yet.
    pub(super) fn unread(&self) -> Unread {
        Unread(self.unread.subscribe())
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
        let (store, writer) = reflector::store::<K>();
        self.follow_into(client, label, trim, Reflector { writer, observe });
        store
    }

    /// The same, of what wears the label of an identity, as `read` understands it.
    pub(super) fn follow_labelled<K, T>(
        &mut self,
        client: &Client,
        label: &str,
        read: fn(&K) -> Option<(Key, T)>,
    ) -> Labelled<T>
    where
        K: Resource<DynamicType = ()> + Concerns + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        let filler = Filler::new(read);
        let objects = filler.objects();
        self.follow_into(client, Some(label), |_| {}, filler);
        objects
    }

    fn follow_into<K>(
        &mut self,
        client: &Client,
        label: Option<&str>,
        trim: fn(&mut K),
        mut kept: impl Keeps<K>,
    ) where
        K: Resource<DynamicType = ()> + Concerns + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let mut config = watcher::Config::default().page_size(PAGE);
        config.label_selector = label.map(str::to_owned);
        let kind: &'static str = K::kind(&()).into_owned().leak();
        METRICS.watch_restarts.begin([kind]);
        let stream = watch_objects(Api::<Lean<K>>::all(client.clone()), config);
        let stream = stream.map_ok(unwrapped).modify(trim);
        self.unread.send_if_modified(|kinds| kinds.insert(kind));
        let (touched, unread) = (self.touched.clone(), self.unread.clone());
        self.tasks.spawn(async move {
            let mut events = Box::pin(stream.default_backoff());
            let mut listed = BTreeSet::new();
            while let Some(event) = events.next().await {
                let _ = event.as_ref().map(|event| kept.see(event));
                let report: BTreeSet<Touched> = match event {
                    Ok(Event::Apply(object)) => object.concerns().into_iter().collect(),
                    Ok(Event::Delete(object)) => object.concerns_when_gone().into_iter().collect(),
                    // A new list: what was there before and is not any more changed too.
                    Ok(Event::Init) => {
                        listed = kept.concerns();
                        continue;
                    }
                    Ok(Event::InitApply(object)) => {
                        listed.extend(object.concerns());
                        continue;
                    }
                    Ok(Event::InitDone) => {
                        unread.send_if_modified(|kinds| kinds.remove(kind));
                        std::mem::take(&mut listed)
                    }
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
    }
}

/// Where a watch puts what it brings.
pub(super) trait Keeps<K>: Send + 'static {
    /// Takes an event in.
    fn see(&mut self, event: &Event<K>);

    /// What to look at again if nothing is left of all that is there.
    fn concerns(&self) -> BTreeSet<Touched>;
}

/// A store of kube's, and who else is told.
struct Reflector<K, F>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    writer: Writer<K>,
    observe: F,
}

impl<K, F> Keeps<K> for Reflector<K, F>
where
    K: Resource<DynamicType = ()> + Concerns + Clone + Send + Sync + 'static,
    F: Fn(&Event<K>) + Send + 'static,
{
    fn see(&mut self, event: &Event<K>) {
        self.writer.apply_watcher_event(event);
        (self.observe)(event);
    }

    fn concerns(&self) -> BTreeSet<Touched> {
        self.writer.as_reader().state().iter().filter_map(|o| o.concerns_when_gone()).collect()
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

impl Concerns for Known {
    /// A new spec concerns the whole namespace: which identity owns a Secret depends on all of
    /// them. Our own status write and annotations concern only itself.
    fn concerns(&self) -> Option<Touched> {
        let observed = self.object().and_then(|i| i.status.as_ref()?.observed_generation);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Snapshot;
    use axum::extract::{Request, State};
    use axum::response::{IntoResponse, Response};
    use axum::{Json, Router};
    use kube::Config;
    use serde_json::json;
    use std::time::Duration;

    /// An API server that answers no list before it may.
    async fn answer(State(mut may): State<watch::Receiver<bool>>, request: Request) -> Response {
        if request.uri().query().is_some_and(|query| query.contains("watch=")) {
            return std::future::pending().await;
        }
        may.wait_for(|may| *may).await.unwrap();
        let list =
            json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": []});
        Json(list).into_response()
    }

    #[tokio::test]
    async fn whoever_asks_what_is_unread_keeps_nobody_waiting() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (go, may) = watch::channel(false);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().fallback(answer).with_state(may);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let client = Client::try_from(Config::new(server.parse().unwrap())).unwrap();

        let mut watches = Watches::new(None);
        let snapshot = Snapshot::start(&client, &mut watches);
        let asked = snapshot.clone();
        let synced = tokio::spawn(async move { watches.synced().await });
        tokio::task::yield_now().await;
        // As a review does that comes before the webhook is ready.
        assert_eq!(asked.unread(), ["AgentIdentity", "AgentPolicy", "ServiceAccount"]);
        go.send(true).unwrap();
        tokio::time::timeout(Duration::from_secs(10), synced).await.unwrap().unwrap();
        assert_eq!(asked.unread(), [""; 0]);
    }
}
