//! What the cluster says of the namespaces that the manifests go to.

use crate::cluster::{Cluster, describe, is_forbidden, is_not_found};
use anyhow::anyhow;
use kube::ResourceExt;
use perpro_core::api::AgentPolicy;
use perpro_core::decide::check::Governance;
use perpro_core::model::Identity;
use perpro_core::names;
use std::collections::{BTreeMap, BTreeSet};

/// What is there already.
#[derive(Debug, Default)]
pub(in crate::cli) struct Facts {
    /// Whether a cluster was asked.
    pub(in crate::cli) asked: bool,
    /// By namespace.
    pub(in crate::cli) identities: BTreeMap<String, Vec<Identity>>,
    pub(in crate::cli) policies: Vec<AgentPolicy>,
    /// How each labelled namespace is governed; `None` when this person may not see namespaces.
    pub(in crate::cli) governed: Option<BTreeMap<String, Governance>>,
}

impl Facts {
    /// Asks a cluster.
    pub(in crate::cli) async fn read(
        cluster: &Cluster,
        namespaces: &BTreeSet<String>,
    ) -> anyhow::Result<Self> {
        let failed = |what: &str, error: &kube::Error| {
            let hint = if is_not_found(error) { "; is perpro installed there?" } else { "" };
            anyhow!("can't read {what}: {}{hint}", describe(error))
        };
        let mut facts = Self { asked: true, ..Self::default() };
        for namespace in namespaces {
            let found = cluster.identities(namespace).await;
            let found = found.map_err(|e| failed(&format!("the AgentIdentities of {namespace}"), &e))?;
            facts.identities.insert(namespace.clone(), found);
        }
        facts.policies = cluster.agent_policies().await.map_err(|e| failed("the AgentPolicies", &e))?;
        facts.governed = match cluster.governed_namespaces().await {
            Ok(found) => {
                let label = |n: &k8s_openapi::api::core::v1::Namespace| {
                    Governance::of(n.labels().get(names::ENFORCE_LABEL).map(String::as_str))
                };
                Some(found.iter().map(|n| (n.name_any(), label(n))).collect())
            }
            Err(error) if is_forbidden(&error) => None,
            Err(error) => return Err(failed("the namespaces", &error)),
        };
        Ok(facts)
    }
}
