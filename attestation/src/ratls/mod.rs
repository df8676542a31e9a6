//! RA-TLS: certificates that carry a quote over their own key, in the form that dstack's tools read and write.
//!
//! ```text
//! 1.3.6.1.4.1.62397.1   .1 raw quote            .2 event log, JSON text     (the older form: a pair)
//!                       .3 app id, 20 bytes     .4 usage, UTF-8 text
//!                       .8 versioned attestation (the newer form)           .9 app info
//! extnValue = OCTET STRING { OCTET STRING { content } }, never critical; each extension at most once
//! report_data of the quote = SHA-512("ratls-cert:" || SubjectPublicKeyInfo DER)
//! ```
//!
//! Readers try `.8` first, then `.1` with `.2`. What `.8` holds stands in `scale.rs` and `msgpack.rs`, chosen by its
//! first byte. Specified by the code of `Dstack-TEE/dstack`: `dstack/ra-tls/src/{oids,cert,attestation,traits}.rs`
//! and `dstack/dstack-attest/src/{attestation,v1}.rs`, checked against certificates that a guest of version 0.6.0
//! issued (`dstack/verifier/fixtures/tdx-lite-v{0,1}-*.pem`).
//!
//! This module is pure and decides nothing: a certificate that parses proves nothing until its quote is verified
//! and [`RatlsCertificate::check_binding`] has compared the *verified* report data with the certificate's key.
//! `.3` and `.4` are claims of whoever signed the certificate; `.9` is not read, because everything in it is
//! derived from the quote and the log.
//!
//! Called by the node (to write its own certificate, to read a client's), by the client (to read the node's) and
//! by the auditor. Threats: hostile certificates (every decoder is bounded in size, count and depth, a duplicate
//! extension is refused, because two readers could each pick another one), and a quote moved to another key.

mod certificate;
mod evidence;
mod leaf;
mod msgpack;
mod scale;
mod write;

#[cfg(test)]
mod tests;

pub use certificate::{EvidenceForm, RatlsCertificate, subject_public_key_info};
pub use write::{
    Attestation, Extension, app_id_extension, attestation_extension, pair_extensions, usage_extension,
};

use std::fmt;

use crate::deny::{DenyCode, DenyReason};
use crate::hash::sha512;
use crate::ids::ReportData;

/// The largest certificate that is read, in bytes: rustls refuses a handshake message beyond 64 KiB.
pub const MAX_CERTIFICATE_BYTES: usize = 64 * 1024;
/// The longest usage text, in bytes.
pub const MAX_USAGE_BYTES: usize = 64;

/// The object identifiers of the extensions.
pub mod oid {
    /// The raw quote (older form).
    pub const QUOTE: &[u64] = &[1, 3, 6, 1, 4, 1, 62397, 1, 1];
    /// The event log as JSON text (older form).
    pub const EVENT_LOG: &[u64] = &[1, 3, 6, 1, 4, 1, 62397, 1, 2];
    /// The app id, 20 bytes.
    pub const APP_ID: &[u64] = &[1, 3, 6, 1, 4, 1, 62397, 1, 3];
    /// What the certificate is for, as text.
    pub const USAGE: &[u64] = &[1, 3, 6, 1, 4, 1, 62397, 1, 4];
    /// The versioned attestation (newer form).
    pub const ATTESTATION: &[u64] = &[1, 3, 6, 1, 4, 1, 62397, 1, 8];
    /// The app info. Neither read nor written here.
    pub const APP_INFO: &[u64] = &[1, 3, 6, 1, 4, 1, 62397, 1, 9];
}

/// The usages that dstack's tools know.
pub mod usage {
    /// The certificate of a KMS node's own service.
    pub const KMS_RPC: &str = "kms:rpc";
    /// The certificate of an app's CA.
    pub const APP_CA: &str = "app:ca";
    /// A leaf certificate that an app asked for.
    pub const APP_CUSTOM: &str = "app:custom";
}

/// The report data that a quote must carry to vouch for a certificate with this key.
///
/// `spki_der` is the whole SubjectPublicKeyInfo structure.
#[must_use]
pub fn report_data_for_spki(spki_der: &[u8]) -> ReportData {
    ReportData(sha512(&[b"ratls-cert:", spki_der]))
}

fn malformed(found: impl fmt::Display, expected: impl fmt::Display) -> DenyReason {
    DenyReason::new(DenyCode::RatlsMalformed, found, expected)
}

/// Refuses `bytes` that are longer than `limit`; `what` names them.
fn bounded<'a>(what: &str, bytes: &'a [u8], limit: usize) -> Result<&'a [u8], DenyReason> {
    if bytes.len() <= limit {
        return Ok(bytes);
    }
    let found = format_args!("{what} of {} bytes", bytes.len());
    Err(malformed(found, format_args!("at most {limit} bytes")))
}
