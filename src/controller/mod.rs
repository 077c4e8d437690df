//! The controller: claims, binds and ungates agent pods, and ends their power when it is over.
//!
//! One leader by Lease, but every write is safe under two. A pass looks at one identity and all
//! its instances; [`queue`] says which and when, [`work`] runs it, [`pass`] observes, plans and applies.

mod apply;
mod claims;
mod leader;
mod older;
mod pass;
mod queue;
mod recent;
mod rejected;
pub(crate) mod uninstall;
mod work;

use crate::cluster::{Cluster, Probe};
use crate::runtime::health::{self, Readiness};
use crate::runtime::metrics::METRICS;
use crate::snapshot::{Instances, Snapshot, Watches};
use leader::Candidate;
pub(crate) use leader::LeaseName;
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
    lease: LeaseName,
    replica: Option<String>,
    health_listen: SocketAddr,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    let (touch, touched) = mpsc::unbounded_channel();
    let mut watches = Watches::new(Some(touch.clone()));
    let snapshot = Snapshot::start(&cluster.client(), &mut watches);
    let instances = Instances::start(&cluster.client(), &mut watches, &lease.namespace);
    let readiness = Readiness::default();
    let census = {
        let (snapshot, instances) = (snapshot.clone(), instances.clone());
        move || {
            snapshot.census();
            instances.census();
        }
    };
    METRICS.leader.set([], 0.0);
    let older = older::count(cluster.clone(), instances.clone());
    let controller = Arc::new(Controller::new(cluster.clone(), snapshot, instances, touch));
    let guard = cluster.clone();
    let candidate = Candidate::new(cluster, lease, replica)?;

    let lead = async {
        let synced = watches.synced();
        tokio::select! {
            error = watches.ended() => return Err(error),
            _ = async { tokio::join!(synced, guard.guarded(Probe::Binding)) } => {}
            () = stop.cancelled() => return Ok(()),
        }
        readiness.set();
        let Some(term) = candidate.elected(&stop).await else { return Ok(()) };
        METRICS.leader.set([], 1.0);
        tokio::select! {
            error = watches.ended() => Err(error),
            error = term.lost() => Err(error),
            () = older => Ok(()),
            () = work::work(controller, touched, &stop) => term.resign().await,
        }
    };
    // Health answers until the Lease is given up.
    tokio::select! {
        result = lead => result,
        result = health::serve(health_listen, readiness.clone(), census) => result,
    }
}
