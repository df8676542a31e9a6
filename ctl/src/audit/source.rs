//! Where a log is: one way to open a URL, a folder or a bundle, for every command.
//!
//! What comes from there is nobody's word. TLS shows who asks and hides what is asked, and vouches for nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use kms_ledger::Source;
use kms_ledger::audit_bundle::{AuditBundle, MAX_AUDIT_BUNDLE_BYTES};
use kms_ledger::http::Trust;
use rustls_pki_types::CertificateDer;

use crate::error::CtlError;
use crate::input;

/// How a log's server is reached.
#[derive(Debug, Args)]
pub(super) struct SourceArgs {
    /// More roots for a log over https: certificates in PEM, or one in DER [default: those of the web]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
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
        let roots = self.ca.as_deref().map_or_else(|| Ok(Vec::new()), roots)?;
        let source = Source::open(place, Trust { roots, identity: None }).map_err(CtlError::Source)?;
        Ok(source.with_patience(Duration::from_secs(self.timeout)))
    }
}

/// The certificates in a file.
pub(super) fn roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, CtlError> {
    let bytes = input::read(path)?;
    let unusable = || CtlError::Roots { path: path.to_owned() };
    if !bytes.starts_with(b"-----") {
        return Ok(vec![CertificateDer::from(bytes)]);
    }
    let blocks = pem::parse_many(&bytes).map_err(|_| unusable())?;
    let roots: Vec<_> = blocks.into_iter().filter(|block| block.tag() == "CERTIFICATE").collect();
    if roots.is_empty() {
        return Err(unusable());
    }
    Ok(roots.into_iter().map(|block| CertificateDer::from(block.into_contents())).collect())
}
