//! Quotes as bytes: encoded with the verifier's own types, signed as a quoting enclave signs.
//!
//! ```text
//! header (48) | v5: report type u16, size u32 | TD report | u32 length | signature (64) | attestation key (64)
//!   | u16 type 6, u32 size | QE report (384) | signature (64) | u16 size, authentication data | u16 type 5, u32 size, PEM
//! ```

use anyhow::Context as _;
use dcap_qvl::quote::{
    AuthDataV4, Body, CertificationData, Data, EnclaveReport, Header, QEReportCertificationData, Report,
};
use kms_attestation::hash::sha256;
use parity_scale_codec::Encode as _;

use super::{Broken, Patch, QuoteSpec, ReportKind};
use crate::key::SimulatedKey;

/// What a quoting enclave signs with.
pub(crate) struct Signing<'a> {
    /// Signs the QE report.
    pub(crate) pck_key: &'a SimulatedKey,
    /// Signs the quote.
    pub(crate) attestation_key: &'a SimulatedKey,
    /// Certifies the first.
    pub(crate) pck_chain_pem: String,
}

impl QuoteSpec {
    /// The quote.
    pub(crate) fn build(&self, signing: &Signing<'_>) -> anyhow::Result<Vec<u8>> {
        let mut quote = self.signed_part();
        patch(&mut quote, &self.patches_before_signing)?;
        let mut signature = signing.attestation_key.sign_raw(&quote);
        if self.broken == Some(Broken::QuoteSignature) {
            invalidate(&mut signature);
        }
        let auth_data = AuthDataV4 {
            ecdsa_signature: signature,
            ecdsa_attestation_key: signing.attestation_key.public()?,
            certification_data: CertificationData {
                cert_type: self.outer_certification_type,
                // Encoded from `qe_report_data`.
                body: Data::new(Vec::new()),
            },
            qe_report_data: self.certification(signing)?,
        };
        Data::<u32>::new(auth_data.encode()).encode_to(&mut quote);
        quote.extend_from_slice(&self.trailing);
        patch(&mut quote, &self.patches_after_signing)?;
        Ok(quote)
    }

    /// Header and report.
    fn signed_part(&self) -> Vec<u8> {
        let mut bytes = Header {
            version: self.version,
            attestation_key_type: self.attestation_key_type,
            tee_type: self.tee_type,
            qe_svn: self.qe_svn,
            pce_svn: self.pce_svn,
            qe_vendor_id: self.qe_vendor_id,
            user_data: self.user_data,
        }
        .encode();
        if self.version == 5 {
            let (body_type, size) = match self.report_kind {
                ReportKind::Td10 => (2, 584),
                ReportKind::Td15 => (3, 648),
                ReportKind::Td15Ex => (4, 885),
            };
            Body { body_type, size }.encode_to(&mut bytes);
        }
        match self.report() {
            Report::SgxEnclave(report) => report.encode_to(&mut bytes),
            Report::TD10(report) => report.encode_to(&mut bytes),
            Report::TD15(report) => report.encode_to(&mut bytes),
            Report::TD15Ex(report) => report.encode_to(&mut bytes),
        }
        bytes
    }

    /// The QE report, its signature, and who vouches for it.
    fn certification(&self, signing: &Signing<'_>) -> anyhow::Result<QEReportCertificationData> {
        let report = self.qe_report(&signing.attestation_key.public()?).encode();
        let mut signature = signing.pck_key.sign_raw(&report);
        if self.broken == Some(Broken::QeReportSignature) {
            invalidate(&mut signature);
        }
        // Genuine chains end with a NUL.
        let chain = || format!("{}\0", signing.pck_chain_pem).into_bytes();
        Ok(QEReportCertificationData {
            qe_report: report.try_into().ok().context("an enclave report has 384 bytes")?,
            qe_report_signature: signature,
            qe_auth_data: Data::new(self.qe_auth_data.clone()),
            certification_data: CertificationData {
                cert_type: self.inner_certification_type,
                body: Data::new(self.certification_data.clone().unwrap_or_else(chain)),
            },
        })
    }

    fn qe_report(&self, attestation_key: &[u8; 64]) -> EnclaveReport {
        let spec = &self.qe_report;
        EnclaveReport {
            cpu_svn: spec.cpu_svn,
            misc_select: spec.misc_select,
            reserved1: [0; 28],
            attributes: spec.attributes,
            mr_enclave: spec.mr_enclave,
            reserved2: [0; 32],
            mr_signer: spec.mr_signer,
            reserved3: [0; 96],
            isv_prod_id: spec.isv_prod_id,
            isv_svn: spec.isv_svn,
            reserved4: [0; 60],
            report_data: spec.report_data.unwrap_or_else(|| self.vouch(attestation_key)),
        }
    }

    /// The QE report's data: `SHA-256(attestation key || authentication data) || 0^32`.
    fn vouch(&self, attestation_key: &[u8; 64]) -> [u8; 64] {
        let mut hash = sha256(&[attestation_key, &self.qe_auth_data]);
        if self.broken == Some(Broken::AttestationKeyHash) {
            invalidate(&mut hash);
        }
        let mut report_data = [0; 64];
        report_data.iter_mut().zip(hash).for_each(|(byte, value)| *byte = value);
        report_data
    }
}

/// Flips one bit.
fn invalidate(bytes: &mut [u8]) {
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
}

fn patch(quote: &mut [u8], patches: &[Patch]) -> anyhow::Result<()> {
    for Patch { offset, bytes } in patches {
        let place = quote.get_mut(*offset..).and_then(|rest| rest.get_mut(..bytes.len()));
        place.with_context(|| format!("a patch at {offset} is outside the quote"))?.copy_from_slice(bytes);
    }
    Ok(())
}
