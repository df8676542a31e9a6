//! A receipt for a release: the proof that the node's log has its record, asked for on the connection that the keys came over.
//!
//! Which log the node keeps, and under which key, is what the attested node says. The signature and the hashes are checked
//! here; what does not hold is a refusal, and the keys are dropped. What cannot be had in time is the caller's to judge: a
//! node that never answers can hide its record, which only [`ReceiptWanted::Required`] rules out. Threat: a node, or whoever
//! keeps its disk, that releases keys and leaves no trace.

use std::time::Duration;

use kms_ledger::hash::TreeHash;
use kms_ledger::note::LogKey;
use kms_ledger::refusal::LedgerRefusal;
use kms_ledger::{LogProof, Receipt};
use kms_proto::v1::audit_client::AuditClient;
use kms_proto::v1::public_client::PublicClient;
use kms_proto::v1::{GetInclusionProofRequest, GetInclusionProofResponse, GetNodeInfoRequest, LogInfo};
use tokio::time::timeout;
use tonic::transport::Channel;

use super::error::BootError;
use super::keys::RecordReference;
use super::session::MAX_ANSWER_BYTES;

/// The longest time for both calls. A node waits up to 10 s for its next checkpoint.
const RECEIPT_WITHIN: Duration = Duration::from_secs(15);

/// Whether a receipt is asked for with the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptWanted {
    /// Not at all.
    No,
    /// It is; without one in time the keys are taken all the same.
    IfInTime,
    /// It is; without one there are no keys.
    Required,
}

/// The verified receipt for a record, or why it could not be had in time; nothing where none is wanted. Refused with
/// `receipt-invalid`, and, where one is required, with `receipt-unavailable`.
pub(super) async fn obtain(
    channel: Channel,
    node: &str,
    record: &RecordReference,
    wanted: ReceiptWanted,
) -> Result<Option<Result<Receipt, BootError>>, BootError> {
    if wanted == ReceiptWanted::No {
        return Ok(None);
    }
    let asked = timeout(RECEIPT_WITHIN, ask(channel, node, record.index)).await;
    match asked.unwrap_or_else(|_| Err(BootError::unreachable(node, "no answer in time"))) {
        Ok((log, answer)) => check(log.as_ref(), &answer, record).map(|receipt| Some(Ok(receipt))),
        Err(error) => missing(&error, record.index, wanted),
    }
}

async fn ask(
    channel: Channel,
    node: &str,
    index: u64,
) -> Result<(Option<LogInfo>, GetInclusionProofResponse), BootError> {
    let mut public = PublicClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES);
    let info = public.get_node_info(GetNodeInfoRequest {}).await;
    let info = info.map_err(|status| BootError::of_status(node, &status))?.into_inner();
    let mut audit = AuditClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
    let answer = audit.get_inclusion_proof(GetInclusionProofRequest { index }).await;
    Ok((info.log, answer.map_err(|status| BootError::of_status(node, &status))?.into_inner()))
}

/// A node that says for good that its log has no such record contradicts itself.
fn missing(
    error: &BootError,
    index: u64,
    wanted: ReceiptWanted,
) -> Result<Option<Result<Receipt, BootError>>, BootError> {
    let unavailable = BootError::ReceiptUnavailable { why: error.to_string(), index };
    match (error, wanted) {
        (BootError::Denied(denial), _) if !denial.transient => Err(invalid(denial, "a proof")),
        (_, ReceiptWanted::Required) => Err(unavailable),
        _ => Ok(Some(Err(unavailable))),
    }
}

/// Refused where the answer does not prove the record.
fn check(
    log: Option<&LogInfo>,
    answer: &GetInclusionProofResponse,
    record: &RecordReference,
) -> Result<Receipt, BootError> {
    let log_key = log.and_then(log_key).ok_or_else(|| invalid("no log", "its name and its key"))?;
    let path: Option<Vec<TreeHash>> =
        answer.hashes.iter().map(|hash| <[u8; 32]>::try_from(&hash[..]).ok().map(TreeHash)).collect();
    let path = path.ok_or_else(|| invalid("hashes of another length", "32 bytes each"))?;
    let refused = |refusal: LedgerRefusal| {
        invalid(format_args!("{}: {}", refusal, refusal.code.fix()), "a proof of the record")
    };
    let proof = LogProof::of_answer(record.index, path, &answer.checkpoint).map_err(refused)?;
    let receipt = Receipt { log_key, leaf_hash: TreeHash(record.leaf_hash), proof };
    receipt.verify(&receipt.log_key).map_err(refused)?;
    Ok(receipt)
}

/// The key that a node says its log has; none where that is no key.
pub(super) fn log_key(log: &LogInfo) -> Option<LogKey> {
    Some(LogKey::new(log.origin.parse().ok()?, log.public_key[..].try_into().ok()?))
}

fn invalid(found: impl std::fmt::Display, expected: &str) -> BootError {
    BootError::ReceiptInvalid { found: found.to_string(), expected: expected.to_owned() }
}

#[cfg(test)]
mod tests {
    use kms_ledger::note::LogSigner;
    use kms_ledger::{Checkpoint, SignedCheckpoint};
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;
    use crate::boot::{Denial, FailureKind};

    struct Signer(Ed25519KeyPair);

    impl LogSigner for Signer {
        fn public_key(&self) -> [u8; 32] {
            self.0.public_key().as_ref().try_into().unwrap()
        }

        fn sign(&self, message: &[u8]) -> [u8; 64] {
            self.0.sign(message).as_ref().try_into().unwrap()
        }
    }

    /// Record 0 of a log of two.
    fn honest() -> (LogInfo, GetInclusionProofResponse, RecordReference) {
        let signer = Signer(Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap());
        let (leaf, beside) = (TreeHash::leaf(b"release"), TreeHash::leaf(b"next"));
        let checkpoint = Checkpoint {
            origin: "log.example".parse().unwrap(),
            size: 2,
            root: TreeHash::node(leaf, beside),
        };
        let checkpoint = SignedCheckpoint::sign(checkpoint, &signer).unwrap().encode().into_bytes();
        let log = LogInfo {
            origin: "log.example".to_owned(),
            public_key: signer.public_key().to_vec(),
            ..LogInfo::default()
        };
        let answer = GetInclusionProofResponse { checkpoint, hashes: vec![beside.0.to_vec()] };
        (log, answer, RecordReference { index: 0, leaf_hash: leaf.0 })
    }

    #[test]
    fn receipt__should_be_taken_only_if_it_proves_the_record() {
        let (log, answer, record) = honest();
        let receipt = check(Some(&log), &answer, &record).unwrap();
        assert_eq!((receipt.proof.index(), receipt.leaf_hash.0), (0, record.leaf_hash));
        let other_key = LogInfo { public_key: vec![9; 32], ..log.clone() };
        let short_key = LogInfo { public_key: vec![9; 31], ..log.clone() };
        let other_name = LogInfo { origin: "log.other".to_owned(), ..log.clone() };
        let other_leaf = RecordReference { leaf_hash: [1; 32], ..record.clone() };
        let other_index = RecordReference { index: 1, ..record.clone() };
        let no_hashes = GetInclusionProofResponse { hashes: Vec::new(), ..answer.clone() };
        let short_hash = GetInclusionProofResponse { hashes: vec![vec![1; 31]], ..answer.clone() };
        let no_note = GetInclusionProofResponse { checkpoint: Vec::new(), ..answer.clone() };
        for (log, answer, record) in [
            (None, &answer, &record),
            (Some(other_key), &answer, &record),
            (Some(short_key), &answer, &record),
            (Some(other_name), &answer, &record),
            (Some(log.clone()), &answer, &other_leaf),
            (Some(log.clone()), &answer, &other_index),
            (Some(log.clone()), &no_hashes, &record),
            (Some(log.clone()), &short_hash, &record),
            (Some(log), &no_note, &record),
        ] {
            let refused = check(log.as_ref(), answer, record).unwrap_err();
            assert!(matches!(refused, BootError::ReceiptInvalid { .. }), "{refused}");
            assert_eq!(refused.kind(), FailureKind::Refused);
        }
    }

    #[test]
    fn receipt__should_be_missed_only_where_the_node_may_still_have_it() {
        let denied = |transient| {
            let text = String::new;
            let (code, message, found, expected, fix) = (text(), text(), text(), text(), text());
            BootError::Denied(Box::new(Denial {
                code,
                message,
                found,
                expected,
                fix,
                retry_after: None,
                transient,
            }))
        };
        let unreachable = BootError::unreachable("node", "gone");
        for error in [&denied(true), &unreachable] {
            let late = missing(error, 3, ReceiptWanted::IfInTime).unwrap().unwrap().unwrap_err();
            assert!(late.to_string().starts_with("receipt-unavailable"), "{late}");
            let required = missing(error, 3, ReceiptWanted::Required).unwrap_err();
            assert_eq!(required.kind(), FailureKind::Undecided);
        }
        let never = missing(&denied(false), 3, ReceiptWanted::IfInTime).unwrap_err();
        assert!(never.to_string().starts_with("receipt-invalid"), "{never}");
    }
}
