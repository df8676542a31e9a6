//! Values of the command line, parsed once and strictly: exact lengths, no padding. Addresses are read by `kms-chain`.
//!
//! Threat: a mistyped address or hash. Both are irreversible once they are on chain.

use alloy::primitives::{B256, Bytes};
pub(crate) use kms_chain::parse_address;

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ValueError {
    /// Not the hexadecimal form of so many bytes.
    #[error("expected {expected} bytes in hexadecimal, with or without 0x (found {found})")]
    Length { expected: usize, found: String },
    /// Not hexadecimal.
    #[error("expected whole bytes in hexadecimal, with or without 0x")]
    Hex,
}

/// 32 bytes: a salt, an operation id.
pub(crate) fn parse_word(text: &str) -> Result<B256, ValueError> {
    fixed::<32>(digits(text)).map(B256::from)
}

/// Any number of whole bytes.
pub(crate) fn parse_bytes(text: &str) -> Result<Bytes, ValueError> {
    hex::decode(digits(text)).map(Bytes::from).map_err(|_| ValueError::Hex)
}

fn digits(text: &str) -> &str {
    text.strip_prefix("0x").unwrap_or(text)
}

fn fixed<const N: usize>(digits: &str) -> Result<[u8; N], ValueError> {
    let mut bytes = [0; N];
    let found = match hex::decode_to_slice(digits, &mut bytes) {
        Ok(()) => return Ok(bytes),
        Err(hex::FromHexError::InvalidHexCharacter { .. }) => "other characters".to_owned(),
        Err(_) => format!("{} digits", digits.len()),
    };
    Err(ValueError::Length { expected: N, found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse__should_never_pad_or_cut() {
        for text in ["", "00", &"1".repeat(63), &"1".repeat(66), &format!(" {}", "1".repeat(64))] {
            assert!(matches!(parse_word(text), Err(ValueError::Length { expected: 32, .. })), "{text}");
        }
        assert_eq!(parse_word(&"1".repeat(64)).unwrap(), B256::repeat_byte(0x11));
        assert_eq!(parse_bytes("0x").unwrap().len(), 0);
        assert_eq!(parse_bytes("0x123"), Err(ValueError::Hex));
    }
}
