//! The words for a certificate of the app, and its key as a file.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use kms_client::boot::{LeafRequest, LeafUsage};
use zeroize::Zeroizing;

use crate::Failure;

/// The bytes in a line of PEM (RFC 7468): 64 characters.
const LINE_BYTES: usize = 48;

/// A certificate under the app's CA, asked for with the keys.
#[derive(Debug, Args)]
#[command(next_help_heading = "A certificate for the app")]
pub(crate) struct LeafArgs {
    /// Also get a certificate for these DNS names, of a new P-256 key: certificate.key.pem and certificate.chain.pem
    #[arg(long = "certificate-for", value_name = "NAME", num_args = 1.., requires = "out")]
    names: Vec<String>,
    /// What it is for
    #[arg(long = "certificate-usage", value_name = "USAGE", num_args = 1.., default_values = ["server"])]
    usages: Vec<Usage>,
    /// How long it is valid, in seconds
    #[arg(long = "certificate-lifetime", value_name = "SECONDS", default_value_t = 86_400)]
    lifetime: u64,
}

/// As [`LeafUsage`].
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Usage {
    Server,
    Client,
}

impl LeafArgs {
    /// The request, if there is one.
    pub(crate) fn request(&self) -> Result<Option<LeafRequest>, Failure> {
        if self.names.is_empty() {
            return Ok(None);
        }
        let usages: BTreeSet<LeafUsage> = self.usages.iter().copied().map(LeafUsage::from).collect();
        let request = LeafRequest::new(&self.names, usages, self.lifetime);
        request.map(Some).map_err(|error| Failure::usage(error.to_string()))
    }
}

impl From<Usage> for LeafUsage {
    fn from(usage: Usage) -> Self {
        match usage {
            Usage::Server => Self::Server,
            Usage::Client => Self::Client,
        }
    }
}

/// PEM of one block. Wiped when dropped: there is room for the whole from the start, so that no copies are left behind.
pub(crate) fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let mut pem = Zeroizing::new(String::with_capacity(2 * der.len() + 128));
    pem.extend(["-----BEGIN ", label, "-----\n"]);
    for line in der.chunks(LINE_BYTES) {
        STANDARD.encode_string(line, &mut pem);
        pem.push('\n');
    }
    pem.extend(["-----END ", label, "-----\n"]);
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem__should_be_that_of_rfc_7468() {
        let expected = format!("-----BEGIN A-----\n{}\nAAA=\n-----END A-----\n", "A".repeat(64));
        assert_eq!(*pem("A", &[0; 50]), expected);
    }
}
