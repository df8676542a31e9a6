//! The simulator's output beside the genuine article: same structure, same order, same spelling.
#![allow(non_snake_case, clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::{NOW, fixture};
use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::intel::{PckExtension, extract_cert_chain, parse_pck_extension};
use dcap_qvl::quote::Quote;
use kms_attestation::ids::Fmspc;
use kms_simulator::pki::PckConfiguration;
use kms_simulator::platform::Platform;
use kms_simulator::quote::{QuoteSpec, ReportKind};
use serde_json::Value;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

const GENUINE: &str = "06_v4_dstack_near_mpc_eventlog";

fn genuine_quote() -> Option<Vec<u8>> {
    Some(std::fs::read(fixture(GENUINE)?.join("quote.bin")).unwrap())
}

fn genuine_collateral() -> Option<QuoteCollateralV3> {
    let json = std::fs::read(fixture(GENUINE)?.join("collateral.json")).unwrap();
    Some(serde_json::from_slice(&json).unwrap())
}

fn simulated() -> (Platform, Vec<u8>, QuoteCollateralV3) {
    let platform = Platform::from_seed(7, NOW).unwrap();
    let host = platform.host(0).unwrap();
    let quote = host.quote(&QuoteSpec::default()).unwrap();
    let collateral = platform.collateral_of(host.fmspc()).unwrap();
    (platform, quote, collateral)
}

/// The certificates of a quote, the leaf first.
fn chain(quote: &[u8]) -> Vec<Vec<u8>> {
    extract_cert_chain(&Quote::parse(quote).unwrap()).unwrap()
}

#[test]
fn pck_extension__should_be_byte_for_byte_intels_for_the_same_values() {
    let Some(quote) = genuine_quote() else { return };
    let genuine = parse_pck_extension(&chain(&quote)[0]).unwrap();
    let (mut platform, ..) = simulated();
    let host = platform.host_mut(0).unwrap();
    host.pck.ppid = genuine.ppid.clone();
    host.pck.cpu_svn = genuine.cpu_svn;
    host.pck.pce_svn = genuine.pce_svn;
    host.pck.fmspc = Fmspc(genuine.fmspc);
    host.pck.platform_instance_id = genuine.platform_instance_id.as_deref().map(|id| id.try_into().unwrap());
    host.pck.configuration =
        Some(PckConfiguration { dynamic_platform: true, cached_keys: true, smt_enabled: true });
    let quote = host.quote(&QuoteSpec::default()).unwrap();
    let simulated = parse_pck_extension(&chain(&quote)[0]).unwrap();
    assert_eq!(hex::encode(&simulated.raw_extension), hex::encode(&genuine.raw_extension));
    assert_eq!(simulated, genuine);
}

#[test]
fn pck_extension__should_write_a_leading_zero_before_a_high_svn() {
    let (mut platform, ..) = simulated();
    let host = platform.host_mut(0).unwrap();
    host.pck.cpu_svn = [0xff; 16];
    host.pck.pce_svn = 0x80;
    let quote = host.quote(&QuoteSpec::default()).unwrap();
    let PckExtension { cpu_svn, pce_svn, raw_extension, .. } =
        parse_pck_extension(&chain(&quote)[0]).unwrap();
    assert_eq!((cpu_svn, pce_svn), ([0xff; 16], 0x80));
    assert!(raw_extension.windows(4).any(|window| window == [2, 2, 0, 0xff]));
    assert!(raw_extension.windows(4).any(|window| window == [2, 2, 0, 0x80]));
}

#[test]
fn certificates__should_have_the_extensions_and_names_of_intels() {
    let Some(genuine) = genuine_quote() else { return };
    let (_, simulated, _) = simulated();
    let [genuine, simulated] = [genuine, simulated].map(|quote| chain(&quote));
    assert_eq!(genuine.len(), simulated.len());
    for (genuine, simulated) in genuine.iter().zip(&simulated) {
        let [genuine, simulated] = [genuine, simulated].map(|der| Certificate::from_der(der).unwrap());
        let shape = |certificate: &Certificate| {
            let mut extensions: Vec<_> = certificate
                .tbs_certificate()
                .extensions()
                .unwrap()
                .iter()
                .map(|extension| (extension.extn_id, extension.critical))
                .collect();
            extensions.sort();
            let names: Vec<_> = certificate
                .tbs_certificate()
                .subject()
                .as_ref()
                .iter()
                .flat_map(|part| part.iter().map(|attribute| attribute.oid))
                .collect();
            (extensions, names, certificate.tbs_certificate().serial_number().as_bytes().len().min(20))
        };
        assert_eq!(shape(&simulated), shape(&genuine));
        let subject = simulated.tbs_certificate().subject().to_string();
        assert!(subject.contains("SIMULATED") && !subject.contains("Intel"), "{subject}");
    }
}

#[test]
fn quote__should_be_laid_out_as_genuine_ones() {
    let Some(genuine) = genuine_quote() else { return };
    let (_, simulated, _) = simulated();
    // Version, key type, TEE, SVNs, vendor.
    assert_eq!(simulated[..28], genuine[..28]);
    // TEE_TCB_SVN, SEAM signer and attributes, TD attributes, XFAM.
    assert_eq!(simulated[48..64], genuine[48..64]);
    assert_eq!(simulated[112..184], genuine[112..184]);
    // Outer certification data; authentication data; inner certification data up to its size.
    assert_eq!(simulated[764..766], genuine[764..766]);
    assert_eq!(simulated[1218..1254], genuine[1218..1254]);
    // The chain begins at once and ends with a NUL.
    assert_eq!(simulated[1258..1285], genuine[1258..1285]);
    assert_eq!((simulated.last(), genuine.last()), (Some(&0), Some(&0)));
    // Everything that the QE report does not hash or sign itself.
    assert_eq!(simulated[770..834], genuine[770..834]);
    assert_eq!(simulated[898..1026], genuine[898..1026]);
    assert_eq!(simulated[1026..1090], genuine[1026..1090]);
}

#[test]
fn quote_v5__should_be_laid_out_as_genuine_ones() {
    let Some(folder) = fixture("04_v5_td15_go_tdx_guest") else { return };
    let genuine = std::fs::read(folder.join("quote.bin")).unwrap();
    let (platform, ..) = simulated();
    let simulated = platform.host(0).unwrap().quote(&QuoteSpec::of_kind(ReportKind::Td15)).unwrap();
    // Version to vendor; type and size of the report.
    assert_eq!(simulated[..28], genuine[..28]);
    assert_eq!(simulated[48..54], genuine[48..54]);
}

/// A document's field names in order, and of each array the shape of its first element.
fn shape(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<_> = members
                .iter()
                .filter(|(name, _)| *name != "advisoryIDs")
                .map(|(name, value)| format!("{name}:{}", shape(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(elements) => format!("[{}]", elements.first().map(shape).unwrap_or_default()),
        Value::String(text) => format!("text of {}", if text.contains('_') { 6 } else { text.len() }),
        other => format!("{}", other.is_number()),
    }
}

#[test]
fn documents__should_have_the_fields_of_intels_in_their_order() {
    let Some(genuine) = genuine_collateral() else { return };
    let (_, _, simulated) = simulated();
    let documents =
        |collateral: &QuoteCollateralV3| [collateral.tcb_info.clone(), collateral.qe_identity.clone()];
    for (genuine, simulated) in documents(&genuine).into_iter().zip(documents(&simulated)) {
        let [genuine_value, simulated_value]: [Value; 2] =
            [&genuine, &simulated].map(|json| serde_json::from_str(json).unwrap());
        assert_eq!(shape(&simulated_value), shape(&genuine_value));
        // Compact: nothing but the document's own text.
        assert_eq!(simulated_value.to_string(), simulated);
    }
}

#[test]
fn tcb_levels__should_be_those_of_a_genuine_platform() {
    let Some(genuine) = genuine_collateral() else { return };
    let (_, _, simulated) = simulated();
    let [genuine, simulated]: [Value; 2] =
        [&genuine.tcb_info, &simulated.tcb_info].map(|json| serde_json::from_str(json).unwrap());
    let levels = |info: &Value| info["tcbLevels"].as_array().unwrap().clone();
    assert_eq!(levels(&simulated).len(), levels(&genuine).len());
    for (genuine, simulated) in levels(&genuine).iter().zip(&levels(&simulated)) {
        assert_eq!(simulated["tcb"], genuine["tcb"]);
        assert_eq!(simulated["tcbStatus"], genuine["tcbStatus"]);
        assert_eq!(simulated["advisoryIDs"], genuine["advisoryIDs"]);
    }
    assert_eq!(simulated["tdxModule"], genuine["tdxModule"]);
}

#[test]
fn collateral__should_have_the_chains_of_intels() {
    let Some(genuine) = genuine_collateral() else { return };
    let (_, _, simulated) = simulated();
    let lengths = |collateral: &QuoteCollateralV3| {
        [
            &collateral.pck_crl_issuer_chain,
            &collateral.tcb_info_issuer_chain,
            &collateral.qe_identity_issuer_chain,
        ]
        .map(|chain| (chain.matches("BEGIN CERTIFICATE").count(), chain.ends_with("-----\n")))
    };
    assert_eq!(lengths(&simulated), lengths(&genuine));
    assert_eq!(simulated.tcb_info_signature.len(), genuine.tcb_info_signature.len());
    assert_eq!(simulated.pck_certificate_chain, None);
}
