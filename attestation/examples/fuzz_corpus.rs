//! Writes the seeds of the fuzz targets: what the simulated platform makes, in every form that the parsers read.
//!
//! `cargo run -p kms-attestation --example fuzz_corpus -- fuzz/corpus`

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use der::Encode as _;
use der::asn1::OctetStringRef;
use kms_attestation::collateral::Collateral;
use kms_attestation::ids::{AppId, ReportData};
use kms_attestation::pccs::Pack;
use kms_attestation::ratls::{
    Attestation, app_id_extension, attestation_extension, pair_extensions, report_data_for_spki, usage,
    usage_extension,
};
use kms_attestation::root::RootOfTrust;
use kms_attestation::verify::Verifier;
use kms_simulator::cvm::{BootStage, Cvm, CvmSpec};
use kms_simulator::image::OsImage;
use kms_simulator::pki::Authority;
use kms_simulator::platform::{Platform, Update};
use kms_simulator::quote::{QuoteSpec, ReportKind};
use rcgen::{CertificateParams, CustomExtension, KeyPair, PublicKeyData};

const NOW: u64 = 1_800_000_000;
/// Between the parts of a `pccs_answers` input: the target splits at it.
const SEPARATOR: &[u8] = b"\x00\xff\x00\xff";

fn main() -> anyhow::Result<()> {
    let root: PathBuf = std::env::args_os().nth(1).context("give the folder of the corpus")?.into();
    let seeds = Seeds { platform: Platform::from_seed(7, NOW)?, root: &root };
    seeds.quotes()?;
    seeds.logs_and_manifest()?;
    seeds.collateral()?;
    seeds.certificates()
}

struct Seeds<'a> {
    platform: Platform,
    root: &'a Path,
}

impl Seeds<'_> {
    fn write(&self, target: &str, name: &str, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
        let dir = self.root.join(target);
        std::fs::create_dir_all(&dir)?;
        Ok(std::fs::write(dir.join(name), bytes)?)
    }

    fn quotes(&self) -> anyhow::Result<()> {
        for (name, kind) in
            [("td10", ReportKind::Td10), ("td15", ReportKind::Td15), ("td15ex", ReportKind::Td15Ex)]
        {
            self.write("quote", name, self.platform.host(0)?.quote(&QuoteSpec::of_kind(kind))?)?;
        }
        Ok(())
    }

    fn cvm(&self) -> anyhow::Result<Cvm> {
        let image = OsImage::simulated("os");
        Ok(Cvm::booted(self.platform.host(0)?, &image, CvmSpec::new(b"{}".to_vec())))
    }

    fn logs_and_manifest(&self) -> anyhow::Result<()> {
        let mut cvm = self.cvm()?;
        let array = cvm.event_log().to_json();
        self.write("event_log", "array", &array)?;
        self.write("event_log", "object", format!(r#"{{"event_log":{array}}}"#))?;
        self.write("event_log", "text", serde_json::json!({ "event_log": array }).to_string())?;
        cvm.boot_to(BootStage::Ready);
        self.write("event_log", "ready", cvm.event_log().to_json())?;
        self.write("manifest", "manifest", OsImage::simulated("os").manifest())
    }

    fn collateral(&self) -> anyhow::Result<()> {
        let fmspc = self.platform.host(0)?.fmspc();
        self.write("collateral", "collateral", self.platform.collateral_for(fmspc)?)?;
        let verifier = Verifier::new(RootOfTrust::configured(&self.platform.root_der())?);
        let collateral = Collateral::new(self.platform.collateral_of(fmspc)?);
        let collateral = verifier.check_collateral(collateral, NOW)?;
        self.write("pack", "pack", Pack::of([&collateral]).to_json()?)?;
        let tcb = self.platform.tcb_info(fmspc, Update::Standard)?;
        let qe = self.platform.qe_identity(Update::Standard)?;
        let chain = |pem: &str| pem.replace('\n', "%0A").replace(' ', "%20").replace('+', "%2B");
        let body = |name: &str, json: &str, signature: &[u8]| {
            format!(r#"{{"{name}":{json},"signature":"{}"}}"#, hex::encode(signature))
        };
        let parts: [Vec<u8>; 7] = [
            chain(&self.platform.pki().chain_pem(Authority::PlatformCa)).into(),
            self.platform.pck_crl(Authority::PlatformCa)?,
            chain(&tcb.issuer_chain).into(),
            body("tcbInfo", &tcb.json, &tcb.signature).into(),
            chain(&qe.issuer_chain).into(),
            body("enclaveIdentity", &qe.json, &qe.signature).into(),
            hex::encode(self.platform.root_crl()?).into(),
        ];
        self.write("pccs_answers", "answers", parts.join(SEPARATOR))
    }

    fn certificates(&self) -> anyhow::Result<()> {
        let key = KeyPair::generate()?;
        let report_data = report_data_for_spki(&key.subject_public_key_info());
        let cvm = self.cvm()?;
        let quote = cvm.quote(report_data)?;
        let log = cvm.event_log();
        let claims = [app_id_extension(&AppId([1; 20]))?, usage_extension(usage::APP_CUSTOM)?];
        let pair = pair_extensions(&quote, log.to_json().as_bytes())?;
        let attestation =
            Attestation { quote: &quote, event_log: &log, report_data: &report_data, config: "{}" };
        let versioned = attestation_extension(&attestation)?;
        self.write("ratls", "pair", certificate(&key, pair.into_iter().chain(claims))?)?;
        self.write("ratls", "scale", certificate(&key, [versioned])?)?;
        self.write("ratls", "msgpack", certificate(&key, [msgpack(&quote, &report_data)?])?)
    }
}

type Extension = kms_attestation::ratls::Extension;

fn certificate(key: &KeyPair, extensions: impl IntoIterator<Item = Extension>) -> anyhow::Result<Vec<u8>> {
    let mut params = CertificateParams::new(vec!["simulated.invalid".to_owned()])?;
    let custom = |extension: Extension| CustomExtension::from_oid_content(extension.oid, extension.value);
    params.custom_extensions = extensions.into_iter().map(custom).collect();
    Ok(params.self_signed(key)?.der().to_vec())
}

/// Version 1 of the attestation, which this project reads and never writes.
fn msgpack(quote: &[u8], report_data: &ReportData) -> anyhow::Result<Extension> {
    let v1 = serde_json::json!({
        "version": 1,
        "platform": { "kind": "tdx", "data": { "quote": quote, "event_log": [] } },
        "stack": { "kind": "dstack", "data": {
            "report_data": report_data.0.to_vec(),
            "runtime_events": [{ "event": "app-id", "payload": [1, 2, 3], "version": 2 }],
            "config": "",
        }},
    });
    let content = rmp_serde::to_vec_named(&v1)?;
    let value = OctetStringRef::new(&content)?.to_der()?;
    Ok(Extension { oid: kms_attestation::ratls::oid::ATTESTATION, value })
}
