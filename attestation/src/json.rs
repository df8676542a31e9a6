//! JSON documents in which every value has a name.
//!
//! serde reads a struct from an array too, by position. Where a document is evidence, such a second spelling of the same
//! thing is refused: what one reader takes for `name`, another could take for nothing.

use serde::Deserialize;
use serde::de::Error as _;

/// Reads a document that is an object.
pub(crate) fn from_object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> serde_json::Result<T> {
    if json.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') {
        serde_json::from_slice(json)
    } else {
        Err(serde_json::Error::custom("not a JSON object"))
    }
}
