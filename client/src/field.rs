//! Length-prefixed fields: the one encoding of everything that is signed or authenticated here.
//!
//! `field(x) = length of x in bytes, u32 big endian || x`. The prefixes answer moving bytes from one field to the next.

/// The fields, one after the other.
#[expect(clippy::cast_possible_truncation, reason = "every field here has a few hundred bytes at most")]
pub(crate) fn fields(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        out.extend_from_slice(&(part.len() as u32).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}
