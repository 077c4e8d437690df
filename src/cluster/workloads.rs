//! Objects of any kind as the API server writes them, and the names of a Secret's keys. Reads only, as the person who
//! asks.

use super::{Cluster, is_not_found};
use crate::runtime::lean;
use kube::api::{GetParams, ListParams, Request};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Objects in one answer.
const PAGE: u32 = 500;

/// A page of objects, each as text: managed fields may be nested deeper than JSON is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    api_version: String,
    kind: String,
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(borrow, default)]
    items: Vec<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    token: String,
}

/// All that is read of a Secret: its values are passed over.
#[derive(Deserialize)]
struct KeysOfSecret {
    #[serde(default)]
    data: Option<BTreeMap<String, IgnoredAny>>,
}

impl Cluster {
    /// The object of that name among those at `path`, in the API server's words and order; `None` when there is none.
    pub(crate) async fn object_text(&self, path: &str, name: &str) -> kube::Result<Option<String>> {
        let request =
            Request::new(path).get(name, &GetParams::default()).map_err(kube::Error::BuildRequest)?;
        match self.client().request_text(request).await {
            Err(error) if is_not_found(&error) => Ok(None),
            text => text.map(Some),
        }
    }

    /// The same, read.
    pub(crate) async fn object(&self, path: &str, name: &str) -> kube::Result<Option<Value>> {
        let text = self.object_text(path, name).await?;
        text.map(|text| lean::read(&text)).transpose().map_err(kube::Error::SerdeError)
    }

    /// All objects at `path`, each with its apiVersion and kind.
    pub(crate) async fn objects(&self, path: &str) -> kube::Result<Vec<Value>> {
        let mut found = Vec::new();
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let request = Request::new(path).list(&params).map_err(kube::Error::BuildRequest)?;
            let text = self.client().request_text(request).await?;
            let page: Page<'_> = serde_json::from_str(&text).map_err(kube::Error::SerdeError)?;
            for item in page.items {
                let mut object = lean::read(item.get()).map_err(kube::Error::SerdeError)?;
                object["apiVersion"] = json!(page.api_version);
                object["kind"] = json!(page.kind.strip_suffix("List").unwrap_or(&page.kind));
                found.push(object);
            }
            if page.metadata.token.is_empty() {
                return Ok(found);
            }
            params = params.continue_token(&page.metadata.token);
        }
    }

    /// The names of a Secret's keys; `None` when there is no such Secret. An API server gives them with their values
    /// only, which are not kept.
    pub(crate) async fn secret_keys(
        &self,
        namespace: &str,
        name: &str,
    ) -> kube::Result<Option<BTreeSet<String>>> {
        let text = self.object_text(&format!("/api/v1/namespaces/{namespace}/secrets"), name).await?;
        let Some(text) = text else { return Ok(None) };
        let secret: KeysOfSecret = serde_json::from_str(&text).map_err(kube::Error::SerdeError)?;
        Ok(Some(secret.data.unwrap_or_default().into_keys().collect()))
    }
}
