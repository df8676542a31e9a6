//! Which blobs are durable already: those seen last, in memory, and all others by a look at the disk.
//!
//! A blob counts as there when it is durable in the journal or published. Owned by the writer, which alone adds to it.
//! While evidence is removed nothing counts as there, so that no new entry leans on what is about to go. Threats: an
//! acknowledged entry without its evidence; a set that grows for as long as the node runs.

use std::collections::HashMap;
use std::mem;

use super::disk::Disk;
use super::layout;
use crate::blob::BlobId;
use crate::blob_file;

/// After how many ids those seen longest ago are forgotten: some megabytes.
const GENERATION: usize = 32 * 1024;

/// How a blob is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// In any way.
    Any,
    /// By itself, so that others may have it as a part.
    Whole,
}

/// Whether what is there already need not be written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reuse {
    /// It need not.
    Allowed,
    /// It must be.
    Suspended,
}

/// The blobs that are durable.
pub(super) struct Known {
    reuse: Reuse,
    young: HashMap<BlobId, Form>,
    old: HashMap<BlobId, Form>,
}

impl Known {
    pub(super) fn new() -> Self {
        Self { reuse: Reuse::Allowed, young: HashMap::new(), old: HashMap::new() }
    }

    /// From now on, what is there may or may not be relied on.
    pub(super) fn set_reuse(&mut self, reuse: Reuse) {
        *self = Self { reuse, ..Self::new() };
    }

    /// Whether a blob is durable in this form. A disk that does not answer has nothing.
    pub(super) fn has(&mut self, disk: &dyn Disk, id: BlobId, form: Form) -> bool {
        if self.reuse == Reuse::Suspended {
            return false;
        }
        let remembered = self.young.get(&id).or_else(|| self.old.get(&id)).copied();
        let found = match remembered.filter(|known| *known >= form) {
            Some(known) => Some(known),
            None => on_disk(disk, id).filter(|known| *known >= form),
        };
        if let Some(known) = found {
            self.add(id, known);
        }
        found.is_some()
    }

    /// A blob is durable now.
    pub(super) fn add(&mut self, id: BlobId, form: Form) {
        if self.young.len() >= GENERATION {
            self.old = mem::take(&mut self.young);
        }
        let known = self.young.entry(id).or_insert(form);
        *known = form.max(*known);
    }
}

/// A file that is there is durable, or what the journal still holds will replace it.
fn on_disk(disk: &dyn Disk, id: BlobId) -> Option<Form> {
    let path = layout::blob(id);
    disk.length(&path).ok().flatten()?;
    let whole = disk.read(&path, 0, 1).ok()?.first().copied().is_some_and(blob_file::is_whole);
    Some(if whole { Form::Whole } else { Form::Any })
}
