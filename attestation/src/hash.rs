//! The digests that the formats here are made of, over concatenated parts.

use ring::digest::{Algorithm, Context, SHA256, SHA384, SHA512};

fn digest<const N: usize>(algorithm: &'static Algorithm, parts: &[&[u8]]) -> [u8; N] {
    let mut context = Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; N];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// SHA-256 of the parts, one after the other.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    digest(&SHA256, parts)
}

/// SHA-384 of the parts, one after the other.
#[must_use]
pub fn sha384(parts: &[&[u8]]) -> [u8; 48] {
    digest(&SHA384, parts)
}

/// SHA-512 of the parts, one after the other.
#[must_use]
pub fn sha512(parts: &[&[u8]]) -> [u8; 64] {
    digest(&SHA512, parts)
}
