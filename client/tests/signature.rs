//! Signatures have one accepted form; what the node signs is tested where the node is.
#![allow(non_snake_case, missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use k256::ecdsa::SigningKey;
use kms_attestation::ids::{AppId, RootEpoch};
use kms_client::signature::{AppKeyStatement, KmsRootKey, RecoverableSignature, SIGNATURE_LEN};

fn statement() -> AppKeyStatement {
    AppKeyStatement { app_id: AppId([1; 20]), epoch: RootEpoch(0), public_key: [2; 33] }
}

fn signed() -> ([u8; SIGNATURE_LEN], KmsRootKey) {
    let key = SigningKey::from_slice(&[7; 32]).unwrap();
    let (signature, recovery) = key.sign_prehash_recoverable(&statement().digest());
    let mut bytes = [recovery.to_byte(); SIGNATURE_LEN];
    bytes[..64].copy_from_slice(&signature.to_bytes());
    (bytes, KmsRootKey::from_sec1(key.verifying_key().to_sec1_point(false).as_bytes()).unwrap())
}

#[test]
fn signature__should_verify_and_read_back() {
    let (bytes, root) = signed();
    let signature = RecoverableSignature::from_bytes(&bytes).unwrap();
    assert_eq!(signature.to_bytes(), bytes);
    statement().verify(&signature, &root).unwrap();
}

#[test]
fn signature__should_have_one_form() {
    let (bytes, _) = signed();
    // The other s of the same signature, n - s, which Ethereum's ecrecover would accept.
    let scalars = k256::ecdsa::Signature::from_slice(&bytes[..64]).unwrap();
    let (r, s) = scalars.split_scalars();
    let high = k256::ecdsa::Signature::from_scalars(r, -*s).unwrap();
    let high = [high.to_bytes().as_slice(), &[1 - bytes[64]]].concat();
    let with = |at: usize, value: u8| {
        let mut changed = bytes.to_vec();
        changed[at] = value;
        changed
    };
    let zero_r = [&[0; 32][..], &bytes[32..]].concat();
    let v = bytes[64];
    for bad in [high, with(64, v + 27), with(64, 2), with(64, 255), zero_r, bytes[..64].to_vec(), vec![]] {
        let error = RecoverableSignature::from_bytes(&bad).unwrap_err();
        assert_eq!(error.code.as_str(), "signature-malformed", "{error}");
    }
}

#[test]
fn signature__should_not_verify_with_any_bit_changed() {
    let (bytes, root) = signed();
    for at in 0..SIGNATURE_LEN {
        let mut changed = bytes;
        changed[at] ^= 1;
        let verified = RecoverableSignature::from_bytes(&changed)
            .and_then(|signature| statement().verify(&signature, &root));
        assert!(verified.is_err(), "byte {at}");
    }
}

#[test]
fn root_key__should_read_both_forms_of_a_point() {
    let (_, root) = signed();
    assert_eq!(root.to_string().parse::<KmsRootKey>().unwrap(), root);
    assert_eq!(KmsRootKey::from_sec1(&root.to_compressed()).unwrap(), root);
    for bad in ["", "0x", "zz", "02", &"00".repeat(33), &"02".repeat(65)] {
        assert!(bad.parse::<KmsRootKey>().is_err(), "{bad}");
    }
}
