//! What ties a log to an enclave: the report data of a quote over the key that signs the log.
//!
//! ```text
//! report_data = SHA-512(field("onchain-kms/log-key/v1") || field(origin) || field(Ed25519 public key, 32))
//! field(x)    = length of x in bytes, u32 big endian || x
//! ```
//!
//! The node asks for such a quote when it starts, and the log's first record names it. Threat: a log that somebody
//! else signs, shown as this node's; a quote made for one log, shown for another.

use kms_attestation::hash::sha512;
use kms_attestation::ids::ReportData;

/// The first field: the version of this form.
pub const LOG_KEY_CONTEXT: &str = "onchain-kms/log-key/v1";

/// The report data of a quote that vouches for the key of the log with this origin.
#[must_use]
pub fn log_key_report_data(origin: &str, key: &[u8; 32]) -> ReportData {
    let fields: [&[u8]; 3] = [LOG_KEY_CONTEXT.as_bytes(), origin.as_bytes(), key];
    // An origin is a line of a checkpoint: far below 4 GiB.
    let length = |field: &[u8]| u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes();
    let context: Vec<u8> =
        fields.into_iter().flat_map(|field| [&length(field)[..], field].concat()).collect();
    ReportData(sha512(&[&context]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_key_report_data__should_match_an_independent_computation() {
        // python3: hashlib.sha512(b"".join(struct.pack(">I", len(f)) + f for f in
        //     [b"onchain-kms/log-key/v1", b"kms.example/log", bytes(range(32))]))
        let key = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let expected = "23e4a1ff5fee515b1faaa90124f4d3a66920b335c3e48768cd7c035efb67d2ca07e195fe10c594e9e70ac48d29a8ceab20d50fc6b6277238b633aa22fd8156c1";
        assert_eq!(log_key_report_data("kms.example/log", &key).to_string(), expected);
        assert_ne!(log_key_report_data("kms.example/lo", &key).to_string(), expected);
    }
}
