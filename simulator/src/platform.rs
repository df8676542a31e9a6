//! A simulated platform: one PKI, any number of hosts, and what Intel would say about them.

use std::sync::Arc;

use anyhow::Context as _;
use dcap_qvl::QuoteCollateralV3;
use kms_attestation::ids::Fmspc;

use crate::collateral::CollateralSpec;
use crate::host::Host;
use crate::pki::{Authority, Pki, SignedDocument};
use crate::seed::Seed;

/// A simulated platform.
#[derive(Debug, Clone)]
pub struct Platform {
    /// What the simulated Intel says: a test changes the field that is its fault.
    pub collateral: CollateralSpec,
    pki: Arc<Pki>,
    seed: Seed,
    now: u64,
    hosts: Vec<Host>,
}

/// Which of the requirements that are valid side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Update {
    /// What is required today.
    #[default]
    Standard,
    /// What will be required next.
    Early,
}

impl Platform {
    /// A healthy platform of one host, at a time in Unix seconds. The same arguments make the same platform.
    pub fn from_seed(seed: u64, now: u64) -> anyhow::Result<Self> {
        Self::new(seed.into(), now)
    }

    /// A healthy platform of one host that nobody has seen before, at a time in Unix seconds.
    pub fn random(now: u64) -> anyhow::Result<Self> {
        Self::new(Seed::random()?, now)
    }

    fn new(seed: Seed, now: u64) -> anyhow::Result<Self> {
        let pki = Arc::new(Pki::new(&seed, now)?);
        let collateral = CollateralSpec::healthy(&pki, now);
        let mut platform = Self { collateral, pki, seed, now, hosts: Vec::new() };
        platform.add_host()?;
        Ok(platform)
    }

    /// The time that the platform was made for, in Unix seconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// The PKI.
    #[must_use]
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// The root certificate, DER: what a verifier is configured with.
    #[must_use]
    pub fn root_der(&self) -> Vec<u8> {
        self.pki.root_der().to_vec()
    }

    /// Adds a host, and returns its number.
    pub fn add_host(&mut self) -> anyhow::Result<usize> {
        let index = u16::try_from(self.hosts.len()).context("at most 65536 hosts")?;
        self.hosts.push(Host::new(&self.seed, index, &self.pki, self.now)?);
        Ok(index.into())
    }

    /// The hosts.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The host of that number, from 0.
    pub fn host(&self, index: usize) -> anyhow::Result<&Host> {
        self.hosts.get(index).with_context(|| format!("there is no host {index}"))
    }

    /// The host of that number, to be altered.
    pub fn host_mut(&mut self, index: usize) -> anyhow::Result<&mut Host> {
        self.hosts.get_mut(index).with_context(|| format!("there is no host {index}"))
    }

    /// The host with that FMSPC.
    #[must_use]
    pub fn host_by_fmspc(&self, fmspc: Fmspc) -> Option<&Host> {
        self.hosts.iter().find(|host| host.fmspc() == fmspc)
    }

    /// Issues the same collateral again at another time (Unix seconds): only its dates change.
    pub fn reissue_collateral(&mut self, now: u64) {
        self.collateral.reissue(&self.pki, now);
    }

    /// Revokes a host's PCK certificate.
    pub fn revoke_pck(&mut self, host: usize) -> anyhow::Result<()> {
        let serial = self.host(host)?.pck.serial;
        self.collateral.pck_crl.revoked.push(serial);
        Ok(())
    }

    /// Revokes an authority's certificate.
    pub fn revoke_authority(&mut self, authority: Authority) {
        self.collateral.root_crl.revoked.push(*self.pki.serial(authority));
    }

    /// Revokes the TCB signer's certificate.
    pub fn revoke_tcb_signer(&mut self) {
        self.collateral.root_crl.revoked.push(self.pki.tcb_signer_serial());
    }

    /// The signed TCB info of an FMSPC, whether a host has that or not.
    pub fn tcb_info(&self, fmspc: Fmspc, update: Update) -> anyhow::Result<SignedDocument> {
        let mut spec = match update {
            Update::Standard => self.collateral.tcb_info.clone(),
            Update::Early => self.collateral.tcb_info.early(),
        };
        spec.fmspc.get_or_insert(fmspc);
        self.pki.sign_document(serde_json::to_string(&spec)?, &self.collateral.tcb_info_signer)
    }

    /// The signed QE identity.
    pub fn qe_identity(&self, update: Update) -> anyhow::Result<SignedDocument> {
        let json = match update {
            Update::Standard => serde_json::to_string(&self.collateral.qe_identity)?,
            Update::Early => serde_json::to_string(&self.collateral.qe_identity.early())?,
        };
        self.pki.sign_document(json, &self.collateral.qe_identity_signer)
    }

    /// The root CRL, DER.
    pub fn root_crl(&self) -> anyhow::Result<Vec<u8>> {
        self.pki.crl(&self.collateral.root_crl, Authority::Root)
    }

    /// A PCK CA's CRL, DER.
    pub fn pck_crl(&self, ca: Authority) -> anyhow::Result<Vec<u8>> {
        self.pki.crl(&self.collateral.pck_crl, ca)
    }

    /// The collateral of an FMSPC, as the verifier takes it, without a PCK certificate chain: that is the quote's.
    pub fn collateral_of(&self, fmspc: Fmspc) -> anyhow::Result<QuoteCollateralV3> {
        let ca = self.host_by_fmspc(fmspc).map_or(Authority::PlatformCa, |host| host.pck.issuer);
        let tcb_info = self.tcb_info(fmspc, Update::Standard)?;
        let qe_identity = self.qe_identity(Update::Standard)?;
        Ok(QuoteCollateralV3 {
            pck_crl_issuer_chain: self.pki.chain_pem(ca),
            root_ca_crl: self.root_crl()?,
            pck_crl: self.pck_crl(ca)?,
            tcb_info_issuer_chain: tcb_info.issuer_chain,
            tcb_info: tcb_info.json,
            tcb_info_signature: tcb_info.signature.to_vec(),
            qe_identity_issuer_chain: qe_identity.issuer_chain,
            qe_identity: qe_identity.json,
            qe_identity_signature: qe_identity.signature.to_vec(),
            pck_certificate_chain: None,
        })
    }

    /// The collateral of an FMSPC as JSON, bytes in hexadecimal.
    pub fn collateral_for(&self, fmspc: Fmspc) -> anyhow::Result<String> {
        Ok(serde_json::to_string(&self.collateral_of(fmspc)?)?)
    }
}
