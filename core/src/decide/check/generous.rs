//! An identity that lists whatever a pod holds and an identity can list. What is refused under it is refused under
//! every identity: so something can be said of a pod whose identity is not there to be asked.

use crate::api::{AgentIdentitySpec, ContainerGrant, KubernetesAccess, Owner, OwnerKind, SecretKeyGrant};
use crate::decide::credentials::{Credential, What, credentials};
use crate::decide::pod::AgentPod;
use crate::decide::times::lives_until;
use crate::model::{Author, Identity};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::BTreeMap;

/// The most generous identity of that name for this pod.
pub(super) fn identity(name: &str, namespace: &str, pod: &AgentPod, now: Timestamp) -> Identity {
    let mut containers = BTreeMap::<String, ContainerGrant>::new();
    for Credential { container, what, path: _ } in credentials(pod) {
        let Some(container) = container else { continue };
        let grant = containers
            .entry(container.clone())
            .or_insert_with(|| ContainerGrant { name: container, ..ContainerGrant::default() });
        match what {
            // Without a place of the identity's own, it stays where the pod has it.
            What::SecretKey { secret, key, place: _ } => {
                grant.secret_keys.push(SecretKeyGrant { secret, key, env: None, path: None });
            }
            What::Token { audience: None, .. } => grant.kubernetes_access = KubernetesAccess::Token,
            What::WholeSecret { .. } | What::Token { .. } | What::PodCertificate | What::FromFile { .. } => {}
        }
    }
    Identity {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: String::new(),
        generation: 1,
        created: now,
        deleting: false,
        author: Some(Author { user: String::new(), groups: Vec::new() }),
        authorization: None,
        spec: AgentIdentitySpec {
            owner: Owner { kind: OwnerKind::User, name: String::new() },
            contacts: Vec::new(),
            expires_at: Time(lives_until(now, 1)),
            justification: String::new(),
            suspended: false,
            permissions: Vec::new(),
            secrets: Vec::new(),
            containers: containers.into_values().collect(),
        },
    }
}
