//! GovernedNamespaces, and the pods without identity that they speak of. As untyped JSON: the types of each kind are
//! a part of the program.

use super::{Cluster, Write, deleted};
use crate::runtime::lean::{self, Lean};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, Request};
use perpro_core::api::{GovernedNamespaceSpec, GovernedNamespaceStatus};
use perpro_core::decide::exclusive::Claims;
use perpro_core::decide::named::named_secrets;
use perpro_core::decide::pod::AgentPod;
use perpro_core::model::PlainPod;
use perpro_core::names;
use serde::Deserialize;
use serde_json::{Value, json};

/// Pods in one answer. They are read whole, and only what they name is kept.
const PAGE: u32 = 50;

/// What stands in a GovernedNamespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// For policies.
    pub(crate) spec: GovernedNamespaceSpec,
    /// For people.
    pub(crate) status: GovernedNamespaceStatus,
}

impl Record {
    /// Whose the Secrets are, as it says.
    pub(crate) fn claims(&self) -> Claims {
        Claims { claimed: self.spec.claimed_secrets.clone(), in_use: self.status.secrets_in_use.clone() }
    }
}

#[derive(Deserialize)]
struct List {
    items: Vec<Lean<Value>>,
}

fn all() -> String {
    format!("/apis/{}/{}/governednamespaces", names::GROUP, names::VERSION)
}

fn collection(namespace: &str) -> String {
    format!("/apis/{}/{}/namespaces/{namespace}/governednamespaces", names::GROUP, names::VERSION)
}

impl Cluster {
    /// What the GovernedNamespace of a namespace says; `None` when there is none.
    pub(crate) async fn record(&self, namespace: &str) -> kube::Result<Option<Record>> {
        let request = Request::new(collection(namespace));
        let request = request.get(names::GOVERNED, &Default::default()).map_err(kube::Error::BuildRequest)?;
        let text = match self.client().request_text(request).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(None),
            text => text?,
        };
        let object = lean::read(&text).map_err(kube::Error::SerdeError)?;
        // What can't be read was not written by us, and is written anew.
        let spec = GovernedNamespaceSpec::deserialize(&object["spec"]).unwrap_or_default();
        let status = GovernedNamespaceStatus::deserialize(&object["status"]).unwrap_or_default();
        Ok(Some(Record { spec, status }))
    }

    /// Namespaces that have a GovernedNamespace, governed or not.
    pub(crate) async fn recorded_namespaces(&self) -> kube::Result<Vec<String>> {
        let request = Request::new(all()).list(&ListParams::default()).map_err(kube::Error::BuildRequest)?;
        let text = self.client().request_text(request).await?;
        let found: List = serde_json::from_str(&text).map_err(kube::Error::SerdeError)?;
        let namespace =
            |Lean(object): Lean<Value>| object["metadata"]["namespace"].as_str().map(str::to_owned);
        Ok(found.items.into_iter().filter_map(namespace).collect())
    }

    /// Writes the GovernedNamespace of a namespace, making it if there is none.
    pub(crate) async fn claim_secrets(&self, namespace: &str, record: &Record) -> kube::Result<()> {
        let object = json!({
            "apiVersion": format!("{}/{}", names::GROUP, names::VERSION),
            "kind": "GovernedNamespace",
            "metadata": { "name": names::GOVERNED, "labels": { names::MANAGED_BY: names::MANAGER } },
            "spec": record.spec,
            "status": record.status,
        });
        let params = PatchParams::apply(names::FIELD_MANAGER).force();
        let request = Request::new(collection(namespace));
        let request = request.patch(names::GOVERNED, &params, &Patch::Apply(&object));
        let request = request.map_err(kube::Error::BuildRequest)?;
        self.write(Write::ClaimSecrets, self.client().request_text(request)).await.map(drop)
    }

    /// Deletes the GovernedNamespace of a namespace.
    pub(crate) async fn release_secrets(&self, namespace: &str) -> kube::Result<()> {
        let request = Request::new(collection(namespace));
        let request = request.delete(names::GOVERNED, &DeleteParams::default());
        let request = request.map_err(kube::Error::BuildRequest)?;
        deleted(self.write(Write::ReleaseSecrets, self.client().request_text(request)).await).map(drop)
    }

    /// Pods of a namespace that have no identity and have not finished, those that name a Secret.
    pub(crate) async fn plain_pods(&self, namespace: &str) -> kube::Result<Vec<PlainPod>> {
        let pods = Api::<Lean<Pod>>::namespaced(self.client(), namespace);
        let mut page = ListParams::default()
            .labels(&format!("!{}", names::IDENTITY_LABEL))
            .fields("status.phase!=Succeeded,status.phase!=Failed")
            .limit(PAGE);
        let mut found = Vec::new();
        loop {
            let list = pods.list(&page).await?;
            found.extend(list.items.into_iter().filter_map(|Lean(pod)| plain(pod)));
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page.continue_token = Some(token),
                None => return Ok(found),
            }
        }
    }
}

fn plain(pod: Pod) -> Option<PlainPod> {
    let secrets = named_secrets(&AgentPod::known(pod.spec?));
    (!secrets.is_empty()).then(|| PlainPod { name: pod.metadata.name.unwrap_or_default(), secrets })
}
