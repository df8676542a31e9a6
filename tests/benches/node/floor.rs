//! The floor: the bare arithmetic of curves that no release can do without, done by ring as the node does it.
//!
//! | operation | kept | fresh | because |
//! |---|---|---|---|
//! | X25519, a new key and its agreement | | 1 | the handshake's key exchange; both belong to this connection alone |
//! | P-256 signature | | 1 | the node's `CertificateVerify`, over this handshake |
//! | P-256 verification | | 1 | the client's `CertificateVerify`: its key is new with every connection |
//! | P-256 verification | 3 | 3 | the quote by the attestation key, the QE's report by the PCK, the PCK by its CA |
//!
//! Of a platform that the node has found genuine before, as in this load, it verifies the first of the three alone; they stay in
//! the floor, because a platform that is new needs them, and so that figures can be compared with earlier ones.
//!
//! Not in it: the client's certificate (nobody vouches for it, so its own signature is not verified), the collateral's six
//! signatures (verified once for all quotes), an app's CA certificate and the endorsement of its signing key (the same for
//! every release to the app), and everything that is no curve: hashes, AEAD, HKDF, the replay, JSON, HTTP, the disk.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey as PeerKey, X25519, agree_ephemeral};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};

use crate::load::Connections;
use crate::median;

/// How often each operation is done; the median counts.
const TIMES: usize = 301;
const QUOTE_VERIFICATIONS: u32 = 3;
/// About as much as is signed in a quote.
const MESSAGE: [u8; 632] = [1; 632];

/// How long each operation takes, with every core at work, as under a load.
pub(crate) struct Floor {
    exchange: Duration,
    sign: Duration,
    verify: Duration,
}

impl Floor {
    pub(crate) fn measure() -> Self {
        let cores = std::thread::available_parallelism().unwrap().get();
        let times: Vec<[Duration; 3]> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..cores).map(|_| scope.spawn(on_one_core)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let [exchange, sign, verify] = [0, 1, 2].map(|operation| {
            times.iter().map(|times| times[operation]).sum::<Duration>() / u32::try_from(cores).unwrap()
        });
        Self { exchange, sign, verify }
    }

    /// Of one release.
    pub(crate) fn of(&self, connections: Connections) -> Duration {
        let quote = self.verify * QUOTE_VERIFICATIONS;
        match connections {
            Connections::Kept => quote,
            Connections::Fresh => quote + self.exchange + self.sign + self.verify,
        }
    }

    pub(crate) fn print(&self) {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        println!(
            "bare operations, every core at work: X25519 key and agreement {:.0} µs, P-256 signature {:.0} µs, \
             P-256 verification {:.0} µs",
            micros(self.exchange),
            micros(self.sign),
            micros(self.verify),
        );
    }
}

fn on_one_core() -> [Duration; 3] {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).unwrap();
    let signature = pair.sign(&random, &MESSAGE).unwrap();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, pair.public_key().as_ref());
    let peer = EphemeralPrivateKey::generate(&X25519, &random).unwrap().compute_public_key().unwrap();
    let exchange = || {
        let own = EphemeralPrivateKey::generate(&X25519, &random).unwrap();
        black_box(own.compute_public_key().unwrap());
        let peer = PeerKey::new(&X25519, black_box(peer.as_ref()));
        black_box(agree_ephemeral(own, &peer, <[u8]>::to_vec).unwrap());
    };
    let sign = || {
        black_box(pair.sign(&random, black_box(&MESSAGE)).unwrap());
    };
    let verify = || key.verify(black_box(&MESSAGE), black_box(signature.as_ref())).unwrap();
    [time(exchange), time(sign), time(verify)]
}

fn time(operation: impl Fn()) -> Duration {
    let once = |_| {
        let start = Instant::now();
        operation();
        start.elapsed()
    };
    median((0..TIMES).map(once).collect())
}
