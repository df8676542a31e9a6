//! A simulated host: one TDX server with its own identity, PCK certificate and quoting enclave.

use std::sync::Arc;

use anyhow::Context as _;
use kms_attestation::hash::sha256;
use kms_attestation::ids::{DeviceId, Fmspc, Ppid};

use crate::key::SimulatedKey;
use crate::pki::{Authority, PckConfiguration, PckSpec, Pki, Serial, Validity};
use crate::quote::{QuoteSpec, Signing};
use crate::seed::Seed;

/// The component SVNs of a platform that reaches the best TCB level.
const CPU_SVN: [u8; 16] = [4, 4, 2, 2, 4, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
/// Half a year, in seconds: how old a PCK certificate is.
const PCK_AGE: u64 = 180 * 86_400;
/// Seven years, in seconds: how long a PCK certificate is valid from then on.
const PCK_VALIDITY: u64 = 7 * 365 * 86_400;

/// One TDX server.
#[derive(Debug, Clone)]
pub struct Host {
    /// What its PCK certificate says: changed before a quote is made, it takes effect in that quote.
    pub pck: PckSpec,
    pki: Arc<Pki>,
    pck_key: SimulatedKey,
    attestation_key: SimulatedKey,
}

impl Host {
    /// The host of that number, with a healthy PCK certificate of the Platform CA.
    pub(crate) fn new(seed: &Seed, index: u16, pki: &Arc<Pki>, now: u64) -> anyhow::Result<Self> {
        let seed = seed.child(&format!("host/{index}"));
        // The index stands in the FMSPC, so that no two hosts share one.
        let [family, model, stepping] = seed.bytes("fmspc");
        let [high, low] = index.to_be_bytes();
        let configuration = PckConfiguration { dynamic_platform: true, cached_keys: true, smt_enabled: true };
        Ok(Self {
            pck: PckSpec {
                issuer: Authority::PlatformCa,
                serial: Serial::derive(&seed, "pck"),
                validity: Validity::around(now, PCK_AGE, PCK_VALIDITY),
                ppid: seed.bytes::<16>("ppid").to_vec(),
                cpu_svn: CPU_SVN,
                pce_svn: 11,
                pce_id: [0; 2],
                fmspc: Fmspc([family, model, stepping, high, low, 0]),
                sgx_type: 1,
                platform_instance_id: Some(seed.bytes("platform-instance-id")),
                configuration: Some(configuration),
            },
            pki: Arc::clone(pki),
            pck_key: SimulatedKey::derive(&seed, "pck")?,
            attestation_key: SimulatedKey::derive(&seed, "attestation")?,
        })
    }

    /// Brings the host back to the firmware before the last.
    pub fn outdate(&mut self) {
        self.pck.cpu_svn.iter_mut().take(2).for_each(|svn| *svn = svn.saturating_sub(1));
    }

    /// Moves the host under the Processor CA, whose certificates know neither instance nor configuration.
    pub fn use_processor_ca(&mut self) {
        self.pck.issuer = Authority::ProcessorCa;
        self.pck.sgx_type = 0;
        self.pck.platform_instance_id = None;
        self.pck.configuration = None;
    }

    /// Which TCB info applies to it.
    #[must_use]
    pub fn fmspc(&self) -> Fmspc {
        self.pck.fmspc
    }

    /// Its PPID. An error where a test has given it a length that no PPID has.
    pub fn ppid(&self) -> anyhow::Result<Ppid> {
        Ppid::try_from(&self.pck.ppid[..]).context("PPID")
    }

    /// What the KMS knows it by: the hash of its PPID.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        DeviceId(sha256(&[&self.pck.ppid]))
    }

    /// Its PCK certificate and those above it, PEM.
    pub fn pck_chain_pem(&self) -> anyhow::Result<String> {
        self.pki.issue_pck(&self.pck, &self.pck_key)
    }

    /// A quote of a TD on this host.
    pub fn quote(&self, spec: &QuoteSpec) -> anyhow::Result<Vec<u8>> {
        let signing = Signing {
            pck_key: &self.pck_key,
            attestation_key: &self.attestation_key,
            pck_chain_pem: self.pck_chain_pem()?,
        };
        spec.build(&signing)
    }
}
