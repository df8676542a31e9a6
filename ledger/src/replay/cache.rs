//! What many records share is read once: policies and collateral, each by its name.
//!
//! Bounded: a log may name as many as it likes, and a cache that is full begins anew. What was found wrong is kept too, so
//! that it is not checked again for every record that names it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::blob::BlobId;

/// How many entries are kept. Collateral takes some 100 KiB.
const MAX_ENTRIES: usize = 512;

/// Things by the names of the blobs that they were read from.
pub(super) struct Cache<T>(RwLock<HashMap<BlobId, Arc<T>>>);

impl<T> Cache<T> {
    pub(super) fn new() -> Self {
        Self(RwLock::default())
    }

    /// What is kept under the name, or is made now; a failure to make it is not kept.
    pub(super) fn get<E>(&self, id: BlobId, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        if let Some(kept) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Arc::clone(kept));
        }
        let new = Arc::new(make()?);
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_ENTRIES {
            entries.clear();
        }
        entries.insert(id, Arc::clone(&new));
        Ok(new)
    }
}
