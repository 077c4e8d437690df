//! The end of an installation: takes the controller's place, closes the webhook, and ends what
//! all instances have, so that nothing is left that nobody looks after.
//!
//! A failure leaves perpro installed: agents are refused until the release is rolled back to, which
//! brings the webhook's Service back, and a controller leads again when the Lease expires.

use super::leader::{HOLDS_SECONDS, LeaseName};
use crate::cluster::{Cluster, LeaseRecord, describe, is_conflict};
use crate::snapshot::Remains;
use anyhow::{anyhow, bail};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::Role;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use perpro_core::decide::lifecycle::{Chain, Step};
use perpro_core::decide::uninstall::end_all;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How the Lease names us.
const HOLDER: &str = "perpro-uninstall";
/// How long the Lease keeps controllers away after our time: helm deletes them meanwhile.
const AFTERWARDS: Duration = Duration::from_secs(300);
/// Writes at once.
const CHAINS: usize = 16;
/// Pause between two looks at what is left: others' finalizers take their time.
const AGAIN: Duration = Duration::from_secs(1);
/// How many of each kind a failure names.
const NAMED: usize = 5;

/// What the release calls things.
#[derive(Debug)]
pub(crate) struct Names {
    /// The controller's Lease.
    pub(crate) lease: LeaseName,
    /// The webhook's Service, in the same namespace.
    pub(crate) service: String,
    /// Secrets of the certificate Job, in the same namespace.
    pub(crate) secrets: Vec<String>,
}

/// Ends everything within `limit`.
///
/// # Errors
/// When it could not, with what is left.
pub(crate) async fn run(names: Names, limit: Duration, stop: CancellationToken) -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    let ended = stop.run_until_cancelled(tokio::time::timeout(limit, end(&cluster, &names, limit))).await;
    let why = match ended {
        Some(Ok(Ok(()))) => return Ok(()),
        Some(Ok(Err(error))) => format!("{error:#}"),
        Some(Err(_)) => format!("it was not done within {} s", limit.as_secs()),
        None => "it was told to stop".to_owned(),
    };
    let left = match tokio::time::timeout(AGAIN * 10, Remains::list(&cluster.client())).await {
        Ok(Ok(left)) => describe_left(&left),
        Ok(Err(error)) => format!("unknown: {}", describe(&error)),
        Err(_) => "unknown: the API server did not answer".to_owned(),
    };
    bail!("perpro is not uninstalled: {why}; left of agents: {left}");
}

async fn end(cluster: &Cluster, names: &Names, limit: Duration) -> anyhow::Result<()> {
    let LeaseName { namespace, name } = &names.lease;
    // A person would stop the controller, and then be refused by the policies, which know only accounts of ours.
    let account = told(cluster.own_account().await, || "can't ask who this is".to_owned())?;
    let Some(account) = account else {
        bail!("use \"helm uninstall\": this runs in its Job, under the controller's account");
    };
    let taken = take_over(cluster, &names.lease, limit, account).await;
    told(taken, || format!("can't take Lease \"{name}\""))?;
    let service = &names.service;
    let closed = cluster.close_webhook(namespace, service).await;
    told(closed, || format!("can't delete Service \"{service}\""))?;
    // By then a leader that can't renew has ended, and so has every request that the webhook has
    // answered: nothing of agents is made any more.
    tracing::info!(seconds = HOLDS_SECONDS, "waiting for the controller and the webhook to end");
    tokio::time::sleep(Duration::from_secs(HOLDS_SECONDS.unsigned_abs().into())).await;

    loop {
        let left = told(Remains::list(&cluster.client()).await, || "can't see what is left".to_owned())?;
        if left.is_empty() {
            break;
        }
        tracing::info!(left = describe_left(&left), "ending agents");
        sweep(cluster, left).await;
        tokio::time::sleep(AGAIN).await;
    }
    let recorded = told(cluster.recorded_namespaces().await, || "can't list GovernedNamespaces".to_owned())?;
    for namespace in recorded {
        let released = cluster.release_secrets(&namespace).await;
        told(released, || format!("can't delete the GovernedNamespace of \"{namespace}\""))?;
    }
    for secret in &names.secrets {
        let deleted = cluster.delete_certificate(namespace, secret).await;
        told(deleted, || format!("can't delete Secret \"{secret}\""))?;
    }
    tracing::info!("nothing is left of agents but pods that run, without power");
    Ok(())
}

/// What went wrong, in one line: it is the last that a person sees of the Job.
fn told<T>(result: kube::Result<T>, what: impl Fn() -> String) -> anyhow::Result<T> {
    result.map_err(|error| anyhow!("{}: {}", what(), describe(&error)))
}

/// Takes the Lease from whoever holds it: a leader can't renew it over our version. It goes with
/// the controller's account, hence with the release.
async fn take_over(
    cluster: &Cluster,
    lease: &LeaseName,
    limit: Duration,
    account: OwnerReference,
) -> kube::Result<()> {
    let owner = Some(account);
    let seconds = i32::try_from((limit + AFTERWARDS).as_secs()).unwrap_or(i32::MAX);
    loop {
        let seen = cluster.lease(&lease.namespace, &lease.name).await?;
        let record = LeaseRecord {
            holder: HOLDER.to_owned(),
            renewed: Timestamp::now(),
            seconds,
            transitions: seen.as_ref().map_or(0, |r| r.transitions + 1),
            resource_version: seen.and_then(|r| r.resource_version),
        };
        match cluster.hold_lease(&lease.namespace, &lease.name, &record, owner.clone()).await {
            Err(error) if is_conflict(&error) => {} // it was renewed in between
            other => return other,
        }
    }
}

/// Makes every write that is missing. One that fails is told, and made again at the next look.
async fn sweep(cluster: &Cluster, left: BTreeMap<String, Remains>) {
    let mut writes = Vec::new();
    for (namespace, remains) in &left {
        let roles = remains.roles.iter().map(Write::Empty);
        let chains =
            end_all(&remains.gated, &remains.accounts, &remains.bindings).into_iter().map(Write::Chain);
        writes.extend(roles.chain(chains).map(|write| (namespace, write)));
    }
    let writes = writes.into_iter().map(async |(namespace, write)| {
        if let Err(error) = apply(cluster, namespace, write).await {
            tracing::warn!(namespace, error = describe(&error), "a write failed and is tried again");
        }
    });
    futures::stream::iter(writes).buffer_unordered(CHAINS).collect::<Vec<()>>().await;
}

enum Write<'a> {
    Empty(&'a Role),
    Chain(Chain),
}

async fn apply(cluster: &Cluster, namespace: &str, write: Write<'_>) -> kube::Result<()> {
    let chain = match write {
        Write::Empty(role) => return cluster.empty_role(namespace, role).await,
        Write::Chain(chain) => chain,
    };
    for step in chain {
        let done = match step {
            Step::Unbind(binding) => cluster.unbind(namespace, &binding).await?,
            Step::DeleteAccount(account) => cluster.delete_account(namespace, &account).await?,
            Step::DeletePod { pod_name, pod_uid, grace_seconds, .. } => {
                cluster.delete_pod(namespace, &pod_name, &pod_uid, grace_seconds).await?
            }
            // The plan of an uninstallation has no others.
            _ => false,
        };
        if !done {
            break;
        }
    }
    Ok(())
}

/// What is left, by name, and how many more.
fn describe_left(left: &BTreeMap<String, Remains>) -> String {
    let of = |kind: &str, names: &dyn Fn(&Remains) -> Vec<String>| {
        let all: Vec<_> =
            left.iter().flat_map(|(ns, r)| names(r).into_iter().map(move |n| format!("{ns}/{n}"))).collect();
        let more = match all.len().saturating_sub(NAMED) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let named: Vec<_> = all.iter().take(NAMED).map(String::as_str).collect();
        (!all.is_empty()).then(|| format!("{kind} {}{more}", named.join(", ")))
    };
    let kinds = [
        of("RoleBinding", &|r| r.bindings.iter().map(|b| b.name.clone()).collect()),
        of("ServiceAccount", &|r| r.accounts.iter().map(|a| a.name.clone()).collect()),
        of("gated Pod", &|r| r.gated.iter().map(|p| p.name.clone()).collect()),
        of("Role with rules", &|r| r.roles.iter().map(ResourceExt::name_any).collect()),
    ];
    let told: Vec<_> = kinds.into_iter().flatten().collect();
    if told.is_empty() { "nothing".to_owned() } else { told.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perpro_core::model::Binding;

    #[test]
    fn what_is_left_is_told_by_name_and_number() {
        let binding = |i| Binding {
            name: format!("aid-bot-{i}"),
            uid: String::new(),
            resource_version: String::new(),
            deleting: true,
        };
        let remains = Remains { bindings: (0..7).map(binding).collect(), ..Remains::default() };
        let left = BTreeMap::from([("support".to_owned(), remains)]);
        let names = (0..5).map(|i| format!("support/aid-bot-{i}")).collect::<Vec<_>>().join(", ");
        assert_eq!(describe_left(&left), format!("RoleBinding {names} and 2 more"));
        assert_eq!(describe_left(&BTreeMap::new()), "nothing");
    }
}
