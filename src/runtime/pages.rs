//! Long lists, page by page: agent-heavy clusters have tens of thousands of objects.

use kube::api::{ListParams, ObjectList};

/// Objects in one answer of the API server.
const PAGE: u32 = 500;

/// All objects with these labels.
///
/// # Errors
/// Those of `list`; of a page that failed nothing is kept.
pub(crate) async fn all<T: Clone>(
    list: impl AsyncFn(ListParams) -> kube::Result<ObjectList<T>>,
    labels: &str,
) -> kube::Result<Vec<T>> {
    let mut found = Vec::new();
    let mut params = ListParams::default().labels(labels).limit(PAGE);
    loop {
        let page = list(params.clone()).await?;
        found.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(found),
        }
    }
}
