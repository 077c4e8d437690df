//! Requests to an API server, as they are: no types, and answers unread unless somebody wants them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};

use crate::objects;
use perpro_e2e::wait::{self, Probe};

/// Requests at a time, where their number is not what is measured.
const AT_ONCE: usize = 16;

/// An API server, asked as administrator.
#[derive(Clone)]
pub(super) struct ApiServer {
    pub(super) client: Client,
}

impl ApiServer {
    /// Creates an object and returns it.
    pub(super) async fn create(&self, path: &str, object: &Value) -> Result<Value> {
        let text = self.client.request_text(request(Method::POST, path, "application/json", object)?).await;
        Ok(serde_json::from_str(&text.with_context(|| format!("cannot create {path}"))?)?)
    }

    /// Creates an object, and tells how long that took.
    pub(super) async fn timed_create(&self, path: &str, object: &Value) -> Result<Duration> {
        let request = request(Method::POST, path, "application/json", object)?;
        let started = Instant::now();
        let answer = self.client.request_text(request).await;
        let took = started.elapsed();
        answer.with_context(|| format!("cannot create {path}")).map(|_| took)
    }

    /// Creates many, some at a time.
    pub(super) async fn create_all(&self, objects: Vec<(String, Value)>) -> Result<()> {
        let create = |(path, object): (String, Value)| async move { self.create(&path, &object).await };
        stream::iter(objects).map(create).buffer_unordered(AT_ONCE).try_for_each(async |_| Ok(())).await
    }

    /// Patches an object; `kind` is `merge-patch` or `strategic-merge-patch`.
    pub(super) async fn patch(&self, path: &str, kind: &str, patch: &Value) -> Result<()> {
        let request = request(Method::PATCH, path, &format!("application/{kind}+json"), patch)?;
        let answer = self.client.request_text(request).await;
        answer.with_context(|| format!("cannot patch {path}")).map(drop)
    }

    /// Deletes an object, or all of a collection.
    pub(super) async fn delete(&self, path: &str) -> Result<()> {
        let request = Request::delete(path).body(Vec::new())?;
        let answer = self.client.request_text(request).await;
        answer.with_context(|| format!("cannot delete {path}")).map(drop)
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.text(path).await?)?)
    }

    /// An answer that is not JSON.
    pub(super) async fn text(&self, path: &str) -> Result<String> {
        let answer = self.client.request_text(Request::get(path).body(Vec::new())?).await;
        answer.with_context(|| format!("cannot get {path}"))
    }

    /// How many objects a path lists.
    pub(super) async fn count(&self, path: &str) -> Result<usize> {
        Ok(self.get(path).await?["items"].as_array().map_or(0, Vec::len))
    }

    /// Waits until a path lists nothing.
    pub(super) async fn until_none(&self, path: &str) -> Result<()> {
        wait::until(&format!("{path} should be empty"), 2 * crate::SOON, async || {
            match self.count(path).await {
                Ok(0) => wait::ready(()),
                Ok(left) => wait::not_yet(format!("{left} are left")),
                Err(error) => Probe::Break(Err(error)),
            }
        })
        .await
    }

    /// Creates a namespace; `enforce`: `all`, `agents` or nothing. Returns when the label counts: the API server reads
    /// it from a cache.
    pub(super) async fn namespace(&self, name: &str, enforce: &str) -> Result<()> {
        let labels = if enforce.is_empty() { json!({}) } else { json!({"perpro.dev/enforce": enforce}) };
        self.create("/api/v1/namespaces", &objects::namespace(name, &labels)).await?;
        if enforce.is_empty() {
            return Ok(());
        }
        self.refuses(name, &objects::nameless_agent("probe")).await
    }

    /// Waits until a pod is refused in a namespace.
    pub(super) async fn refuses(&self, namespace: &str, pod: &Value) -> Result<()> {
        let path = format!("{}?dryRun=All", pods(namespace));
        wait::until(&format!("a pod should be refused in {namespace}"), crate::SOON, async || {
            match self.create(&path, pod).await.map_err(|error| error.downcast::<kube::Error>()) {
                Err(Ok(kube::Error::Api(status))) if [403, 422].contains(&status.code) => wait::ready(()),
                other => wait::not_yet(format!("{other:?}")),
            }
        })
        .await
    }
}

/// The path of a namespace's pods.
pub(super) fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

/// The path of a namespace's identities.
pub(super) fn identities(namespace: &str) -> String {
    format!("/apis/perpro.dev/v1alpha1/namespaces/{namespace}/agentidentities")
}

fn request(method: Method, path: &str, content: &str, object: &Value) -> Result<Request<Vec<u8>>> {
    let request = Request::builder().method(method).uri(path).header("content-type", content);
    Ok(request.body(serde_json::to_vec(object)?)?)
}
