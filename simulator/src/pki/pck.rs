//! PCK certificates: the identity and TCB of one platform in Intel's extension `1.2.840.113741.1.13.1`.
//!
//! ```text
//! SEQUENCE of SEQUENCE { OID, value }
//!   .1 PPID              OCTET STRING (16)
//!   .2 TCB               SEQUENCE { .2.1-.2.16 component SVN INTEGER, .2.17 PCESVN INTEGER, .2.18 CPUSVN OCTET STRING (16) }
//!   .3 PCEID             OCTET STRING (2)
//!   .4 FMSPC             OCTET STRING (6)
//!   .5 SGX type          ENUMERATED
//!   .6 platform instance OCTET STRING (16)           multi-package platforms only
//!   .7 configuration     SEQUENCE { .7.1 dynamic, .7.2 cached keys, .7.3 SMT: BOOLEAN }            "
//! ```

use der::asn1::{Any, ObjectIdentifier, OctetStringRef};
use der::{Encode, Tag};
use kms_attestation::ids::Fmspc;
use rcgen::CustomExtension;

use super::certificate::{Serial, Validity, end_entity};
use super::{Authority, CertifiedAuthority};
use crate::key::SimulatedKey;

/// The arcs of the extension's OID, below which all its members are.
const SGX_EXTENSION: [u32; 7] = [1, 2, 840, 113_741, 1, 13, 1];
/// Where the PCK CRL would be fetched from. A name that never resolves: the simulator's PCCS serves the same path.
const PCK_CRL_URL: &str = "https://pcs.simulated.invalid/sgx/certification/v4/pckcrl?ca=";

/// What a PCK certificate says.
#[derive(Debug, Clone)]
pub struct PckSpec {
    /// Who issues it.
    pub issuer: Authority,
    /// Its serial number, by which it is revoked.
    pub serial: Serial,
    /// When it is valid.
    pub validity: Validity,
    /// Platform Provisioning ID: 16 bytes on real hardware.
    pub ppid: Vec<u8>,
    /// The SVNs of the platform's components; also written as the 16 components.
    pub cpu_svn: [u8; 16],
    /// The SVN of the provisioning certification enclave.
    pub pce_svn: u16,
    /// The provisioning certification enclave's identity.
    pub pce_id: [u8; 2],
    /// Which TCB info applies.
    pub fmspc: Fmspc,
    /// 0 standard, 1 scalable, 2 scalable with integrity.
    pub sgx_type: u8,
    /// Identity of the platform instance, of multi-package platforms.
    pub platform_instance_id: Option<[u8; 16]>,
    /// Configuration, of multi-package platforms.
    pub configuration: Option<PckConfiguration>,
}

/// How a platform is configured. All three are set on servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PckConfiguration {
    /// The platform can be extended with further packages.
    pub dynamic_platform: bool,
    /// The platform's root keys are cached by the registration service.
    pub cached_keys: bool,
    /// Simultaneous multithreading is on.
    pub smt_enabled: bool,
}

pub(super) fn certificate(
    spec: &PckSpec,
    key: &SimulatedKey,
    issuer: &CertifiedAuthority,
) -> anyhow::Result<Vec<u8>> {
    let ca = if spec.issuer == Authority::ProcessorCa { "processor" } else { "platform" };
    let crl_url = format!("{PCK_CRL_URL}{ca}&encoding=der");
    let mut params = end_entity("SIMULATED SGX PCK Certificate", spec.serial, &crl_url);
    spec.validity.apply(&mut params)?;
    let oid = SGX_EXTENSION.map(u64::from);
    params.custom_extensions = vec![CustomExtension::from_oid_content(&oid, extension(spec)?)];
    Ok(params.signed_by(key, &issuer.issuer())?.der().to_vec())
}

/// The extension's content.
fn extension(spec: &PckSpec) -> der::Result<Vec<u8>> {
    let mut members = vec![
        member(&[1], &OctetStringRef::new(&spec.ppid)?.to_der()?)?,
        member(&[2], &tcb(spec)?)?,
        member(&[3], &OctetStringRef::new(&spec.pce_id)?.to_der()?)?,
        member(&[4], &OctetStringRef::new(&spec.fmspc.0)?.to_der()?)?,
        member(&[5], &Any::new(Tag::Enumerated, [spec.sgx_type])?.to_der()?)?,
    ];
    if let Some(id) = &spec.platform_instance_id {
        members.push(member(&[6], &OctetStringRef::new(id)?.to_der()?)?);
    }
    if let Some(configuration) = spec.configuration {
        let flags = [configuration.dynamic_platform, configuration.cached_keys, configuration.smt_enabled];
        let flags = flags.iter().zip(1..).map(|(flag, arc)| member(&[7, arc], &flag.to_der()?));
        members.push(member(&[7], &sequence(&flags.collect::<der::Result<Vec<_>>>()?)?)?);
    }
    sequence(&members)
}

fn tcb(spec: &PckSpec) -> der::Result<Vec<u8>> {
    let components = spec.cpu_svn.iter().zip(1..).map(|(svn, arc)| member(&[2, arc], &svn.to_der()?));
    let mut members = components.collect::<der::Result<Vec<_>>>()?;
    members.push(member(&[2, 17], &spec.pce_svn.to_der()?)?);
    members.push(member(&[2, 18], &OctetStringRef::new(&spec.cpu_svn)?.to_der()?)?);
    sequence(&members)
}

/// `SEQUENCE { OID, value }`, for the OID whose last arcs are given and a value in DER.
fn member(arcs: &[u32], value: &[u8]) -> der::Result<Vec<u8>> {
    let oid = ObjectIdentifier::from_arcs(SGX_EXTENSION.iter().chain(arcs).copied())?;
    sequence(&[oid.to_der()?, value.to_vec()])
}

fn sequence(members: &[Vec<u8>]) -> der::Result<Vec<u8>> {
    Any::new(Tag::Sequence, members.concat())?.to_der()
}
