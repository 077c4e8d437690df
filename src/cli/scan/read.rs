//! What `perpro scan` lists, and what it says of lists that it may not have.

use crate::cluster::{Cluster, Kind, describe, is_not_found};
use crate::runtime::lean;
use crate::scan::Listing;
use serde_json::Value;

/// A list that is asked for.
struct List {
    kind: Kind,
    /// As people call them.
    called: &'static str,
    /// What to do with each object.
    take: fn(&mut Listing, &Value),
    /// What a scan does not know without it.
    without: &'static str,
}

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

const fn role(plural: &'static str, called: &'static str) -> List {
    List { kind: kind(RBAC, plural), called, take: Listing::role, without: NO_RBAC }
}

const fn binding(plural: &'static str, called: &'static str) -> List {
    List { kind: kind(RBAC, plural), called, take: Listing::binding, without: NO_RBAC }
}

const fn everywhere(list: List) -> List {
    List { kind: of_cluster(list.kind), ..list }
}

const fn template(
    api: &'static str,
    plural: &'static str,
    called: &'static str,
    take: fn(&mut Listing, &Value),
) -> List {
    List { kind: kind(api, plural), called, take, without: NO_TEMPLATES }
}

const NO_RBAC: &str = "cracks 2 and 6, and who can get at agents, leave out what they give";
const NO_TEMPLATES: &str =
    "owners that they alone name are not seen, and accounts that they alone use count as unused";

/// What comes before the pods.
const FIRST: [List; 8] = [
    List {
        kind: metadata(of_cluster(kind(CORE, "namespaces"))),
        called: "Namespaces",
        take: Listing::namespace,
        without: "owners that they alone name are not seen",
    },
    List {
        kind: metadata(kind(APPS, "replicasets")),
        called: "ReplicaSets",
        take: |listing, object| listing.maker("ReplicaSet", object),
        without: "some pods are told by their ReplicaSet",
    },
    List {
        kind: metadata(kind(BATCH, "jobs")),
        called: "Jobs",
        take: |listing, object| listing.maker("Job", object),
        without: "pods of a CronJob are told by their Job",
    },
    List {
        kind: kind(CORE, "serviceaccounts"),
        called: "ServiceAccounts",
        take: Listing::account,
        without: "owners that they alone name, and unused ones, are not seen",
    },
    role("roles", "Roles"),
    everywhere(role("clusterroles", "ClusterRoles")),
    binding("rolebindings", "RoleBindings"),
    everywhere(binding("clusterrolebindings", "ClusterRoleBindings")),
];
/// What may name owners and accounts where pods don't.
const LAST: [List; 4] = [
    template(APPS, "deployments", "Deployments", |listing, object| listing.workload("Deployment", object)),
    template(APPS, "statefulsets", "StatefulSets", |listing, object| listing.workload("StatefulSet", object)),
    template(APPS, "daemonsets", "DaemonSets", |listing, object| listing.workload("DaemonSet", object)),
    template(BATCH, "cronjobs", "CronJobs", |listing, object| listing.workload("CronJob", object)),
];
const PODS: Kind = kind(CORE, "pods");
const IDENTITIES: Kind = kind("/apis/perpro.dev/v1alpha1", "agentidentities");
/// Metadata of these alone; of other Secrets nothing is needed.
const TOKENS: Kind =
    Kind { fields: "type=kubernetes.io/service-account-token", ..metadata(kind(CORE, "secrets")) };

const NO_PODS: &str = "nothing is known of what came after, if anything came";
const NO_IDENTITIES: &str = "agents of perpro count as if nobody answered for them";
const NO_SECRETS: &str =
    "cracks 1 and 3 count what pods name only, and no Secret with a token that no pod names";
const NOT_IN_RBAC: &str = "Members of group system:masters may do everything, and stand in no RBAC object; nor do those whom other \
     authorizers trust. They are not counted.";

/// Lists a namespace, or all of the cluster.
pub(super) async fn read(cluster: &Cluster, namespace: Option<&str>) -> Listing {
    let mut listing = Listing::default();
    lists(cluster, namespace, &FIRST, &mut listing).await;
    let taken =
        cluster.each(&IDENTITIES, namespace, &mut |text| object(&mut listing, text, Listing::identity)).await;
    // Without perpro there are none.
    if let Err(error) = taken.or_else(|error| if is_not_found(&error) { Ok(()) } else { Err(error) }) {
        listing.gap(sentence("AgentIdentities", &error, NO_IDENTITIES));
    }
    let taken =
        cluster.each(&TOKENS, namespace, &mut |text| object(&mut listing, text, Listing::token_secret)).await;
    if let Err(error) = taken {
        listing.note(sentence("Secrets", &error, NO_SECRETS));
    }
    if let Err(error) = cluster.each(&PODS, namespace, &mut |text| listing.pod(text)).await {
        listing.gap(sentence("Pods", &error, NO_PODS));
    }
    lists(cluster, namespace, &LAST, &mut listing).await;
    listing.note(NOT_IN_RBAC.to_owned());
    listing
}

async fn lists(cluster: &Cluster, namespace: Option<&str>, lists: &[List], listing: &mut Listing) {
    for List { kind, called, take, without } in lists {
        let taken = cluster.each(kind, namespace, &mut |text| object(listing, text, *take)).await;
        if let Err(error) = taken {
            listing.gap(sentence(called, &error, without));
        }
    }
}

fn object(listing: &mut Listing, text: &str, take: fn(&mut Listing, &Value)) {
    match lean::read(text) {
        Ok(object) => take(listing, &object),
        Err(error) => listing.gap(format!("an object could not be read: {error}")),
    }
}

/// What could not be listed, why, and what that means for the numbers.
fn sentence(called: &str, error: &kube::Error, without: &str) -> String {
    format!("{called} could not be listed ({}): {without}.", describe(error))
}
