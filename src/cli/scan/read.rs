//! What `perpro scan` lists, and what it says of lists that it may not have.

use crate::cluster::{Cluster, Kind, describe, is_not_found};
use crate::scan::Listing;
use serde_json::Value;

/// What to do with each object of a kind.
type Take = fn(&mut Listing, &Value);

const CORE: &str = "/api/v1";
const APPS: &str = "/apis/apps/v1";
const BATCH: &str = "/apis/batch/v1";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

const fn kind(api: &'static str, plural: &'static str) -> Kind {
    Kind { api, plural, namespaced: true, metadata_only: false, fields: "" }
}

const fn of_cluster(kind: Kind) -> Kind {
    Kind { namespaced: false, ..kind }
}

const fn metadata(kind: Kind) -> Kind {
    Kind { metadata_only: true, ..kind }
}

/// What comes before the pods, with what a scan does not know without it.
const FIRST: [(Kind, Take, &str); 8] = [
    (metadata(of_cluster(kind(CORE, "namespaces"))), Listing::namespace, "owners named there are not seen"),
    (metadata(kind(APPS, "replicasets")), |l, o| l.maker("ReplicaSet", o), "some pods are not told by their Deployment"),
    (metadata(kind(BATCH, "jobs")), |l, o| l.maker("Job", o), "pods are told by their Job, not by its CronJob"),
    (kind(CORE, "serviceaccounts"), Listing::account, "owners named there, and unused accounts, are not seen"),
    (kind(RBAC, "roles"), Listing::role, "crack 2, and who can get at agents, leave out what they give"),
    (
        of_cluster(kind(RBAC, "clusterroles")),
        Listing::role,
        "crack 2, and who can get at agents, leave out what they give",
    ),
    (kind(RBAC, "rolebindings"), Listing::binding, "crack 2, and who can get at agents, leave out what they give"),
    (
        of_cluster(kind(RBAC, "clusterrolebindings")),
        Listing::binding,
        "crack 2, and who can get at agents, leave out what they give",
    ),
];
const PODS: Kind = kind(CORE, "pods");
/// What may name owners and accounts where pods don't.
const TEMPLATES: [(Kind, Take); 4] = [
    (kind(APPS, "deployments"), |l, o| l.workload("Deployment", o)),
    (kind(APPS, "statefulsets"), |l, o| l.workload("StatefulSet", o)),
    (kind(APPS, "daemonsets"), |l, o| l.workload("DaemonSet", o)),
    (kind(BATCH, "cronjobs"), |l, o| l.workload("CronJob", o)),
];
const IDENTITIES: Kind = kind("/apis/perpro.dev/v1alpha1", "agentidentities");
/// Metadata of these alone; of other Secrets nothing is needed.
const TOKENS: Kind = Kind { fields: "type=kubernetes.io/service-account-token", ..metadata(kind(CORE, "secrets")) };

/// Lists a namespace, or all of the cluster.
pub(super) async fn read(cluster: &Cluster, namespace: Option<&str>) -> Listing {
    let mut listing = Listing::default();
    for (kind, take, without) in &FIRST {
        listed(cluster, kind, namespace, &mut listing, *take, without).await;
    }
    match cluster.each(&IDENTITIES, namespace, &mut |text| object(&mut listing, text, Listing::identity)).await {
        // Without perpro there are none.
        Err(error) if !is_not_found(&error) => {
            listing.gap(sentence(&IDENTITIES, &error, "agents of perpro count as unmapped"));
        }
        _ => {}
    }
    match cluster.each(&TOKENS, namespace, &mut |text| object(&mut listing, text, Listing::token_secret)).await {
        Ok(()) => {}
        Err(error) => listing.note(sentence(
            &TOKENS,
            &error,
            "cracks 1 and 3 count what pods name only, and not Secrets with a token that no pod names",
        )),
    }
    if let Err(error) = cluster.each(&PODS, namespace, &mut |text| listing.pod(text)).await {
        listing.gap(sentence(&PODS, &error, "agents and cracks are counted in what came before, if anything"));
    }
    for (kind, take) in &TEMPLATES {
        let without = "owners that only they name, and CronJobs between runs, are not seen";
        listed(cluster, kind, namespace, &mut listing, *take, without).await;
    }
    listing.note(
        "Members of group system:masters, and whoever the API server's other authorizers trust, may do everything and \
         stand in no RBAC object: they are not counted."
            .to_owned(),
    );
    listing
}

async fn listed(
    cluster: &Cluster,
    kind: &Kind,
    namespace: Option<&str>,
    listing: &mut Listing,
    take: Take,
    without: &str,
) {
    let listed = cluster.each(kind, namespace, &mut |text| object(listing, text, take)).await;
    if let Err(error) = listed {
        listing.gap(sentence(kind, &error, without));
    }
}

fn object(listing: &mut Listing, text: &str, take: Take) {
    match crate::runtime::lean::read(text) {
        Ok(object) => take(listing, &object),
        Err(_) => listing.gap("an object could not be read".to_owned()),
    }
}

/// `Secrets could not be listed (why); what that means`.
fn sentence(kind: &Kind, error: &kube::Error, without: &str) -> String {
    format!("{} could not be listed ({}): {without}.", kind.plural, describe(error))
}
