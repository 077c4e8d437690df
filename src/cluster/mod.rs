//! Every call to an API server.
//!
//! Each write is one function, named by a variant of [`Write`]: the list of them is the RBAC in
//! the chart and the list of points at which tests kill us.

mod accounts;
mod certificates;
mod checks;
mod events;
mod fault;
mod governed;
mod grants;
mod identities;
mod installation;
mod instances;
mod leases;
mod listing;
mod people;
mod pods;
mod proof;
mod questions;
mod uninstall;
mod workloads;

pub(crate) use accounts::NewAccount;
pub(crate) use fault::Write;
pub(crate) use governed::Record;
pub(crate) use installation::AdmissionObject;
pub(crate) use instances::Selection;
pub(crate) use leases::LeaseRecord;
pub(crate) use listing::Kind;
pub(crate) use people::Person;
pub(crate) use proof::Probe;
pub(crate) use questions::Subject;

use crate::runtime::metrics::{METRICS, WriteOutcome};
use crate::runtime::trace::{Instance, Step};
use anyhow::Context;
use fault::Faults;
use kube::Client;
use kube::api::{DeleteParams, Preconditions};
use kube::runtime::events::{Recorder, Reporter};
use perpro_core::model::PodFacts;
use perpro_core::names;
use std::future::Future;
use std::time::Duration;

/// How long a write may take that gives power, or tells of it. What makes an API server slow may be one tenant's doing, and
/// kube tries again by itself for minutes: who waits for the write then waits for that. A later pass makes it again.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same of one that takes power, and of a person's. Another's webhook that fails open and does not answer holds a write
/// for up to 30 s (`timeoutSeconds`), several for as long as an API server works on a request (60 s, its
/// `--request-timeout`): who hangs up earlier hangs up each time, and the power stays.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(65);

/// A connection, and the faults that a test may have asked for.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    recorder: Recorder,
    faults: Faults,
    patience: fn(Write) -> Duration,
}

impl Cluster {
    /// Connects as kubectl would: `KUBECONFIG`, or the pod's own account.
    ///
    /// # Errors
    /// When no configuration is found or it can't be used.
    pub(crate) async fn connect() -> anyhow::Result<Self> {
        Self::with_client(Client::try_default().await.context("can't find out how to reach the API server")?)
    }

    /// The same over a client that is there already.
    ///
    /// # Errors
    /// When a test asks for a fault that there is not.
    pub(crate) fn with_client(client: Client) -> anyhow::Result<Self> {
        let reporter = Reporter { controller: "perpro".to_owned(), instance: None };
        let recorder = Recorder::new(client.clone(), reporter);
        Ok(Self { client, recorder, faults: Faults::from_env()?, patience })
    }

    /// The client, for watches.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Makes the write `call` and counts it, dying before or after it where a test asks for that.
    async fn write<T>(&self, write: Write, call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
        self.faults.before(write);
        let result = within((self.patience)(write), call).await;
        let outcome =
            result.as_ref().map_or_else(|e| WriteOutcome::of_error(status_code(e)), |_| WriteOutcome::Done);
        METRICS.wrote(write.name(), outcome);
        if result.is_ok() {
            self.faults.after(write);
        }
        result
    }

    /// The same as a step on the way of an agent pod, so that it shows in the pod's trace.
    async fn write_for<T>(
        &self,
        instance: Instance<'_>,
        write: Write,
        call: impl Future<Output = kube::Result<T>>,
    ) -> kube::Result<T> {
        let step = Step::write(write.name());
        let result = self.write(write, call).await;
        step.end(&instance, result.as_ref().err().map(describe));
        result
    }
}

/// How long a write may take.
fn patience(write: Write) -> Duration {
    match write {
        Write::ApplyRole
        | Write::Unbind
        | Write::DeleteAccount
        | Write::DeletePod
        | Write::CloseWebhook
        | Write::SuspendIdentity
        | Write::ResumeIdentity
        | Write::RevokeIdentity => PATIENCE_AT_THE_END,
        _ => PATIENCE,
    }
}

/// What a call says, or that it took longer than this: whether it was carried out is not known then.
async fn within<T>(limit: Duration, call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    let late = |_| Err(kube::Error::Service(format!("no answer within {} s", limit.as_secs()).into()));
    tokio::time::timeout(limit, call).await.unwrap_or_else(late)
}

/// A pod and its account, as its trace names them.
fn instance<'a>(namespace: &'a str, account: &'a str, pod: Option<&'a PodFacts>) -> Instance<'a> {
    Instance {
        namespace,
        identity: names::identity_of(account).unwrap_or_default(),
        account,
        pod: pod.map(|p| p.name.as_str()),
        pod_uid: pod.map(|p| p.uid.as_str()),
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

/// Whether the caller may not do this.
pub(crate) fn is_forbidden(error: &kube::Error) -> bool {
    status_code(error) == Some(403)
}

fn status_code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// What the API server said when it refused a write that RBAC allows: by a quota or a policy.
pub(crate) fn refused(error: &kube::Error) -> Option<String> {
    matches!(status_code(error), Some(403 | 422)).then(|| describe(error))
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

/// The same for a deletion, for which "it is gone" is as good as done; so is an answer, the object as it was, that can't
/// be read: what is deleted may be of any shape.
fn deleted<T>(result: kube::Result<T>) -> kube::Result<bool> {
    match result {
        Err(error) if is_not_found(&error) || matches!(error, kube::Error::SerdeError(_)) => Ok(true),
        other => settled(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_write_that_nobody_answers_is_given_up() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let nobody = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let mut cluster = Cluster::with_client(Client::try_from(nobody).unwrap()).unwrap();
        let done = cluster.write(Write::Bind, std::future::ready(Ok(1))).await;
        assert_eq!(done.unwrap(), 1);
        cluster.patience = |_| Duration::ZERO;
        let late = cluster.write(Write::Bind, std::future::pending::<kube::Result<()>>());
        // Or a write without a bound would hold up this test, too, for ever.
        let late = tokio::time::timeout(Duration::from_secs(5), late).await.unwrap().unwrap_err();
        assert!(describe(&late).contains("no answer within 0 s"), "{}", describe(&late));
    }

    #[test]
    fn what_takes_power_waits_longer_than_an_api_server_works_on_a_request() {
        let limit = Duration::from_secs(60);
        let takes = [Write::ApplyRole, Write::Unbind, Write::DeleteAccount, Write::DeletePod];
        let by_people = [Write::SuspendIdentity, Write::RevokeIdentity];
        assert!(takes.into_iter().chain(by_people).all(|write| patience(write) > limit));
        let gives = [Write::MintAccount, Write::ClaimAccount, Write::Bind, Write::Ungate, Write::HoldLease];
        assert!(gives.into_iter().all(|write| patience(write) < limit), "ends of others wait for them");
    }
}
