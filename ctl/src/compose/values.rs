//! The values that `compose build` takes as text, checked where they come in.

/// Text that is not what a field of `app-compose.json` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ValueError {
    /// Most of all `NAME=value`: the value must not come near the file, which is public.
    #[error("expected the name of an environment variable alone: letters, digits and _, no value")]
    EnvName,
    /// Not the hexadecimal form of bytes.
    #[error("expected bytes in hexadecimal")]
    Hex,
    /// Not a size, or one beyond 2^64 bytes.
    #[error("expected a number of bytes, or one with K, M, G or T such as 2G")]
    Size,
}

/// The name of an environment variable.
pub(crate) fn parse_env_name(text: &str) -> Result<String, ValueError> {
    let valid = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && text.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    if valid { Ok(text.to_owned()) } else { Err(ValueError::EnvName) }
}

/// A key provider's id, in the form in which the guest compares it.
pub(crate) fn parse_key_provider_id(text: &str) -> Result<String, ValueError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode(digits).map(hex::encode).map_err(|_| ValueError::Hex)
}

/// A size in bytes; the suffixes are powers of 1024, as in dstack.
pub(crate) fn parse_swap_size(text: &str) -> Result<u64, ValueError> {
    let (digits, shift) = match text.char_indices().last() {
        Some((at, unit)) if unit.is_ascii_alphabetic() => (text.get(..at), unit_shift(unit)),
        _ => (Some(text), Some(0)),
    };
    let number =
        digits.filter(|digits| !digits.starts_with('+')).and_then(|digits| digits.parse::<u64>().ok());
    let bytes = number.zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
    bytes.ok_or(ValueError::Size)
}

fn unit_shift(unit: char) -> Option<u32> {
    match unit.to_ascii_uppercase() {
        'K' => Some(10),
        'M' => Some(20),
        'G' => Some(30),
        'T' => Some(40),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_name__should_refuse_values_and_other_characters() {
        assert_eq!(parse_env_name("_API_KEY2").unwrap(), "_API_KEY2");
        for bad in ["", "API_KEY=secret", "2X", "A-B", "Ä"] {
            assert_eq!(parse_env_name(bad), Err(ValueError::EnvName), "{bad:?}");
        }
    }

    #[test]
    fn swap_size__should_be_powers_of_1024() {
        for (text, bytes) in [("0", 0), ("1024", 1024), ("3k", 3072), ("2G", 2 << 30), ("1T", 1 << 40)] {
            assert_eq!(parse_swap_size(text), Ok(bytes));
        }
        for bad in ["", "G", "2X", "2GB", "-1", "+1", "1.5G", "99999999999T", "2Ğ"] {
            assert_eq!(parse_swap_size(bad), Err(ValueError::Size), "{bad:?}");
        }
    }

    #[test]
    fn key_provider_id__should_be_lower_case_hex() {
        assert_eq!(parse_key_provider_id("0xAB01").unwrap(), "ab01");
        assert_eq!(parse_key_provider_id("abc"), Err(ValueError::Hex));
    }
}
