//! The controller: claims, binds and ungates agent pods, and ends their power when it is over.
//!
//! One leader by Lease, but every write is safe under two. A pass looks at one identity and all
//! its instances; [`queue`] says which and when, [`pass`] observes, plans and applies.

mod leader;
mod pass;
mod queue;

use crate::cluster::Cluster;
use crate::runtime::health::{self, Readiness};
use crate::snapshot::{Instances, Snapshot, Watches};
use anyhow::Context;
use leader::Candidate;
use pass::Controller;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Runs until `stop`, or until something that must not end has ended; then the process is to be
/// started again.
///
/// # Errors
/// When a watch ends, the Lease is lost, or the health endpoints can't be served.
pub(crate) async fn run(
    lease_namespace: String,
    replica: Option<String>,
    health_listen: SocketAddr,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    let (touch, touched) = mpsc::unbounded_channel();
    let mut watches = Watches::new(Some(touch));
    let snapshot = Snapshot::start(&cluster.client(), &mut watches);
    let instances = Instances::start(&cluster.client(), &mut watches, &lease_namespace);
    let readiness = Readiness::default();
    let controller = Arc::new(Controller::new(cluster.clone(), snapshot, instances));
    let candidate = Candidate::new(cluster, lease_namespace, replica)?;

    let lead = async {
        if stop.run_until_cancelled(watches.synced()).await.is_none() {
            return Ok(());
        }
        readiness.set();
        let Some(term) = candidate.elected(&stop).await else { return Ok(()) };
        tokio::select! {
            error = watches.ended() => Err(error),
            error = term.lost() => Err(error),
            () = queue::work(controller, touched, &stop) => term.resign().await,
        }
    };
    // Health answers until the Lease is given up, hence no stop of its own.
    tokio::select! {
        result = lead => result,
        result = health::serve(health_listen, readiness.clone(), CancellationToken::new()) => {
            result.context("health endpoints")
        }
    }
}
