//! Reads what the command line names: files, standard input, dates. Bounded, whatever the file.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use kms_attestation::time::parse_rfc3339;

use crate::error::CtlError;

/// The largest file that is read, in bytes. The largest genuine input, an event log with GPU evidence, has some
/// 100 KiB.
pub(crate) const MAX_INPUT_BYTES: u64 = 4 * 1024 * 1024;

/// The contents of a file; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, CtlError> {
    read_at_most(path, MAX_INPUT_BYTES)
}

/// The same, with another limit in bytes.
pub(crate) fn read_at_most(path: &Path, max: u64) -> Result<Vec<u8>, CtlError> {
    let content = if path == Path::new("-") {
        read_bounded(io::stdin().lock(), max)
    } else {
        File::open(path).and_then(|file| read_bounded(file, max))
    };
    let content = content.map_err(|source| CtlError::Unreadable { path: path.to_owned(), source })?;
    content.ok_or_else(|| CtlError::TooLarge { path: path.to_owned(), max })
}

/// The contents, or none if there are more than the limit.
fn read_bounded(source: impl Read, max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    let read = source.take(max + 1).read_to_end(&mut content)?;
    Ok((read as u64 <= max).then_some(content))
}

/// A quote's bytes from a file that holds them, or their hexadecimal form with an optional `0x`.
///
/// White space is skipped wherever it stands, because hex dumps have line breaks. What is not entirely hexadecimal
/// is taken as the bytes themselves: no quote consists of hexadecimal digits, its first byte is 4 or 5.
pub(crate) fn bytes_or_hex(content: Vec<u8>) -> Vec<u8> {
    let text: Vec<u8> = content.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let prefix = [b"0x", b"0X"].into_iter().find_map(|prefix| text.strip_prefix(prefix));
    hex::decode(prefix.unwrap_or(&text)).unwrap_or(content)
}

/// Text that is not a time.
#[derive(Debug, thiserror::Error)]
#[error("expected Unix seconds or an RFC 3339 date such as 2026-08-28T12:00:00Z")]
pub(crate) struct TimeError;

/// Unix seconds from their decimal form or an RFC 3339 date.
pub(crate) fn parse_time(text: &str) -> Result<u64, TimeError> {
    text.parse().ok().or_else(|| parse_rfc3339(text)).ok_or(TimeError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_or_hex__should_read_hex_with_prefix_and_white_space() {
        for text in ["0400", "0x0400", "0X0400", " 04\n00\r\n", "\t0x04\n00 "] {
            assert_eq!(bytes_or_hex(text.as_bytes().to_vec()), [4, 0], "{text:?}");
        }
    }

    #[test]
    fn bytes_or_hex__should_take_anything_else_as_it_is() {
        for raw in [&b"040"[..], b"0x040", b"04 0g", &[4, 0, 2, 0], b"0x0x04"] {
            assert_eq!(bytes_or_hex(raw.to_vec()), raw);
        }
    }

    #[test]
    fn read_bounded__should_refuse_more_than_the_limit() {
        assert_eq!(
            read_bounded(io::repeat(0).take(MAX_INPUT_BYTES), MAX_INPUT_BYTES).unwrap().unwrap().len(),
            4 << 20
        );
        assert!(read_bounded(io::repeat(0), MAX_INPUT_BYTES).unwrap().is_none());
    }

    #[test]
    fn parse_time__should_read_seconds_and_dates() {
        assert_eq!(parse_time("1751624191").unwrap(), 1_751_624_191);
        assert_eq!(parse_time("2025-07-04T10:16:31Z").unwrap(), 1_751_624_191);
        for bad in ["", "now", "-1", "2025-07-04", "18446744073709551616", "1751624191.5"] {
            assert!(parse_time(bad).is_err(), "{bad:?}");
        }
    }
}
