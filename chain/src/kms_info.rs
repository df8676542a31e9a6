//! The root public keys of a KMS, as its contract publishes them: `kmsInfo()`, proven.
//!
//! A guest that pins a contract, and no keys, learns from here which root CA and root signer to expect. As with a decision,
//! the live path only gathers a [`Witness`]; [`replay_kms_info`] reads from that alone, and an auditor may do it again. The
//! call is not a question: no decision can be made of its witness, and no keys can be read from a decision's.
//!
//! Owns the strict reading of the answer. Never judges whether the keys are keys: that is for whoever uses them. Called by
//! `ContractReader`. Threats: a provider that names a root of its own; a contract whose answer is anyone's bytes.

use std::collections::HashSet;

use alloy::primitives::{B256, Bytes};
use alloy::sol_types::{SolCall, SolValue};

use crate::anchor::{Anchor, VerifiedHead};
use crate::bindings::kms::DstackKms::kmsInfoCall;
use crate::deny::{ChainDeny, ChainDenyCode};
use crate::evm::CallEnd;
use crate::replay::{BlockRef, Caller, ReplayError, authenticate, check_slack, check_subject, keep_used};
use crate::witness::Witness;

/// The most storage slots that the read may take: 32 KiB of keys, quote and event log together. A provider proves so many in
/// one request.
pub const MAX_INFO_SLOTS: usize = 1024;
/// The longest answer that is read, in bytes: what so many slots can hold, with its offsets and lengths.
const MAX_INFO_BYTES: usize = (MAX_INFO_SLOTS + 16) * 32;
/// The form of the answer.
const FORM: &str = "the answer of kmsInfo(): (bytes, bytes, bytes, bytes)";

/// What `DstackKms` publishes about the root. Bytes of governance: proven to stand on chain, and no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsInfo {
    /// The secp256k1 key that signs applications' keys: a point in a form of SEC 1.
    pub k256_public_key: Bytes,
    /// The P-256 key of the root CA, SubjectPublicKeyInfo in DER.
    pub ca_public_key: Bytes,
    /// The first node's quote; empty where none was published.
    pub quote: Bytes,
    /// The event log that belongs to it.
    pub event_log: Bytes,
    /// The head at which this was read.
    pub latest: BlockRef,
}

/// The call.
pub(crate) fn call_data() -> Bytes {
    kmsInfoCall {}.abi_encode().into()
}

/// Reads the keys. Refused where the witness is incomplete, about something else, or holds more than is used; with
/// `contract-missing` or `kms-info-unusable` where there are none; with `grant-not-final` where policy demands the finalized
/// head too and that one has others.
pub fn replay_kms_info(anchor: &Anchor, witness: &Witness) -> Result<KmsInfo, ReplayError> {
    let (info, used) = establish(anchor, witness)?;
    check_slack(witness, &used)?;
    Ok(info)
}

/// Leaves in a witness of `kmsInfo()` only what the read uses.
pub fn prune_kms_info(anchor: &Anchor, witness: &mut Witness) -> Result<(), ReplayError> {
    let (_, used) = establish(anchor, witness)?;
    keep_used(witness, &used);
    Ok(())
}

fn establish(anchor: &Anchor, witness: &Witness) -> Result<(KmsInfo, HashSet<B256>), ReplayError> {
    check_subject(anchor, witness)?;
    if witness.call != call_data() {
        let found = format!("{} bytes of other call data", witness.call.len());
        return Err(ChainDeny::new(ChainDenyCode::WitnessOtherQuestion, found, "kmsInfo()").into());
    }
    let (latest, finalized) = authenticate(anchor, witness)?;
    let mut used = HashSet::new();
    let info = at_head(witness, &latest, &mut used)?;
    if let Some(head) = &finalized {
        let older = at_head(witness, head, &mut used)?;
        if (KmsInfo { latest: info.latest, ..older }) != info {
            let (found, expected) = ("other root keys at the finalized block", "the same at both blocks");
            return Err(ChainDeny::new(ChainDenyCode::GrantNotFinal, found, expected).into());
        }
    }
    Ok((info, used))
}

fn at_head(witness: &Witness, head: &VerifiedHead, used: &mut HashSet<B256>) -> Result<KmsInfo, ReplayError> {
    let mut caller = Caller::new(witness, head, MAX_INFO_SLOTS);
    caller.expect_kms()??;
    let end = caller.call_kms(call_data())??;
    used.extend(caller.used());
    let CallEnd::Returned(answer) = end else { return Err(unusable("no answer").into()) };
    Ok(decode(&answer, BlockRef::of(head))?)
}

fn decode(answer: &[u8], latest: BlockRef) -> Result<KmsInfo, ChainDeny> {
    let bytes = || unusable(&format!("{} other bytes", answer.len()));
    if answer.len() > MAX_INFO_BYTES {
        return Err(bytes());
    }
    let parts = <(Bytes, Bytes, Bytes, Bytes)>::abi_decode_params_validate(answer);
    // Decoding alone ignores bytes that nothing points at.
    let parts = parts.ok().filter(|parts| parts.abi_encode_params() == answer);
    let (k256_public_key, ca_public_key, quote, event_log) = parts.ok_or_else(bytes)?;
    if k256_public_key.is_empty() || ca_public_key.is_empty() {
        let expected = "both root public keys";
        return Err(ChainDeny::new(ChainDenyCode::KmsInfoUnusable, "a key that is not set", expected));
    }
    Ok(KmsInfo { k256_public_key, ca_public_key, quote, event_log, latest })
}

fn unusable(found: &str) -> ChainDeny {
    ChainDeny::new(ChainDenyCode::KmsInfoUnusable, found, FORM)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATEST: BlockRef = BlockRef { number: 1, hash: B256::ZERO, timestamp: 1 };

    fn answer(parts: [&[u8]; 4]) -> Vec<u8> {
        let [key, ca, quote, log] = parts.map(Bytes::copy_from_slice);
        (key, ca, quote, log).abi_encode_params()
    }

    #[test]
    fn decode__should_read_the_keys_and_their_evidence() {
        let info = decode(&answer([&[2; 33], &[3; 91], b"quote", b""]), LATEST).unwrap();
        assert_eq!((&info.k256_public_key[..], &info.ca_public_key[..]), (&[2; 33][..], &[3; 91][..]));
        assert_eq!((&info.quote[..], &info.event_log[..]), (&b"quote"[..], &b""[..]));
    }

    #[test]
    fn decode__should_refuse_what_holds_no_keys() {
        let good = answer([&[2; 33], &[3; 91], b"", b""]);
        let long = answer([&[2; 33], &[3; 91], &vec![0; MAX_INFO_BYTES], b""]);
        for bad in [
            answer([b"", &[3; 91], b"", b""]),
            answer([&[2; 33], b"", b"", b""]),
            good[..good.len() - 32].to_vec(),
            [&good[..], &[0; 32]].concat(),
            long,
            vec![],
        ] {
            assert_eq!(decode(&bad, LATEST).unwrap_err().code, ChainDenyCode::KmsInfoUnusable);
        }
    }
}
