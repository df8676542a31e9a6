//! Platforms that a verifier has found genuine: their certificates as they were read, and the signatures that lead to them.
//!
//! A server sends the very same certificates with each of its quotes, and its quoting enclave the same report: reading them
//! again would read the same, and their signatures would be as valid as before. Both are pure functions of the bytes that
//! they are kept under, and those bytes are compared, not a hash of them. Nothing else is kept: dates, revocation and TCB
//! levels are evaluated for every quote, and the quote's own signature is verified for every quote.
//!
//! Learns from quotes that were authenticated and from no others, so that whoever has no genuine hardware cannot put anything
//! in. Bounded: a memory that is full begins anew. Called by [`crate::verify`]. Threat: a memory that answers for other bytes,
//! or for another time.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::deny::DenyReason;
use crate::memo::SignatureMemo;
use crate::pki::Cert;
use crate::quote::Platform;

/// The most chains that are kept. One takes some 16 KiB; padded to the largest quote that is read, three times that.
const MAX_CHAINS: usize = 256;

/// The certificates that a quote carries, as they were read. Nothing in them has been verified.
pub(crate) struct PckChain {
    /// The text that they were read from.
    pub(crate) pem: Arc<[u8]>,
    pub(crate) pck: Cert,
    /// The CA that issued it. A root that follows is not used: the root is configured.
    pub(crate) pck_ca: Cert,
    /// What the PCK certificate says.
    pub(crate) platform: Platform,
}

/// A chain, and which signatures about it are known to be valid: none unless a quote with it was authenticated.
#[derive(Clone)]
pub(crate) struct KnownChain {
    pub(crate) chain: Arc<PckChain>,
    pub(crate) signatures: Arc<SignatureMemo>,
}

impl KnownChain {
    /// A chain of which nothing is known.
    pub(crate) fn new(chain: PckChain) -> Self {
        Self { chain: Arc::new(chain), signatures: Arc::default() }
    }
}

/// The platforms that a verifier has found genuine, by the text of their certificates.
#[derive(Default)]
pub(crate) struct Platforms(RwLock<HashMap<Arc<[u8]>, KnownChain>>);

impl Platforms {
    /// The chain of that very text, or what reading it gives.
    pub(crate) fn read(
        &self,
        pem: &[u8],
        read: impl FnOnce() -> Result<PckChain, DenyReason>,
    ) -> Result<KnownChain, DenyReason> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(pem).cloned();
        known.map_or_else(|| read().map(KnownChain::new), Ok)
    }

    /// Remembers what an authentication has verified of the chain of its quote.
    pub(crate) fn note(&self, known: &KnownChain, learned: SignatureMemo) {
        let (pck, ca) = (known.chain.pck.public_key(), known.chain.pck_ca.public_key());
        let learned = learned.by_keys(&[pck, ca]);
        if learned.is_empty() {
            return;
        }
        let signatures = Arc::new(learned.with(&known.signatures));
        let chain = Arc::clone(&known.chain);
        let mut chains = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if chains.len() >= MAX_CHAINS && !chains.contains_key(&*chain.pem) {
            chains.clear();
        }
        chains.insert(Arc::clone(&chain.pem), KnownChain { chain, signatures });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collateral::PckCa;
    use crate::ids::{Fmspc, Ppid};
    use crate::memo::scoped;
    use crate::root::RootOfTrust;

    /// A chain of that text; the certificates are the root's, who signed itself.
    fn chain(text: &str) -> PckChain {
        let cert = || Cert::parse(RootOfTrust::intel().der()).unwrap();
        let platform = Platform {
            ppid: Ppid([1; 16]),
            fmspc: Fmspc([2; 6]),
            ca: PckCa::Platform,
            pce_id: [0; 2],
            cpu_svn: [0; 16],
            pce_svn: 1,
        };
        PckChain { pem: text.as_bytes().into(), pck: cert(), pck_ca: cert(), platform }
    }

    /// What an authentication verifies: the root's signature.
    fn learned() -> SignatureMemo {
        let cert = Cert::parse(RootOfTrust::intel().der()).unwrap();
        let (verified, learned) = scoped(Vec::new(), || cert.check_signed_by(&cert));
        verified.unwrap();
        learned
    }

    /// Whether that text is read anew.
    fn is_read(platforms: &Platforms, text: &str) -> bool {
        let mut read = false;
        let found = platforms.read(text.as_bytes(), || {
            read = true;
            Ok(chain(text))
        });
        assert_eq!((&*found.unwrap().chain.pem, read), (text.as_bytes(), read));
        read
    }

    #[test]
    fn platforms__should_remember_what_was_verified_under_its_very_text_alone() {
        let platforms = Platforms::default();
        let known = platforms.read(b"a chain", || Ok(chain("a chain"))).unwrap();
        assert!(known.signatures.is_empty() && is_read(&platforms, "a chain"));
        platforms.note(&known, learned());
        assert!(!is_read(&platforms, "a chain") && is_read(&platforms, "a chain "));
        assert!(!platforms.read(b"a chain", || unreachable!()).unwrap().signatures.is_empty());
    }

    #[test]
    fn platforms__should_remember_nothing_where_no_signature_of_theirs_was_verified() {
        let platforms = Platforms::default();
        platforms.note(&KnownChain::new(chain("a chain")), SignatureMemo::default());
        assert!(is_read(&platforms, "a chain"));
    }

    #[test]
    fn platforms__should_begin_anew_when_full() {
        let platforms = Platforms::default();
        for number in 0..=MAX_CHAINS {
            platforms.note(&KnownChain::new(chain(&number.to_string())), learned());
        }
        assert!(is_read(&platforms, "0") && !is_read(&platforms, &MAX_CHAINS.to_string()));
    }
}
