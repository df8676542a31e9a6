//! Cosignatures: a witness states when a checkpoint was the latest that it saw of a log (C2SP `tlog-cosignature`, v1).
//!
//! ```text
//! signed:     "cosignature/v1\n" "time " <Unix seconds> "\n" <text of the checkpoint>
//! signature:  Unix seconds, u64 big-endian | Ed25519, 64 bytes
//! ```
//!
//! Threat: a log that shows one history to one reader and another to the next. A witness cosigns one history only.

use crate::checkpoint::SignedCheckpoint;
use crate::note::{KeyName, LogSigner, NoteSignature, WitnessKey};
use crate::refusal::{LedgerCode, LedgerRefusal};

impl SignedCheckpoint {
    /// The statement of a witness that this is the latest checkpoint it saw, at this time in Unix seconds. The caller has
    /// checked that it is.
    pub fn cosign(&self, time: u64, witness: &KeyName, signer: &impl LogSigner) -> NoteSignature {
        let key = WitnessKey::new(witness.clone(), signer.public_key());
        let signature = signer.sign(message(time, self.note().text()).as_bytes());
        let bytes = [time.to_be_bytes().as_slice(), &signature].concat();
        NoteSignature { name: witness.clone(), id: key.id(), bytes }
    }

    /// The latest time at which this witness cosigned, in Unix seconds. Refused with `note-unsigned` or
    /// `note-signature-invalid`.
    pub fn cosigned_at(&self, key: &WitnessKey) -> Result<u64, LedgerRefusal> {
        let text = self.note().text();
        let mut times = self.note().signatures_of(key)?.into_iter().map(|line| time_of(text, line, key));
        times.try_fold(0, |latest, time| Ok(latest.max(time?)))
    }

    /// Takes in the cosignature of a witness. Refused with `note-unsigned` if it is not of this key, or with
    /// `note-signature-invalid`.
    pub fn add_cosignature(&mut self, line: NoteSignature, key: &WitnessKey) -> Result<u64, LedgerRefusal> {
        if line.name != *key.name() || line.id != key.id() {
            let found = format!("a signature of {}+{}", line.name, line.id);
            return Err(LedgerRefusal::quoting(LedgerCode::NoteUnsigned, &found, key));
        }
        let time = time_of(self.note().text(), &line, key)?;
        self.note_mut().add(line);
        Ok(time)
    }
}

fn message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

fn time_of(text: &str, line: &NoteSignature, key: &WitnessKey) -> Result<u64, LedgerRefusal> {
    let parts =
        line.bytes.split_first_chunk().map(|(time, signature)| (u64::from_be_bytes(*time), signature));
    let (time, signature) = parts.filter(|(time, _)| i64::try_from(*time).is_ok()).ok_or_else(|| {
        LedgerRefusal::new(LedgerCode::NoteSignature, "no time", "a time of 8 bytes, and a signature of 64")
    })?;
    key.check(message(time, text).as_bytes(), signature)?;
    Ok(time)
}
