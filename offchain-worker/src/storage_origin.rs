//! Whether the worker may redirect readers to its storage: only if the hospital's entry on the chain names the
//! storage's origin, because clients follow no other redirect.

use std::time::Duration;

use epione_client::endpoint;
use url::Url;

use crate::{
    chain::{ChainView, ViewError},
    store::Store,
};

/// The lifetime of the link from which the origin is read. Nobody uses the link.
const UNUSED: Duration = Duration::from_secs(1);

/// Whether the hospital's entry names the origin of this URL of the storage, at the last finalized block.
pub async fn is_named(view: &dyn ChainView, url: &Url) -> Result<bool, ViewError> {
    let own = view.identity().await?.hospital;
    let entry = view.finalized().await?.hospital(own).await?;
    let named = entry.as_ref().and_then(endpoint::storage_origin);
    Ok(named.is_some_and(|named| named.origin() == url.origin()))
}

/// Logs a warning if the storage has links for readers, but the chain does not name their origin.
pub async fn check(view: &dyn ChainView, store: &Store) {
    match complaint(view, store).await {
        Ok(None) => {}
        Ok(Some(complaint)) => tracing::warn!("{complaint}"),
        Err(error) => {
            tracing::warn!(%error, "the worker could not check which origin of its storage the chain names");
        }
    }
}

/// What is wrong with the hospital's entry on the chain, and how to correct it.
pub(crate) async fn complaint(
    view: &dyn ChainView,
    store: &Store,
) -> Result<Option<String>, ViewError> {
    let Some(link) = store.presigned(&[0; 32], UNUSED).await else {
        return Ok(None);
    };
    if is_named(view, &link).await? {
        return Ok(None);
    }
    let origin = link.origin().ascii_serialization();
    Ok(Some(format!(
        "the chain does not name {origin}, to which this worker would redirect readers, as the origin of the \
         hospital's storage: the worker serves all segments itself, which is slower. Check whether public_endpoint in \
         [store.s3] is right. If it is, run: epione hospital set-endpoint --storage-origin {origin}"
    )))
}
