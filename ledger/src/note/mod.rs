//! Signed notes: a text and the signatures under it (C2SP `signed-note`).
//!
//! ```text
//! text, each line with its newline
//!                                        an empty line
//! — <name> <base64 of key id and signature>
//! ```
//!
//! A note that was read says nothing before [`SignedNote::verify`] with a key that the caller already had. Signatures of
//! other keys are kept and ignored. The key that signs stays with its owner, behind [`LogSigner`].

mod key;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::{ED25519, UnparsedPublicKey};

pub use self::key::{KeyId, KeyName, LogKey, VerifierKey, WitnessKey};
use crate::refusal::{LedgerCode, LedgerRefusal};

/// The largest note that is read, in bytes: room for sixteen signatures of five thousand.
pub const MAX_NOTE_BYTES: usize = 128 * 1024;
/// The most signatures of a note that is read.
pub const MAX_SIGNATURES: usize = 64;

/// Who signs: holds an Ed25519 key and shows its public half.
pub trait LogSigner: Send + Sync {
    /// The public key.
    fn public_key(&self) -> [u8; 32];
    /// The signature (RFC 8032) over a message.
    fn sign(&self, message: &[u8]) -> [u8; 64];
}

/// One line under a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// The name of the key.
    pub name: KeyName,
    /// Which key of this name.
    pub id: KeyId,
    /// The signature's bytes, of any kind.
    pub bytes: Vec<u8>,
}

impl NoteSignature {
    /// The line, with its newline.
    #[must_use]
    pub fn encode(&self) -> String {
        let bytes = [self.id.0.as_slice(), &self.bytes].concat();
        format!("\u{2014} {} {}\n", self.name, BASE64.encode(bytes))
    }

    /// Reads a line, without its newline. Refused with `note-malformed`.
    pub fn decode(line: &str) -> Result<Self, LedgerRefusal> {
        let parts = line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' '));
        let (name, encoded) = parts.ok_or_else(|| malformed("a line that is no signature"))?;
        let bytes = BASE64.decode(encoded).map_err(|_| malformed("a signature that is not base64"))?;
        let (id, bytes) =
            bytes.split_first_chunk().ok_or_else(|| malformed("a signature without a key id"))?;
        if bytes.is_empty() {
            return Err(malformed("an empty signature"));
        }
        let name = name.parse().map_err(|_| malformed("a signature of a key without a proper name"))?;
        Ok(Self { name, id: KeyId(*id), bytes: bytes.to_vec() })
    }
}

/// A text and the signatures under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// Signs a text. Refused with `note-malformed` if it does not end its last line or holds control characters.
    pub fn sign(text: String, name: &KeyName, signer: &impl LogSigner) -> Result<Self, LedgerRefusal> {
        check_text(&text)?;
        let key = LogKey::new(name.clone(), signer.public_key());
        let bytes = signer.sign(text.as_bytes()).to_vec();
        Ok(Self { text, signatures: vec![NoteSignature { name: name.clone(), id: key.id(), bytes }] })
    }

    /// Reads a note. Refused with `note-malformed`.
    pub fn decode(bytes: &[u8]) -> Result<Self, LedgerRefusal> {
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(malformed(&format!("{} bytes; at most {MAX_NOTE_BYTES} are read", bytes.len())));
        }
        let note = std::str::from_utf8(bytes).map_err(|_| malformed("bytes that are not UTF-8"))?;
        let blank = note.rfind("\n\n").ok_or_else(|| malformed("no empty line"))?;
        let (text, signatures) = note.split_at_checked(blank + 1).unwrap_or_default();
        check_text(text)?;
        Ok(Self {
            text: text.to_owned(),
            signatures: decode_signatures(signatures.get(1..).unwrap_or_default())?,
        })
    }

    /// The bytes of the note.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut note = format!("{}\n", self.text);
        for signature in &self.signatures {
            note.push_str(&signature.encode());
        }
        note
    }

    /// What is signed, its last newline included.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, known and unknown.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature, unless it is there already. The caller has verified it.
    pub fn add(&mut self, signature: NoteSignature) {
        if !self.signatures.contains(&signature) {
            self.signatures.push(signature);
        }
    }

    /// Checks that this key signed the text. Refused with `note-unsigned` or `note-signature-invalid`.
    pub fn verify(&self, key: &LogKey) -> Result<(), LedgerRefusal> {
        for signature in self.signatures_of(key)? {
            key.check(self.text.as_bytes(), &signature.bytes)?;
        }
        Ok(())
    }

    /// The signatures that name this key; there is one at least. Refused with `note-unsigned`.
    pub fn signatures_of<const KIND: u8>(
        &self,
        key: &VerifierKey<KIND>,
    ) -> Result<Vec<&NoteSignature>, LedgerRefusal> {
        let named = |signature: &&NoteSignature| signature.name == *key.name() && signature.id == key.id();
        let found: Vec<_> = self.signatures.iter().filter(named).collect();
        if found.is_empty() {
            Err(LedgerRefusal::new(LedgerCode::NoteUnsigned, self.signers(), key))
        } else {
            Ok(found)
        }
    }

    fn signers(&self) -> String {
        self.signatures.iter().fold("signatures of".to_owned(), |mut text, signature| {
            let _ = write!(text, " {}+{}", signature.name, signature.id);
            kms_attestation::refusal::sanitise(&text)
        })
    }
}

impl<const KIND: u8> VerifierKey<KIND> {
    /// Checks an Ed25519 signature. Refused with `note-signature-invalid`.
    pub(crate) fn check(&self, message: &[u8], signature: &[u8]) -> Result<(), LedgerRefusal> {
        let key = UnparsedPublicKey::new(&ED25519, self.public_key());
        key.verify(message, signature).map_err(|_| {
            let found = "a signature that is not of this key, or of another text";
            LedgerRefusal::new(LedgerCode::NoteSignature, found, format!("the signature of {self}"))
        })
    }
}

fn decode_signatures(lines: &str) -> Result<Vec<NoteSignature>, LedgerRefusal> {
    let lines =
        lines.strip_suffix('\n').ok_or_else(|| malformed("no signature, or a last line without an end"))?;
    let signatures: Vec<&str> = lines.split('\n').take(MAX_SIGNATURES + 1).collect();
    if signatures.len() > MAX_SIGNATURES {
        return Err(malformed(&format!("more than {MAX_SIGNATURES} signatures")));
    }
    signatures.into_iter().map(NoteSignature::decode).collect()
}

fn check_text(text: &str) -> Result<(), LedgerRefusal> {
    if !text.ends_with('\n') {
        return Err(malformed("a text whose last line has no end"));
    }
    if text.chars().any(|char| char < ' ' && char != '\n') {
        return Err(malformed("control characters"));
    }
    Ok(())
}

fn malformed(found: &str) -> LedgerRefusal {
    LedgerRefusal::new(LedgerCode::Note, found, "a signed note (c2sp.org/signed-note)")
}

#[cfg(test)]
mod tests;
