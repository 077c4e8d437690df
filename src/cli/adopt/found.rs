//! The workload, and what goes with it, as a cluster has them.

use super::super::check::Facts;
use crate::adopt::{KINDS, Known, Secret, Target, account, secrets_to_look_at};
use crate::cluster::{Cluster, describe, is_forbidden, is_not_found};
use crate::manifest::{self, Object};
use anyhow::{Context, anyhow, bail};
use perpro_core::decide::check::Governance;
use perpro_core::names;

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// All that is known of a workload.
pub(super) struct Found {
    pub(super) target: Target,
    pub(super) object: Object,
    pub(super) namespace: String,
    pub(super) known: Known,
    /// What is there already of ours.
    pub(super) facts: Facts,
    pub(super) notes: Vec<String>,
    /// Whether all of ours was seen that admission decides by.
    pub(super) whole: bool,
}

impl Found {
    /// Asks a cluster, as the person who asks.
    pub(super) async fn in_cluster(
        cluster: &Cluster,
        target: Target,
        namespace: &str,
    ) -> anyhow::Result<Self> {
        if !names::is_dns_label(namespace) {
            bail!("\"{namespace}\" is no name of a namespace");
        }
        let text = cluster.object_text(&target.kind.path(namespace), &target.name).await;
        let text =
            text.map_err(|e| anyhow!("can't read {target} in namespace \"{namespace}\": {}", describe(&e)))?;
        let text = text.with_context(|| format!("there is no {target} in namespace \"{namespace}\""))?;
        let read = manifest::read(text.as_bytes());
        let object = read.objects.into_iter().next().with_context(|| format!("{target} can't be read"))?;
        let mut asked = Asked { cluster, known: Known::default(), notes: Vec::new(), whole: true };
        asked.about(&target, &object, namespace).await?;
        let facts = asked.facts(namespace).await?;
        let Asked { mut known, notes, whole, .. } = asked;
        known.policies.clone_from(&facts.policies);
        known.other_identities = facts.identities.values().any(|all| !all.is_empty());
        Ok(Self { target, object, namespace: namespace.to_owned(), known, facts, notes, whole })
    }
}

/// What a cluster says, piece by piece: a person may not be allowed to see all.
struct Asked<'a> {
    cluster: &'a Cluster,
    known: Known,
    notes: Vec<String>,
    whole: bool,
}

impl Asked<'_> {
    async fn about(&mut self, target: &Target, object: &Object, namespace: &str) -> anyhow::Result<()> {
        for kind in &KINDS {
            let what = format!("{} of the namespace, which may use the same Secrets", kind.plural);
            self.list(&kind.path(namespace), &what).await?;
        }
        let account = account(object, target.kind);
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        match self.cluster.object(&accounts, account).await {
            Ok(found) => self.known.objects.extend(found.map(|mut found| {
                found["kind"] = "ServiceAccount".into();
                found
            })),
            Err(error) => self.unseen(&format!("service account \"{account}\""), &error)?,
        }
        if !self.list(&format!("{RBAC}/rolebindings"), "role bindings of other namespaces").await? {
            let own =
                self.list(&format!("{RBAC}/namespaces/{namespace}/rolebindings"), "role bindings").await?;
            self.rbac(own, "role bindings");
        }
        let roles = self.list(&format!("{RBAC}/namespaces/{namespace}/roles"), "roles").await?;
        self.rbac(roles, "roles");
        let bindings = self.list(&format!("{RBAC}/clusterrolebindings"), "cluster role bindings").await?;
        let roles = self.list(&format!("{RBAC}/clusterroles"), "cluster roles").await?;
        if bindings && !roles {
            self.rbac(false, "cluster roles");
        }
        for name in secrets_to_look_at(object, target.kind) {
            // API servers take any text there, and it would become a path.
            if !names::is_dns_subdomain(&name) {
                self.known.secrets.0.insert(name, Secret::Unknown("that is no name of a Secret".to_owned()));
                continue;
            }
            let secret = match self.cluster.secret_keys(namespace, &name).await {
                Ok(Some(keys)) => Secret::Keys(keys),
                Ok(None) => Secret::Missing,
                Err(error) if is_forbidden(&error) => {
                    Secret::Unknown("you may not read it; ask who may to adopt this".to_owned())
                }
                Err(error) => bail!("can't read Secret \"{name}\": {}", describe(&error)),
            };
            self.known.secrets.0.insert(name, secret);
        }
        Ok(())
    }

    /// Adds what is listed at `path`; whether this person may see it.
    async fn list(&mut self, path: &str, what: &str) -> anyhow::Result<bool> {
        match self.cluster.objects(path).await {
            Ok(found) => {
                self.known.objects.extend(found);
                Ok(true)
            }
            Err(error) => self.unseen(what, &error).map(|()| false),
        }
    }

    /// Goes on without what this person may not see, and says so.
    fn unseen(&mut self, what: &str, error: &kube::Error) -> anyhow::Result<()> {
        if !is_forbidden(error) {
            bail!("can't read {what}: {}", describe(error));
        }
        self.notes.push(format!("you may not see {what}, so nothing is said of them"));
        Ok(())
    }

    fn rbac(&mut self, seen: bool, what: &str) {
        if !seen {
            self.known.rbac_unknown.get_or_insert_with(|| format!("you may not see {what}"));
        }
    }

    /// What is there of ours; nothing where perpro is not installed.
    async fn facts(&mut self, namespace: &str) -> anyhow::Result<Facts> {
        let mut facts = Facts { asked: true, ..Facts::default() };
        match self.cluster.identities(namespace).await {
            Ok(found) => {
                facts.identities.insert(namespace.to_owned(), found);
            }
            Err(error) if is_not_found(&error) => {
                self.notes.push(
                    "perpro is not installed in this cluster: install it before you apply this".to_owned(),
                );
                return Ok(facts);
            }
            Err(error) => {
                self.unseen("AgentIdentities", &error)?;
                self.whole = false;
            }
        }
        match self.cluster.agent_policies().await {
            Ok(found) => facts.policies = found,
            Err(error) => {
                self.unseen("AgentPolicies", &error)?;
                self.whole = false;
                self.notes.push(
                    "an AgentPolicy is written as if there were none: don't apply it over one that is there"
                        .to_owned(),
                );
            }
        }
        match self.cluster.governed_namespaces().await {
            Ok(found) => {
                let label = |n: &k8s_openapi::api::core::v1::Namespace| {
                    let labels = n.metadata.labels.as_ref();
                    Governance::of(labels.and_then(|l| l.get(names::ENFORCE_LABEL)).map(String::as_str))
                };
                let own = found.iter().find(|n| n.metadata.name.as_deref() == Some(namespace)).map(label);
                if own.is_none_or(|g| g == Governance::Nobody) {
                    self.notes.push(format!(
                        "nobody governs namespace \"{namespace}\" yet: before you apply this, kubectl label namespace \
                         {namespace} {}=agents",
                        names::ENFORCE_LABEL
                    ));
                }
            }
            Err(error) => self.unseen("namespaces", &error)?,
        }
        Ok(facts)
    }
}
