//! Contracts' codes that were read before: whoever decides many witnesses again finds the same few codes in nearly all of
//! them, and hashes and analyses each once.
//!
//! ```text
//! bytes ─▶ length, both ends ─▶ a code that was read before ─▶ the same bytes? ─▶ its hash, its jump destinations
//! ```
//!
//! Every byte is compared before anything that is known counts, so that what is kept can be slow or forgotten, but not
//! wrong. Bounded: a log may name as many codes as it likes, and a memory that is full begins anew. Owned by a replayer, never
//! global. Called by [`Witness::decode_with`](crate::Witness::decode_with). Threat: a witness with other code under a known
//! hash.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use alloy::primitives::{B256, Bytes, keccak256};

use crate::evm::AnalysedCode;
use crate::witness::MAX_CODE_BYTES;

/// The bytes of codes that are kept; with what is known of them they take some two and a half times as much.
const MAX_KEPT_BYTES: usize = 256 * MAX_CODE_BYTES;
/// What a code counts at least: more than all that stands around it.
const ENTRY_BYTES: usize = 1024;
/// How much of each end of a code tells it apart. The last bytes that Solidity writes are a hash of the source.
const END_BYTES: usize = 64;

/// Codes, with what costs time to find out of them.
#[derive(Default)]
pub struct KnownCodes(RwLock<Kept>);

/// A code, and what is known of it.
pub(crate) struct KnownCode {
    pub(crate) bytes: Bytes,
    pub(crate) hash: B256,
    /// None where it cannot be executed: whoever tries finds out why.
    pub(crate) analysed: Option<AnalysedCode>,
}

/// What tells most codes apart at little cost. Two codes of one form take turns.
#[derive(PartialEq, Eq, Hash)]
struct Form {
    len: usize,
    first: Vec<u8>,
    last: Vec<u8>,
}

#[derive(Default)]
struct Kept {
    codes: HashMap<Form, Arc<KnownCode>>,
    bytes: usize,
}

impl KnownCodes {
    /// What there is to know of a code.
    pub(crate) fn read(&self, bytes: &[u8]) -> Arc<KnownCode> {
        let form = Form::of(bytes);
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner).codes.get(&form).map(Arc::clone);
        match kept.filter(|known| *known.bytes == *bytes) {
            Some(known) => known,
            None => self.keep(form, KnownCode::of(bytes)),
        }
    }

    fn keep(&self, form: Form, code: KnownCode) -> Arc<KnownCode> {
        let code = Arc::new(code);
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let weight = form.len.saturating_add(ENTRY_BYTES);
        if kept.bytes.saturating_add(weight) > MAX_KEPT_BYTES {
            *kept = Kept::default();
        }
        // What it takes the place of is of the same form, and so of the same length.
        if kept.codes.insert(form, Arc::clone(&code)).is_none() {
            kept.bytes = kept.bytes.saturating_add(weight);
        }
        code
    }
}

impl KnownCode {
    fn of(bytes: &[u8]) -> Self {
        let bytes = Bytes::copy_from_slice(bytes);
        Self { hash: keccak256(&bytes), analysed: AnalysedCode::of(bytes.clone()).ok(), bytes }
    }
}

impl Form {
    fn of(bytes: &[u8]) -> Self {
        let (first, last) =
            (bytes.get(..END_BYTES), bytes.len().checked_sub(END_BYTES).and_then(|at| bytes.get(at..)));
        let end = |end: Option<&[u8]>| end.unwrap_or(bytes).to_vec();
        Self { len: bytes.len(), first: end(first), last: end(last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_kept(known: &KnownCodes) -> usize {
        known.0.read().unwrap().codes.values().map(|code| code.bytes.len() + ENTRY_BYTES).sum()
    }

    #[test]
    fn read__should_know_a_code_again_by_all_of_its_bytes() {
        let known = KnownCodes::default();
        let code = [vec![0x5b; 3000], vec![0x60; 100]].concat();
        let first = known.read(&code);
        assert_eq!((first.hash, &first.bytes[..]), (keccak256(&code), &code[..]));
        assert!(first.analysed.is_some() && Arc::ptr_eq(&first, &known.read(&code)));
        for at in 0..code.len() {
            let mut other = code.clone();
            other[at] ^= 1;
            assert_eq!(known.read(&other).hash, keccak256(&other), "byte {at}");
            assert_eq!(known.read(&code).hash, keccak256(&code));
        }
        for len in [0, 1, END_BYTES - 1, END_BYTES, END_BYTES + 1, 3099] {
            assert_eq!(known.read(&code[..len]).hash, keccak256(&code[..len]), "{len} bytes");
        }
        assert!(known.read(&[0xef, 1, 2]).analysed.is_none());
    }

    #[test]
    fn known_codes__should_be_bounded() {
        let known = KnownCodes::default();
        for number in 0..600_u32 {
            let mut code = vec![0; MAX_CODE_BYTES];
            code[..4].copy_from_slice(&number.to_be_bytes());
            known.read(&code);
            assert!(bytes_kept(&known) <= MAX_KEPT_BYTES);
            assert_eq!(known.0.read().unwrap().bytes, bytes_kept(&known));
        }
        assert!(bytes_kept(&known) > 0);
        let known = KnownCodes::default();
        // The smallest codes count too; those of one form take the place of one another.
        for number in 0..40_000_u32 {
            known.read(&number.to_be_bytes());
        }
        assert!(known.0.read().unwrap().codes.len() <= MAX_KEPT_BYTES / ENTRY_BYTES);
        for number in 0..100 {
            let mut code = vec![0; 300];
            code[150] = number;
            known.read(&code);
        }
        assert_eq!(known.0.read().unwrap().bytes, bytes_kept(&known));
    }
}
