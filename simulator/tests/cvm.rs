//! Simulated CVMs before the production code: quotes verify, logs replay, identities come out.
#![allow(non_snake_case, clippy::unwrap_used)]

mod common;

use common::{NOW, fixture};
use kms_attestation::collateral::Collateral;
use kms_attestation::event_log::EventLog;
use kms_attestation::identity::BootIdentity;
use kms_attestation::ids::{AppId, InstanceId, ReportData};
use kms_attestation::image::OsImageManifest;
use kms_attestation::quote::Quote;
use kms_attestation::root::RootOfTrust;
use kms_attestation::verify::{AuthenticQuote, Verifier};
use kms_simulator::cvm::{BootStage, Cvm, CvmSpec};
use kms_simulator::image::OsImage;
use kms_simulator::platform::Platform;

/// Authenticates a quote with the production verifier.
fn authenticate(platform: &Platform, cvm: &Cvm) -> AuthenticQuote {
    let verifier = Verifier::new(RootOfTrust::configured(&platform.root_der()).unwrap());
    let json = platform.collateral_for(cvm.host().fmspc()).unwrap();
    let collateral =
        verifier.check_collateral(Collateral::parse(json.as_bytes()).unwrap(), platform.now()).unwrap();
    let quote = Quote::parse(&cvm.quote(ReportData([7; 64])).unwrap()).unwrap();
    verifier.authenticate(&quote, &collateral, platform.now()).unwrap()
}

fn cvm(platform: &Platform) -> Cvm {
    let spec = CvmSpec { app_id: AppId([0xab; 20]), ..CvmSpec::new("{}") };
    Cvm::booted(platform.host(0).unwrap(), &OsImage::simulated("test"), spec)
}

#[test]
fn booted_cvm__should_have_the_identity_that_it_was_given() {
    let platform = Platform::from_seed(7, NOW).unwrap();
    let cvm = cvm(&platform);
    let quote = authenticate(&platform, &cvm);
    let log = EventLog::parse(cvm.event_log().to_json().as_bytes()).unwrap();
    let identity = BootIdentity::extract(&quote, &log).unwrap();
    identity.check_booting().unwrap();
    assert_eq!(identity.app_id, AppId([0xab; 20]));
    assert_eq!(identity.compose_hash, cvm.spec.compose_hash());
    assert_eq!(identity.instance_id, Some(InstanceId([0x11; 20])));
    assert_eq!(identity.device_id, platform.host(0).unwrap().device_id());
    let manifest = OsImageManifest::parse(cvm.image().manifest()).unwrap();
    manifest.check_runs(quote.td()).unwrap();
    assert_eq!(manifest.hash(), cvm.image().hash());
}

#[test]
fn boot_to__should_measure_the_events_of_every_stage_once_and_in_order() {
    let platform = Platform::from_seed(7, NOW).unwrap();
    let mut cvm = cvm(&platform);
    cvm.boot_to(BootStage::Preparing);
    cvm.boot_to(BootStage::Ready);
    cvm.boot_to(BootStage::Ready);
    let log = cvm.event_log();
    let names: Vec<_> = log.events().iter().map(|event| event.name.as_str()).collect();
    let expected = [
        "system-preparing",
        "app-id",
        "compose-hash",
        "instance-id",
        "boot-mr-done",
        "os-image-hash",
        "key-provider",
        "storage-fs",
        "system-ready",
    ];
    assert_eq!(names, expected);
    let quote = authenticate(&platform, &cvm);
    let identity = BootIdentity::extract(&quote, &log).unwrap();
    assert!(identity.check_booting().is_err());
}

#[test]
fn every_machine_profile__should_run_the_image() {
    let platform = Platform::from_seed(7, NOW).unwrap();
    for profile in 0..3 {
        let mut cvm = cvm(&platform);
        cvm.spec.profile = profile;
        let manifest = OsImageManifest::parse(cvm.image().manifest()).unwrap();
        manifest.check_runs(authenticate(&platform, &cvm).td()).unwrap();
    }
}

#[test]
fn image__should_be_the_one_of_its_manifest() {
    let image = OsImage::simulated("test");
    let spaced = String::from_utf8(image.manifest().to_vec()).unwrap().replace(',', ", ");
    let read = OsImage::from_manifest(spaced.as_bytes()).unwrap();
    assert_eq!(read.measurements(), image.measurements());
    assert_ne!(read.hash(), image.hash());
    assert!(OsImage::from_manifest(b"{}").is_err());
}

#[test]
fn event_log__should_look_like_a_genuine_guests() {
    let Some(folder) = fixture("06_v4_dstack_near_mpc_eventlog") else { return };
    let genuine: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("dstack_tcb_info.json")).unwrap()).unwrap();
    let genuine = genuine["event_log"].as_array().unwrap();
    let genuine: Vec<_> = genuine.iter().filter(|event| event["imr"] == 3).collect();
    let platform = Platform::from_seed(7, NOW).unwrap();
    let mut cvm = Cvm::new(platform.host(0).unwrap(), &OsImage::simulated("test"), CvmSpec::new("{}"));
    cvm.boot_to(BootStage::Measured);
    let simulated: serde_json::Value = serde_json::from_str(&cvm.event_log().to_json()).unwrap();
    for (simulated, genuine) in simulated.as_array().unwrap().iter().zip(genuine) {
        assert_eq!(simulated["event"], genuine["event"]);
        let fields =
            |event: &serde_json::Value| event.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(fields(simulated), fields(genuine));
    }
}
