//! What an earlier run had cosigned: the file `witnessed` of the log, read for the metrics alone.
//!
//! Whoever rolls the disk back rolls this file back too, so no release ever rests on it. Called once, at the start.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use kms_ledger::note::{LogKey, MAX_NOTE_BYTES, WitnessKey};
use kms_ledger::{LogPath, SignedCheckpoint};

use super::view::Cosigned;

/// The checkpoint in a log's folder that a quorum of these witnesses has cosigned, if there is one.
pub(super) fn remembered(
    log_folder: &Path,
    log: &LogKey,
    witnesses: &[WitnessKey],
    quorum: usize,
) -> Option<Cosigned> {
    let mut bytes = Vec::new();
    let file = File::open(log_folder.join(LogPath::Witnessed.to_string())).ok()?;
    file.take(MAX_NOTE_BYTES as u64 + 1).read_to_end(&mut bytes).ok()?;
    let signed = SignedCheckpoint::open(&bytes, log).ok()?;
    let times = witnesses.iter().filter_map(|key| signed.cosigned_at(key).ok()).collect();
    Some(Cosigned { size: signed.checkpoint().size, time: time_of_quorum(times, quorum)? })
}

/// The time since when so many have said it; nothing where they are too few.
pub(super) fn time_of_quorum(mut times: Vec<u64>, quorum: usize) -> Option<u64> {
    times.sort_unstable_by(|a, b| b.cmp(a));
    times.get(quorum.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_quorum__should_be_that_of_its_weakest_member() {
        for (quorum, time) in [(0, None), (1, Some(30)), (2, Some(20)), (3, Some(10)), (4, None)] {
            assert_eq!(time_of_quorum(vec![20, 30, 10], quorum), time, "{quorum}");
        }
    }
}
