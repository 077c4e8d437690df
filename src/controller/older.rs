//! How many pods of governed namespaces have no identity: they were there before the label was.
//! Nothing touches them, so somebody should know of them.

use crate::cluster::{Cluster, describe};
use crate::runtime::metrics::METRICS;
use crate::snapshot::Instances;
use std::time::Duration;

/// They only ever become fewer, and slowly.
const EVERY: Duration = Duration::from_secs(300);

/// Counts, and counts again; never ends.
pub(super) async fn count(cluster: Cluster, instances: Instances) {
    loop {
        match older(&cluster, &instances).await {
            Ok(pods) => METRICS.older_pods.set([], pods as f64),
            Err(error) => tracing::warn!(error = describe(&error), "can't count the pods without identity"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn older(cluster: &Cluster, instances: &Instances) -> kube::Result<usize> {
    let mut pods = instances.without_account();
    for namespace in instances.governed_whole() {
        pods += cluster.unlabelled_pods(&namespace).await?;
    }
    Ok(pods)
}
