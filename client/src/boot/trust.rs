//! Which KMS a boot trusts: pinned keys and measurements, what a pinned contract says, or both.
//!
//! With both, both must hold: neither may widen the other. Owns how the two go together. Never takes anything from the node
//! that is judged by it. Called once for each attempt. Threats: a node of somebody else; a chain that was turned against
//! pins, or pins that were not renewed with the chain.

use kms_attestation::identity::mr_aggregated;
use kms_attestation::{Policy, VerifiedQuote};
use tokio::time::Instant;

#[cfg(feature = "chain")]
use super::chain::ChainPins;
use super::error::BootError;
use super::pins::Pins;
use crate::signature::KmsRootKey;

/// The public keys of a KMS root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Roots {
    /// The root CA's, SubjectPublicKeyInfo in DER.
    pub(super) ca_spki: Vec<u8>,
    /// The root signer's.
    pub(super) signer: KmsRootKey,
}

/// The time of an attempt: what the caller said, and what has passed since.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: u64,
    since: Instant,
}

impl Clock {
    /// Starts at `now`, in Unix seconds.
    pub(super) fn start(now: u64) -> Self {
        Self { start: now, since: Instant::now() }
    }

    /// Unix seconds.
    pub(super) fn now(&self) -> u64 {
        self.start.saturating_add(self.since.elapsed().as_secs())
    }
}

/// Which KMS is trusted. At least one of the two, by its constructors.
pub struct Trust {
    pins: Option<Pins>,
    #[cfg(feature = "chain")]
    chain: Option<ChainPins>,
    platform: Policy,
}

impl Trust {
    /// The keys and measurements of a pins file.
    #[must_use]
    pub fn pinned(pins: Pins) -> Self {
        let platform = pins.platform.clone();
        Self {
            pins: Some(pins),
            #[cfg(feature = "chain")]
            chain: None,
            platform,
        }
    }

    /// The keys that a contract publishes, and the nodes that it allows, on platforms that are up to date.
    #[cfg(feature = "chain")]
    #[must_use]
    pub fn on_chain(chain: ChainPins) -> Self {
        Self { pins: None, chain: Some(chain), platform: Policy::default() }
    }

    /// The same, where a contract must agree as well: on the keys, and on the node.
    #[cfg(feature = "chain")]
    #[must_use]
    pub fn and_on_chain(self, chain: ChainPins) -> Self {
        Self { chain: Some(chain), ..self }
    }

    /// In which state a node's platform must be.
    pub(super) const fn platform(&self) -> &Policy {
        &self.platform
    }

    /// The root that a node must have.
    #[cfg_attr(
        not(feature = "chain"),
        expect(clippy::unused_async, unused_variables, reason = "the chain is asked where there is one")
    )]
    pub(super) async fn roots(&self, clock: Clock) -> Result<Roots, BootError> {
        let pinned = self.pins.as_ref().map(Pins::roots);
        #[cfg(feature = "chain")]
        if let Some(chain) = &self.chain {
            let published = chain.roots(clock.now()).await?;
            return match pinned {
                Some(pinned) => agreed(pinned, &published),
                None => Ok(published),
            };
        }
        pinned.ok_or(BootError::Guest { what: "pins" })
    }

    /// Refuses a node whose measurement is not pinned, or that the contract does not allow.
    #[cfg_attr(
        not(feature = "chain"),
        expect(clippy::unused_async, unused_variables, reason = "the chain is asked where there is one")
    )]
    pub(super) async fn admit(
        &self,
        quote: &VerifiedQuote,
        os_image_manifest: &[u8],
        clock: Clock,
    ) -> Result<(), BootError> {
        if let Some(pins) = &self.pins {
            pins.check_measurement(mr_aggregated(quote.td()))?;
        }
        #[cfg(feature = "chain")]
        if let Some(chain) = &self.chain {
            chain.admit(quote, os_image_manifest, clock.now()).await?;
        }
        Ok(())
    }
}

/// The roots, where the pins and the chain name the same.
#[cfg(feature = "chain")]
fn agreed(pinned: Roots, published: &Roots) -> Result<Roots, BootError> {
    let contradiction = |what: &str, found: String, expected: String| BootError::PinsContradicted {
        found: format!("the {what} {found} in kmsInfo"),
        expected: format!("the pinned {expected}"),
    };
    if published.ca_spki != pinned.ca_spki {
        let (found, expected) = (hex::encode(&published.ca_spki), hex::encode(&pinned.ca_spki));
        return Err(contradiction("root CA key", found, expected));
    }
    if published.signer != pinned.signer {
        let (found, expected) = (published.signer.to_string(), pinned.signer.to_string());
        return Err(contradiction("root signer", found, expected));
    }
    Ok(pinned)
}
