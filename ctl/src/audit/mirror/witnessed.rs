//! The file `witnessed`: the newest checkpoint that enough witnesses have cosigned, with what a reader of it needs.
//!
//! It may be older than the checkpoint, so its own partial tiles are put beside it. Never over a later one. Threat: a file
//! that says of a copy what its log never signed.

use kms_ledger::note::LogKey;
use kms_ledger::tree::Tile;
use kms_ledger::{LogPath, LogReader, SignedCheckpoint};

use super::code::MirrorError;
use super::copy::{Round, bundle_file};

impl Round<'_> {
    /// Brings the target to the source's `witnessed`, if it has one that this round's checkpoint covers.
    pub(super) async fn witnessed(&self, key: &LogKey) -> Result<(), MirrorError> {
        let route = self.route;
        let Some(note) = route.source.get(LogPath::Witnessed).await? else { return Ok(()) };
        let there = route.target.get(LogPath::Witnessed).await?;
        if there.as_ref() == Some(&note) {
            return Ok(());
        }
        let signed = SignedCheckpoint::open(&note, key)?;
        let standing = there.and_then(|there| SignedCheckpoint::open(&there, key).ok());
        let size = signed.checkpoint().size;
        let later = standing.is_some_and(|standing| standing.checkpoint().size > size);
        // What is newer than this round's checkpoint is the next round's.
        if later || size > self.reader.size() {
            return Ok(());
        }
        self.reader.check_continues(signed.checkpoint()).await?;
        self.edge(LogReader::at(route.source.clone(), signed)).await?;
        Ok(route.target.put(LogPath::Witnessed, note).await?)
    }

    /// The partial files of a smaller tree.
    async fn edge(&self, reader: LogReader) -> Result<(), MirrorError> {
        for tile in Tile::partials(reader.size()) {
            self.file(tile, reader.tile(tile).await?.encode()).await?;
        }
        let Some(bundle) = Tile::partial_bundle(reader.size()) else { return Ok(()) };
        let entries = reader.bundle(bundle.index()).await?;
        self.file(bundle, bundle_file(&entries)?).await
    }
}
