//! Values of the command line, parsed once and strictly: exact lengths, no padding, checksummed addresses.
//!
//! Threat: a mistyped address or hash. Both are irreversible once they are on chain.

use alloy::primitives::{Address, B256, Bytes};

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ValueError {
    /// Not the hexadecimal form of so many bytes.
    #[error("expected {expected} bytes in hexadecimal, with or without 0x (found {found})")]
    Length { expected: usize, found: String },
    /// Capital letters that are no EIP-55 checksum.
    #[error("the capital letters are not the address's checksum (EIP-55): a digit is wrong")]
    Checksum,
    /// Nobody has the zero address's key.
    #[error("the zero address is nobody's")]
    Zero,
    /// Not hexadecimal.
    #[error("expected whole bytes in hexadecimal, with or without 0x")]
    Hex,
}

/// An address of 20 bytes. One with letters of both cases must have the right checksum (EIP-55).
pub(crate) fn parse_address(text: &str) -> Result<Address, ValueError> {
    let digits = digits(text);
    let address = Address::from(fixed::<20>(digits)?);
    let mixed =
        digits.bytes().any(|b| b.is_ascii_uppercase()) && digits.bytes().any(|b| b.is_ascii_lowercase());
    if address.is_zero() {
        Err(ValueError::Zero)
    } else if mixed && address.to_string().trim_start_matches("0x") != digits {
        Err(ValueError::Checksum)
    } else {
        Ok(address)
    }
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

    /// The first of EIP-55's examples.
    const CHECKSUMMED: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

    #[test]
    fn parse_address__should_insist_on_the_checksum_where_there_is_one() {
        for text in [CHECKSUMMED, CHECKSUMMED.trim_start_matches("0x"), &CHECKSUMMED.to_lowercase()] {
            assert_eq!(parse_address(text).unwrap().to_string(), CHECKSUMMED);
        }
        assert_eq!(parse_address(&CHECKSUMMED.replace("aA", "Aa")), Err(ValueError::Checksum));
        assert_eq!(parse_address(&CHECKSUMMED.replace("60", "06")), Err(ValueError::Checksum));
        assert_eq!(parse_address(&"0".repeat(40)), Err(ValueError::Zero));
    }

    #[test]
    fn parse__should_never_pad_or_cut() {
        for text in ["", "0x", "0x1", &"1".repeat(39), &"1".repeat(42), &"g".repeat(40), "0x0x"] {
            assert!(matches!(parse_address(text), Err(ValueError::Length { expected: 20, .. })), "{text}");
        }
        for text in ["", "00", &"1".repeat(63), &"1".repeat(66), &format!(" {}", "1".repeat(64))] {
            assert!(matches!(parse_word(text), Err(ValueError::Length { expected: 32, .. })), "{text}");
        }
        assert_eq!(parse_word(&"1".repeat(64)).unwrap(), B256::repeat_byte(0x11));
        assert_eq!(parse_bytes("0x").unwrap().len(), 0);
        assert_eq!(parse_bytes("0x123"), Err(ValueError::Hex));
    }
}
