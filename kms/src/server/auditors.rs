//! The listener for auditors: the node's own certificate, and clients with a certificate of a CA that the operator names.
//!
//! The certificate is the one that apps see: its key never leaves the enclave, its quote says what ends the connection, and
//! the KMS root CA, which is public and on chain, has certified it. So an auditor knows that nobody between the enclave and
//! them reads along, and no key lies on a disk. Reads the file of CAs at the start. Threat: evidence in the hands of
//! those whom the operator did not choose.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use kms_ledger::refusal::LedgerRefusal;
use kms_ledger::serve::{ServerTls, auditors_only};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use crate::node::certificate::NodeCertificate;

/// The largest file of CAs, in bytes: some hundred certificates.
const MAX_CA_FILE_BYTES: u64 = 256 * 1024;

/// Why auditors cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditorsFault {
    /// The file cannot be read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// The file holds something else.
    #[error("no certificates in PEM, of at most {MAX_CA_FILE_BYTES} bytes in all")]
    NotPem,
    /// What it holds cannot serve.
    #[error(transparent)]
    Unusable(#[from] LedgerRefusal),
}

/// TLS for auditors whose certificates lead to the CAs in this file; with the certificate that the node has at the time.
pub(crate) fn auditors_tls(
    client_ca_file: &Path,
    certificates: watch::Receiver<Arc<NodeCertificate>>,
) -> Result<ServerTls, AuditorsFault> {
    Ok(auditors_only(Arc::new(Current(certificates)), cas(client_ca_file)?)?)
}

fn cas(file: &Path) -> Result<Vec<CertificateDer<'static>>, AuditorsFault> {
    use io::Read as _;
    let mut pem = Vec::new();
    std::fs::File::open(file)?.take(MAX_CA_FILE_BYTES + 1).read_to_end(&mut pem)?;
    if pem.len() as u64 > MAX_CA_FILE_BYTES {
        return Err(AuditorsFault::NotPem);
    }
    let cas: Vec<_> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| AuditorsFault::NotPem)?;
    if cas.is_empty() { Err(AuditorsFault::NotPem) } else { Ok(cas) }
}

/// The certificate of the moment.
struct Current(watch::Receiver<Arc<NodeCertificate>>);

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A certificate comes with its key: nothing of it is shown.
        f.write_str("Current")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.borrow().certified())
    }
}
