//! A receipt: the proof that a release is in a node's log, and the little that is needed to check it without the node.
//!
//! Two files. The first is a proof without its entry ([`LogProof`]); the second, beside it with `.json` after its name:
//!
//! ```text
//! {"leaf_hash":"<64 hexadecimal digits>","log_key":"<name>+<key id>+<base64>"}
//! ```
//!
//! Made by `kms-client`, which had both from a node that it had verified, on the connection that the keys came over. Checked
//! offline by `kmsctl audit receipt`. It proves nothing before [`Receipt::verify`], and to somebody else only with a key
//! that they have from elsewhere. Threat: an operator who later leaves out or changes what was released.

use serde::Deserialize;

use crate::checkpoint::SignedCheckpoint;
use crate::hash::TreeHash;
use crate::note::LogKey;
use crate::proof::LogProof;
use crate::refusal::{LedgerCode, LedgerRefusal};

/// The largest second file that is read, in bytes.
pub const MAX_BESIDE_BYTES: usize = 1024;
/// What the name of the second file has after that of the first.
pub const BESIDE_SUFFIX: &str = ".json";

/// That a log had a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The key of the log, as the node named it.
    pub log_key: LogKey,
    /// The record's hash as a leaf.
    pub leaf_hash: TreeHash,
    /// The proof.
    pub proof: LogProof,
}

/// The members of the second file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Beside {
    leaf_hash: String,
    log_key: String,
}

impl Receipt {
    /// Checks that the log with this key has the record, and returns the checkpoint that says so. Whoever did not get the
    /// receipt from the node itself gives a key that is known from elsewhere, not the receipt's own. Refused as
    /// [`LogProof::verify`] is.
    pub fn verify(&self, key: &LogKey) -> Result<SignedCheckpoint, LedgerRefusal> {
        self.proof.verify_leaf(self.leaf_hash, key)
    }

    /// The text of the second file.
    #[must_use]
    pub fn encode_beside(&self) -> String {
        let members = serde_json::json!({
            "leaf_hash": self.leaf_hash.to_string(),
            "log_key": self.log_key.to_string(),
        });
        format!("{members}\n")
    }

    /// Reads the two files. Refused with `receipt-malformed`, `log-key-malformed`, and with what [`LogProof::decode`] refuses.
    pub fn decode(proof: &[u8], beside: &[u8]) -> Result<Self, LedgerRefusal> {
        let small = Some(beside).filter(|bytes| bytes.len() <= MAX_BESIDE_BYTES);
        let members = small.and_then(|bytes| serde_json::from_slice::<Beside>(bytes).ok());
        let members = members.ok_or_else(malformed)?;
        let leaf_hash = hex::decode(&members.leaf_hash).ok().and_then(|bytes| bytes.try_into().ok());
        let leaf_hash = leaf_hash.map(TreeHash).ok_or_else(malformed)?;
        let (log_key, proof) = (members.log_key.parse()?, LogProof::decode(proof)?);
        // What reads as a receipt, but is written in another way, is none.
        let receipt = Some(Self { log_key, leaf_hash, proof });
        receipt.filter(|receipt| receipt.encode_beside().as_bytes() == beside).ok_or_else(malformed)
    }
}

fn malformed() -> LedgerRefusal {
    LedgerRefusal::new(LedgerCode::Receipt, "other bytes", "leaf_hash and log_key, as they were written")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::testing::{Signer, changed_bytes};

    /// Record 1 of a log of three.
    fn receipt() -> Receipt {
        let [a, b, c] = [b"a", b"b", b"c"].map(|entry| TreeHash::leaf(entry));
        let root = TreeHash::node(TreeHash::node(a, b), c);
        let checkpoint = Checkpoint { origin: "log.example/a".parse().unwrap(), size: 3, root };
        let signed = SignedCheckpoint::sign(checkpoint, &Signer::new(1)).unwrap();
        let proof = LogProof::of_answer(1, vec![a, c], signed.encode().as_bytes()).unwrap();
        Receipt { log_key: Signer::new(1).log_key("log.example/a"), leaf_hash: b, proof }
    }

    #[test]
    fn receipt__should_verify_offline_and_not_with_any_byte_changed() {
        let receipt = receipt();
        let (proof, beside) = (receipt.proof.encode(), receipt.encode_beside());
        let open = |proof: &[u8], beside: &[u8]| {
            Receipt::decode(proof, beside).and_then(|receipt| receipt.verify(&receipt.log_key))
        };
        let head = open(proof.as_bytes(), beside.as_bytes()).unwrap();
        assert_eq!((head.checkpoint().size, receipt.proof.index()), (3, 1));
        for changed in changed_bytes(proof.as_bytes()) {
            assert!(open(&changed, beside.as_bytes()).is_err(), "{}", String::from_utf8_lossy(&changed));
        }
        for changed in changed_bytes(beside.as_bytes()) {
            assert!(open(proof.as_bytes(), &changed).is_err(), "{}", String::from_utf8_lossy(&changed));
        }
        for other in ["", "{}", &beside.replace(':', ": "), &" ".repeat(MAX_BESIDE_BYTES + 1)] {
            let refused = Receipt::decode(proof.as_bytes(), other.as_bytes()).unwrap_err();
            assert_eq!(refused.code, LedgerCode::Receipt, "{other}");
        }
        let foreign = Signer::new(2).log_key("log.example/a");
        assert_eq!(receipt.verify(&foreign).unwrap_err().code, LedgerCode::NoteUnsigned);
    }

    #[test]
    fn proof__should_have_no_more_hashes_than_a_tree_has_levels() {
        let note = receipt().proof.verify_leaf(receipt().leaf_hash, &receipt().log_key).unwrap().encode();
        let refused = LogProof::of_answer(0, vec![TreeHash::empty(); 64], note.as_bytes()).unwrap_err();
        assert_eq!(refused.code, LedgerCode::LogProofFile);
    }
}
