//! The Lease by which controller replicas elect their leader.

use super::{Cluster, Write};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use kube::api::{Api, PostParams};

/// What a Lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeaseRecord {
    /// Who holds it; nobody when empty.
    pub(crate) holder: String,
    /// When it was last renewed, by the holder's clock.
    pub(crate) renewed: Timestamp,
    /// How long it holds without being renewed, in seconds.
    pub(crate) seconds: i32,
    /// How often it changed hands.
    pub(crate) transitions: i32,
    /// Version read; `None` when there is no Lease yet.
    pub(crate) resource_version: Option<String>,
}

impl Cluster {
    /// The Lease, if there is one.
    pub(crate) async fn lease(&self, namespace: &str, name: &str) -> kube::Result<Option<LeaseRecord>> {
        let leases = Api::<Lease>::namespaced(self.client(), namespace);
        Ok(leases.get_opt(name).await?.map(|lease| {
            let spec = lease.spec.unwrap_or_default();
            LeaseRecord {
                holder: spec.holder_identity.unwrap_or_default(),
                renewed: spec.renew_time.map_or(Timestamp::MIN, |t| t.0),
                seconds: spec.lease_duration_seconds.unwrap_or_default(),
                transitions: spec.lease_transitions.unwrap_or_default(),
                resource_version: lease.metadata.resource_version,
            }
        }))
    }

    /// Writes the Lease over the version in `record`; a conflict means that another was faster.
    /// It ends with its owner, if it has one.
    pub(crate) async fn hold_lease(
        &self,
        namespace: &str,
        name: &str,
        record: &LeaseRecord,
        owner: Option<OwnerReference>,
    ) -> kube::Result<()> {
        let object = Lease {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                resource_version: record.resource_version.clone(),
                owner_references: owner.map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(record.holder.clone()),
                renew_time: Some(MicroTime(record.renewed)),
                lease_duration_seconds: Some(record.seconds),
                lease_transitions: Some(record.transitions),
                ..LeaseSpec::default()
            }),
        };
        let leases = Api::<Lease>::namespaced(self.client(), namespace);
        let params = PostParams::default();
        if record.resource_version.is_some() {
            self.write(Write::HoldLease, leases.replace(name, &params, &object)).await.map(drop)
        } else {
            self.write(Write::HoldLease, leases.create(&params, &object)).await.map(drop)
        }
    }
}
