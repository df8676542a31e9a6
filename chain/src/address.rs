//! A contract's address as a person writes it, read once and strictly: exact length, no padding, its checksum checked.
//!
//! Called by everything that has a command line or a configuration. Threat: a mistyped address. Another contract would be
//! asked, and what is sent to it is lost.

use alloy::primitives::Address;

/// Why a text is no address to use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not the hexadecimal form of 20 bytes.
    #[error("expected 20 bytes in hexadecimal, with or without 0x (found {found})")]
    Form {
        /// What was found instead.
        found: String,
    },
    /// Capital letters that are no EIP-55 checksum.
    #[error("the capital letters are not the address's checksum (EIP-55): a digit is wrong")]
    Checksum,
    /// Nobody has the zero address's key.
    #[error("the zero address is nobody's")]
    Zero,
}

/// An address of 20 bytes, not zero. One with letters of both cases must have the right checksum (EIP-55).
pub fn parse_address(text: &str) -> Result<Address, AddressError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let mut bytes = [0; 20];
    if let Err(error) = hex::decode_to_slice(digits, &mut bytes) {
        let found = match error {
            hex::FromHexError::InvalidHexCharacter { .. } => "other characters".to_owned(),
            _ => format!("{} digits", digits.len()),
        };
        return Err(AddressError::Form { found });
    }
    let address = Address::from(bytes);
    let mixed =
        digits.bytes().any(|b| b.is_ascii_uppercase()) && digits.bytes().any(|b| b.is_ascii_lowercase());
    if address.is_zero() {
        Err(AddressError::Zero)
    } else if mixed && address.to_string().trim_start_matches("0x") != digits {
        Err(AddressError::Checksum)
    } else {
        Ok(address)
    }
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
        assert_eq!(parse_address(&CHECKSUMMED.replace("aA", "Aa")), Err(AddressError::Checksum));
        assert_eq!(parse_address(&CHECKSUMMED.replace("60", "06")), Err(AddressError::Checksum));
        assert_eq!(parse_address(&"0".repeat(40)), Err(AddressError::Zero));
    }

    #[test]
    fn parse_address__should_never_pad_or_cut() {
        for text in ["", "0x", "0x1", &"1".repeat(39), &"1".repeat(42), &"g".repeat(40), "0x0x"] {
            assert!(matches!(parse_address(text), Err(AddressError::Form { .. })), "{text}");
        }
    }
}
