//! The door for cosignatures: what witnesses have signed becomes part of the published log.
//!
//! `log/checkpoint` is always the newest, so that no witness can hold the log back; it has cosignatures once they are there.
//! `log/witnessed` is the latest that enough witnesses have cosigned: it stays while newer checkpoints wait for theirs, so
//! that a reader who asks for witnesses always finds one. Which and how many are enough is the caller's to say. Called by
//! `kms-node`; written by the publisher's thread, which owns the published files. Threat: a log that readers cannot read
//! because a witness is slow, or that no witness ever saw.

use std::borrow::Cow;
use std::sync::Arc;

use super::fault::{self, StoreFault};
use super::publish::{Publisher, put_checkpoint};
use super::publisher_thread::Command;
use super::shared::Shared;
use super::tiles::DiskTiles;
use super::{Store, layout};
use crate::checkpoint::SignedCheckpoint;
use crate::hash::TreeHash;
use crate::refusal::{LedgerCode, LedgerRefusal};
use crate::tree::{Tile, Tiles};

impl Store {
    /// Shows a checkpoint of this log that enough witnesses have cosigned, durably. Refused with `log-out-of-range` for one
    /// that was never published, and with what the disk refuses.
    pub async fn show_witnessed(&self, signed: SignedCheckpoint) -> Result<(), StoreFault> {
        self.ask(|done| Command::Witnessed(Box::new(signed), done)).await
    }
}

/// The published tiles, for consistency proofs to witnesses.
impl Tiles for Store {
    fn hashes(&self, tile: Tile) -> Result<Cow<'_, [TreeHash]>, LedgerRefusal> {
        let size = self.checkpoint().checkpoint().size;
        let hashes = DiskTiles { disk: &*self.disk, size }.hashes(tile)?.into_owned();
        Ok(Cow::Owned(hashes))
    }
}

impl Publisher {
    /// As [`Store::show_witnessed`]. A crash between the two files leaves cosignatures in one of them alone, which is true
    /// of each.
    pub(super) fn show_witnessed(
        &self,
        signed: &SignedCheckpoint,
        shared: &Shared,
    ) -> Result<(), StoreFault> {
        let newest = Arc::clone(&shared.checkpoint());
        let (shown, newest) = (signed.checkpoint(), newest.checkpoint());
        if shown.origin != newest.origin || shown.size > newest.size {
            let expected =
                format!("at most {} entries of {}, which are published", newest.size, newest.origin);
            return Err(LedgerRefusal::new(LedgerCode::LogRange, shown.size, expected));
        }
        self.disk.in_place().map_err(fault::disk("finding the log's folder"))?;
        let put = layout::put_durably(&*self.disk, layout::WITNESSED, signed.encode().as_bytes());
        put.map_err(fault::disk("writing the witnessed checkpoint"))?;
        if shown == newest {
            put_checkpoint(&*self.disk, signed)?;
            shared.set_checkpoint(signed.clone());
        }
        Ok(())
    }
}
