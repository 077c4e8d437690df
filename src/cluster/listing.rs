//! Long lists, handed over object by object as text, so that no more than a page is in memory: what `perpro scan`
//! reads. Lists only: they change nothing, and of Secrets never more than metadata.

use super::Cluster;
use kube::api::{ListParams, Request};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Objects in one answer. A pod is some 10 KB.
const PAGE: u32 = 500;

/// What to list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// Path of its API: `/api/v1`, `/apis/apps/v1`.
    pub(crate) api: &'static str,
    /// Its plural.
    pub(crate) plural: &'static str,
    /// Whether its objects are in namespaces.
    pub(crate) namespaced: bool,
    /// Whether the metadata is all that is asked for (`PartialObjectMetadata`).
    pub(crate) metadata_only: bool,
    /// Field selector; empty for all.
    pub(crate) fields: &'static str,
}

/// A page of a list, its objects not parsed.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

impl Cluster {
    /// Hands each object to `take`, as the API server writes it.
    ///
    /// # Errors
    /// Those of the API server. What came before stays taken.
    pub(crate) async fn each(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        take: &mut dyn FnMut(&str),
    ) -> kube::Result<()> {
        let Kind { api, plural, namespaced, metadata_only, fields } = *kind;
        let path = match namespace {
            Some(namespace) if namespaced => format!("{api}/namespaces/{namespace}/{plural}"),
            _ => format!("{api}/{plural}"),
        };
        let mut params = ListParams::default().limit(PAGE);
        if !fields.is_empty() {
            params = params.fields(fields);
        }
        loop {
            let request = Request::new(&path);
            let request = if metadata_only { request.list_metadata(&params) } else { request.list(&params) };
            let text = self.client().request_text(request.map_err(kube::Error::BuildRequest)?).await?;
            let page: Page<'_> = serde_json::from_str(&text).map_err(kube::Error::SerdeError)?;
            for item in page.items.into_iter().flatten() {
                take(item.get());
            }
            match page.metadata.next.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(()),
            }
        }
    }
}
