//! The public keys of logs and witnesses, and their form in text: `<name>+<key id>+<base64 of kind and key>`.
//!
//! A key of a log and a key of a witness are two types: one signs notes, the other states at what time a checkpoint was
//! the latest. Threat: a signature of one kind taken for the other.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kms_attestation::hash::sha256;

use crate::refusal::{LedgerCode, LedgerRefusal};

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 255;
/// The longest key in text, in bytes.
const MAX_KEY_BYTES: usize = MAX_NAME_BYTES + 64;

/// The name of a log or of a witness: a URL without its scheme, mostly. Not empty, without spaces, plus signs and control
/// characters; of a log it is the origin of its checkpoints too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = LedgerRefusal;

    /// Refused with `log-key-malformed`.
    fn from_str(name: &str) -> Result<Self, LedgerRefusal> {
        let banned = |char: char| char == '+' || char.is_whitespace() || char.is_control();
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains(banned) {
            let expected = format!("a name of 1 to {MAX_NAME_BYTES} bytes, without spaces and plus signs");
            return Err(LedgerRefusal::quoting(LedgerCode::LogKey, name, expected));
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which key of a name: four bytes of a hash. It finds a key, and proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The key that a log signs its checkpoints with.
pub type LogKey = VerifierKey<0x01>;
/// The key that a witness cosigns with.
pub type WitnessKey = VerifierKey<0x04>;

/// A public Ed25519 key with its name. `KIND` is the signature type of C2SP `signed-note`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifierKey<const KIND: u8> {
    name: KeyName,
    public_key: [u8; 32],
}

impl<const KIND: u8> VerifierKey<KIND> {
    /// The key of a name.
    #[must_use]
    pub const fn new(name: KeyName, public_key: [u8; 32]) -> Self {
        Self { name, public_key }
    }

    /// Whose it is.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The key itself.
    #[must_use]
    pub const fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }

    /// How signatures refer to it.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let [a, b, c, d, ..] = sha256(&[self.name.0.as_bytes(), b"\n", &[KIND], &self.public_key]);
        KeyId([a, b, c, d])
    }
}

impl<const KIND: u8> fmt::Display for VerifierKey<KIND> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed = [[KIND].as_slice(), &self.public_key].concat();
        write!(f, "{}+{}+{}", self.name, self.id(), BASE64.encode(typed))
    }
}

impl<const KIND: u8> FromStr for VerifierKey<KIND> {
    type Err = LedgerRefusal;

    /// Refused with `log-key-malformed`.
    fn from_str(text: &str) -> Result<Self, LedgerRefusal> {
        let short = Some(text).filter(|text| text.len() <= MAX_KEY_BYTES);
        // The key id is checked with everything else: there is one text for a key.
        short.and_then(parse).filter(|key| key.to_string() == text).ok_or_else(|| {
            let expected = format!("<name>+<key id>+<base64 of byte {KIND:#04x} and 32 bytes of key>");
            LedgerRefusal::quoting(LedgerCode::LogKey, text, expected)
        })
    }
}

fn parse<const KIND: u8>(text: &str) -> Option<VerifierKey<KIND>> {
    let (name, rest) = text.split_once('+')?;
    let (_, encoded) = rest.split_once('+')?;
    let typed = BASE64.decode(encoded).ok()?;
    let (kind, public_key) = typed.split_first()?;
    (*kind == KIND)
        .then_some(VerifierKey { name: name.parse().ok()?, public_key: public_key.try_into().ok()? })
}
