//! How a blob lies on a disk or a web server: the file `blob/<first two digits>/<id>`, whole or as a list of parts.
//!
//! ```text
//! file = 0 | bytes                                      as they are
//!      | 1 | length u32 | LZ4 block                     compressed
//!      | 2 | part ...                                   one after the other
//! part = 0 | length u32 | bytes
//!      | 1 | id 32                                      the bytes of another blob, whose file begins with 0 or 1
//! ```
//!
//! Pure: the caller reads and writes. A file that holds a part of others must begin with 0 or 1: if it is there as a list,
//! the writer replaces it ([`is_whole`]), or a contract whose code is an earlier witness would make a later one unreadable.
//! Threats: a small file that unpacks to a large one; parts of parts; bytes under another's name.

use std::collections::BTreeSet;

use crate::blob::{Blob, BlobId, MAX_BLOB_BYTES, Part};
use crate::canonical::Reader;
use crate::refusal::{LedgerCode, LedgerRefusal};

/// The largest file of a blob, in bytes: what does not get shorter is written as it is.
pub const MAX_BLOB_FILE_BYTES: usize = MAX_BLOB_BYTES + 1;
/// A part that is shorter than this, in bytes, is not worth a file of its own.
pub const MIN_SHARED_BYTES: usize = 256;

/// The most parts of a list. With parts of 256 bytes, the largest blob has fewer.
const MAX_PARTS: usize = 65_536;
const RAW: u8 = 0;
const LZ4: u8 = 1;
const LIST: u8 = 2;
const OWN: u8 = 0;
const SHARED: u8 = 1;

/// Where the file of a blob stands.
#[must_use]
pub fn path(id: BlobId) -> String {
    let name = id.to_string();
    format!("blob/{}/{name}", name.get(..2).unwrap_or_default())
}

/// The blob whose file stands at a path. Refused with `blob-path-malformed`.
pub fn parse_path(found: &str) -> Result<BlobId, LedgerRefusal> {
    let id = found
        .rsplit('/')
        .next()
        .and_then(|name| <[u8; 32]>::try_from(hex::decode(name).ok()?).ok())
        .map(BlobId);
    // Upper-case digits and other folders read the same, and are no path of it.
    id.filter(|id| path(*id) == found).ok_or_else(|| {
        LedgerRefusal::quoting(LedgerCode::BlobPath, found, "blob/<first two digits>/<64 digits>")
    })
}

/// Whether a file holds its blob by itself, by the first of its bytes.
#[must_use]
pub const fn is_whole(first: u8) -> bool {
    first == RAW || first == LZ4
}

/// The parts of a blob that need files of their own, written with [`encode_whole`], before the blob's.
pub fn shared_parts(blob: &Blob) -> impl Iterator<Item = (BlobId, &[u8])> {
    blob.parts().iter().filter_map(|part| shared(blob, part).map(|id| (id, part.bytes())))
}

/// The file of a blob: compressed where that helps, and as a list if it has parts in other files. Refused with
/// `blob-malformed` if the blob is too large to be read again.
pub fn encode(blob: &Blob) -> Result<Vec<u8>, LedgerRefusal> {
    bounded(blob.len(), || Ok(()))?;
    if shared_parts(blob).next().is_some() {
        return Ok(encode_list(blob));
    }
    let bytes: Vec<&[u8]> = blob.parts().iter().map(Part::bytes).collect();
    Ok(encode_whole(&bytes.concat()))
}

/// The file of these bytes, by themselves: for the parts of a blob that [`encode`] accepts.
#[must_use]
pub fn encode_whole(bytes: &[u8]) -> Vec<u8> {
    let packed = lz4_flex::block::compress(bytes);
    let len = u32::try_from(bytes.len()).ok().filter(|_| packed.len() + 4 < bytes.len());
    match len {
        Some(len) => [[LZ4].as_slice(), &len.to_be_bytes(), &packed].concat(),
        None => [[RAW].as_slice(), bytes].concat(),
    }
}

fn encode_list(blob: &Blob) -> Vec<u8> {
    let mut file = vec![LIST];
    let own = |part: &Part| shared(blob, part).is_none();
    // Neighbours that are only here are one part: a list is never longer than its blob by much.
    for group in blob.parts().chunk_by(|left, right| own(left) && own(right)) {
        if let Some(id) = group.first().and_then(|part| shared(blob, part)) {
            file.push(SHARED);
            file.extend(id.0);
        } else {
            put_own(&mut file, &group.iter().map(Part::bytes).collect::<Vec<_>>().concat());
        }
    }
    file
}

fn put_own(file: &mut Vec<u8>, bytes: &[u8]) {
    if let Some(len) = u32::try_from(bytes.len()).ok().filter(|len| *len > 0) {
        file.push(OWN);
        file.extend(len.to_be_bytes());
        file.extend(bytes);
    }
}

/// The name of a part, if the blob's list refers to it: never to a small part, and never to the blob itself.
fn shared(blob: &Blob, part: &Part) -> Option<BlobId> {
    match part {
        Part::Shared(id, bytes) => (bytes.len() >= MIN_SHARED_BYTES && *id != blob.id()).then_some(*id),
        Part::Own(_) => None,
    }
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobFile(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Whole(Vec<u8>),
    List(Vec<Listed>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Listed {
    Own(Vec<u8>),
    Shared(BlobId),
}

impl BlobFile {
    /// Reads a file. Nothing vouches for it before [`BlobFile::assemble`]. Refused with `blob-malformed`.
    pub fn decode(file: &[u8]) -> Result<Self, LedgerRefusal> {
        if file.len() > MAX_BLOB_FILE_BYTES {
            return Err(malformed(&format!("a file of {} bytes", file.len())));
        }
        match file.split_first() {
            Some((&RAW, bytes)) => Ok(Self(Form::Whole(bounded(bytes.len(), || Ok(bytes.to_vec()))?))),
            Some((&LZ4, packed)) => unpack(packed).map(|bytes| Self(Form::Whole(bytes))),
            Some((&LIST, parts)) => decode_list(parts).map(|parts| Self(Form::List(parts))),
            Some((tag, _)) => Err(malformed(&format!("a file that begins with {tag}"))),
            None => Err(malformed("an empty file")),
        }
    }

    /// The blobs whose bytes are needed too.
    #[must_use]
    pub fn needs(&self) -> BTreeSet<BlobId> {
        let Self(Form::List(parts)) = self else { return BTreeSet::new() };
        let id = |part: &Listed| match part {
            Listed::Shared(id) => Some(*id),
            Listed::Own(_) => None,
        };
        parts.iter().filter_map(id).collect()
    }

    /// The bytes of the blob with this name; `files` has the files of those that it needs. Refused with `blob-foreign`,
    /// `blob-malformed`, and with what `files` is refused with.
    pub fn assemble(
        self,
        id: BlobId,
        mut files: impl FnMut(BlobId) -> Result<Vec<u8>, LedgerRefusal>,
    ) -> Result<Vec<u8>, LedgerRefusal> {
        let bytes = match self.0 {
            Form::Whole(bytes) => bytes,
            Form::List(parts) => join(parts, &mut files)?,
        };
        let found = BlobId::of(&bytes);
        if found == id { Ok(bytes) } else { Err(LedgerRefusal::new(LedgerCode::BlobForeign, found, id)) }
    }
}

fn join(
    parts: Vec<Listed>,
    files: &mut impl FnMut(BlobId) -> Result<Vec<u8>, LedgerRefusal>,
) -> Result<Vec<u8>, LedgerRefusal> {
    let mut joined = Vec::new();
    for part in parts {
        let bytes = match part {
            Listed::Own(bytes) => bytes,
            Listed::Shared(id) => match BlobFile::decode(&files(id)?)?.0 {
                Form::Whole(bytes) => bytes,
                Form::List(_) => return Err(malformed("a part that is a list itself")),
            },
        };
        bounded(joined.len() + bytes.len(), || Ok(()))?;
        joined.extend(bytes);
    }
    Ok(joined)
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, LedgerRefusal> {
    let (len, block) = packed.split_first_chunk().ok_or_else(|| malformed("a file without a length"))?;
    let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
    let unpack =
        || lz4_flex::block::decompress(block, len).map_err(|_| malformed("no LZ4 block of this length"));
    let bytes = bounded(len, unpack)?;
    if bytes.len() == len { Ok(bytes) } else { Err(malformed("an LZ4 block of another length")) }
}

fn decode_list(parts: &[u8]) -> Result<Vec<Listed>, LedgerRefusal> {
    let mut reader = Reader::new(parts);
    let mut listed = Vec::new();
    while reader.end().is_err() {
        if listed.len() == MAX_PARTS {
            return Err(malformed("too many parts"));
        }
        listed.push(decode_part(&mut reader).map_err(|_| malformed("a part that does not end"))?);
    }
    Ok(listed)
}

fn decode_part(reader: &mut Reader<'_>) -> Result<Listed, LedgerRefusal> {
    match reader.array()? {
        [OWN] => {
            let len = usize::try_from(u32::from_be_bytes(reader.array()?)).unwrap_or(usize::MAX);
            Ok(Listed::Own(reader.bytes(len)?.to_vec()))
        }
        [SHARED] => Ok(Listed::Shared(BlobId(reader.array()?))),
        [tag] => Err(malformed(&format!("a part that begins with {tag}"))),
    }
}

fn bounded<T>(len: usize, make: impl FnOnce() -> Result<T, LedgerRefusal>) -> Result<T, LedgerRefusal> {
    if len <= MAX_BLOB_BYTES { make() } else { Err(malformed(&format!("a blob of {len} bytes or more"))) }
}

fn malformed(found: &str) -> LedgerRefusal {
    LedgerRefusal::new(
        LedgerCode::Blob,
        found,
        format!("a file for a blob of at most {MAX_BLOB_BYTES} bytes"),
    )
}

#[cfg(test)]
mod tests;
