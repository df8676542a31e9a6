//! The log's key and the quote over it: who reads the log knows that this enclave signs it.

use kms_attestation::platform::Platform;
use kms_ledger::log_key_report_data;
use kms_ledger::note::LogSigner as _;

use crate::keys::NodeLogKey;
use crate::node::certificate::{NodeQuote, quote};
use crate::refusal::Refused;

/// The log of this node: its name, its key, and the proof that the key is this enclave's.
pub(crate) struct LogIdentity {
    pub(crate) origin: String,
    pub(crate) public_key: [u8; 32],
    pub(crate) quote: NodeQuote,
}

impl LogIdentity {
    /// Has the platform make the quote. Refused with `quote-unavailable`.
    pub(crate) async fn attest(
        platform: &Platform,
        origin: String,
        key: &NodeLogKey,
    ) -> Result<Self, Refused> {
        let public_key = key.public_key();
        let quote = quote(platform, log_key_report_data(&origin, &public_key)).await?;
        Ok(Self { origin, public_key, quote })
    }
}
