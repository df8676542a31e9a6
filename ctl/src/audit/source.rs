//! Where a log is: one way to open a URL, a folder or a bundle, for every command.
//!
//! What comes from there is nobody's word. TLS shows who asks and hides what is asked, and vouches for nothing. A client's
//! key is in memory for as long as it takes to read it. Threat: a key that fits no certificate, and is shown to nobody.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use kms_ledger::Source;
use kms_ledger::audit_bundle::{AuditBundle, MAX_AUDIT_BUNDLE_BYTES};
use kms_ledger::http::{Identity, Trust};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::CtlError;
use crate::input;
use crate::owner::secret_text;

/// How a log's server is reached.
#[derive(Debug, Args)]
pub(super) struct SourceArgs {
    /// More roots for a log over https: certificates in PEM, or one in DER [default: those of the web]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The certificate to show to a log over https that asks for one, with its chain, in PEM or one in DER
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// Its private key in PEM, in a file that only its owner may read
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// How many seconds a file of a log on the web may take
    #[arg(long, value_name = "S", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    timeout: u64,
}

/// Where a log's parts are.
pub(super) enum Place {
    /// A URL or a folder.
    Files(Source),
    /// A bundle that `export` wrote.
    Bundle(AuditBundle),
}

impl SourceArgs {
    /// A log's files, or a bundle.
    pub(super) fn open(&self, place: &str) -> Result<Place, CtlError> {
        let path = PathBuf::from(place);
        if !path.is_file() {
            return self.files(place).map(Place::Files);
        }
        let bytes = input::read_at_most(&path, MAX_AUDIT_BUNDLE_BYTES as u64)?;
        let bundle = AuditBundle::decode(&bytes);
        bundle.map(Place::Bundle).map_err(|refusal| CtlError::Bundle { path, refusal })
    }

    /// A log's files.
    pub(super) fn files(&self, place: &str) -> Result<Source, CtlError> {
        let roots = self.ca.as_deref().map_or_else(|| Ok(Vec::new()), certificates)?;
        let identity = self.client_cert.as_deref().zip(self.client_key.as_deref());
        let identity = identity.map(|(certificate, key)| self::identity(certificate, key)).transpose()?;
        let source = Source::open(place, Trust { roots, identity }).map_err(CtlError::Source)?;
        Ok(source.with_patience(Duration::from_secs(self.timeout)))
    }
}

/// A client's certificate and its key.
fn identity(certificate: &Path, key: &Path) -> Result<Identity, CtlError> {
    let chain = certificates(certificate)?;
    let text = secret_text(key)?;
    let der = PrivateKeyDer::from_pem_slice(text.as_bytes());
    let der = der.map_err(|_| CtlError::ClientKey { path: key.to_owned() })?;
    Identity::new(chain, der).map_err(|refusal| CtlError::Client {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        refusal,
    })
}

/// The certificates in a file.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CtlError> {
    let bytes = input::read(path)?;
    let unusable = || CtlError::Certificates { path: path.to_owned() };
    if !bytes.starts_with(b"-----") {
        return Ok(vec![CertificateDer::from(bytes)]);
    }
    let blocks = pem::parse_many(&bytes).map_err(|_| unusable())?;
    let found: Vec<_> = blocks.into_iter().filter(|block| block.tag() == "CERTIFICATE").collect();
    if found.is_empty() {
        return Err(unusable());
    }
    Ok(found.into_iter().map(|block| CertificateDer::from(block.into_contents())).collect())
}
