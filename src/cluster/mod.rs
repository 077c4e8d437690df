//! Every call to an API server.
//!
//! Each write is one function, named by a variant of [`Write`]: the list of them is the RBAC in
//! the chart and the list of points at which tests kill us.

mod accounts;
mod certificates;
mod events;
mod fault;
mod identities;
mod leases;
mod pods;

pub(crate) use accounts::NewAccount;
pub(crate) use fault::Write;
pub(crate) use leases::LeaseRecord;

use anyhow::Context;
use fault::Faults;
use kube::Client;
use kube::api::{DeleteParams, Preconditions};
use kube::runtime::events::{Recorder, Reporter};
use std::future::Future;

/// A connection, and the faults that a test may have asked for.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    recorder: Recorder,
    faults: Faults,
}

impl Cluster {
    /// Connects as kubectl would: `KUBECONFIG`, or the pod's own account.
    ///
    /// # Errors
    /// When no configuration is found or it can't be used.
    pub(crate) async fn connect() -> anyhow::Result<Self> {
        let client = Client::try_default().await.context("can't find out how to reach the API server")?;
        let reporter = Reporter { controller: "perpro".to_owned(), instance: None };
        let recorder = Recorder::new(client.clone(), reporter);
        Ok(Self { client, recorder, faults: Faults::from_env()? })
    }

    /// The client, for watches.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Makes the write `call`, dying before or after it where a test asks for that.
    async fn write<T>(&self, write: Write, call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
        self.faults.before(write);
        let result = call.await;
        if result.is_ok() {
            self.faults.after(write);
        }
        result
    }
}

/// Deletes only the object that was looked at, and only as it was.
fn exactly(uid: &str, resource_version: Option<&str>) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: resource_version.map(str::to_owned),
        }),
        ..DeleteParams::background()
    }
}

/// Whether the API server says that the object is not there.
pub(crate) fn is_not_found(error: &kube::Error) -> bool {
    status_code(error) == Some(404)
}

/// Whether somebody else was faster: the object exists, or is another version by now.
pub(crate) fn is_conflict(error: &kube::Error) -> bool {
    status_code(error) == Some(409)
}

fn status_code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// What the API server said, in one line; kube's own words repeat the whole Status.
pub(crate) fn describe(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Turns "it is gone" and "it is another version by now" into `false`: the next pass looks again.
fn settled<T>(result: kube::Result<T>) -> kube::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if is_not_found(&error) || is_conflict(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The same for a deletion, for which "it is gone" is as good as done.
fn deleted<T>(result: kube::Result<T>) -> kube::Result<bool> {
    match result {
        Err(error) if is_not_found(&error) => Ok(true),
        other => settled(other),
    }
}
