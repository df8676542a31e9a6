//! A simulated CVM asks its guest agent for a quote, and a verifier believes it: session and certificate.
#![cfg(feature = "platform")]
#![allow(non_snake_case, missing_docs, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use kms_attestation::binding::{Role, SessionBinding};
use kms_attestation::collateral::Collateral;
use kms_attestation::deny::DenyCode;
use kms_attestation::event_log::EventLog;
use kms_attestation::identity::BootIdentity;
use kms_attestation::ids::{ComposeHash, Nonce, SpkiHash, TlsExporter};
use kms_attestation::platform::{GuestAgent, Platform, PlatformPaths, QuoteProvider};
use kms_attestation::quote::Quote;
use kms_attestation::ratls::{
    Attestation, RatlsCertificate, attestation_extension, report_data_for_spki, subject_public_key_info,
};
use kms_attestation::root::RootOfTrust;
use kms_attestation::verify::{AuthenticQuote, Verifier};
use kms_simulator::agent::{Agent, AgentFault};
use kms_simulator::cvm::{Cvm, CvmSpec};
use kms_simulator::image::OsImage;
use kms_simulator::platform::Platform as Simulated;
use rcgen::{CertificateParams, CustomExtension, KeyPair};

const NOW: u64 = 1_800_000_000;

/// A CVM that is about to request its keys, and the platform below it.
struct Guest {
    platform: Simulated,
    agent: Agent,
    compose: ComposeHash,
    folder: tempfile::TempDir,
}

impl Guest {
    fn new() -> Self {
        let platform = Simulated::from_seed(7, NOW).unwrap();
        let spec = CvmSpec::new(r#"{"name":"app"}"#);
        let compose = spec.compose_hash();
        let cvm = Cvm::booted(platform.host(0).unwrap(), &OsImage::simulated("test"), spec);
        let folder = tempfile::tempdir().unwrap();
        let agent = Agent::start(folder.path().join("agent.sock"), cvm).unwrap();
        Self { platform, agent, compose, folder }
    }

    async fn source(&self) -> Platform {
        let paths = PlatformPaths {
            agent_socket: self.agent.path().to_owned(),
            tsm_root: self.folder.path().join("no-configfs"),
        };
        Platform::detect(&paths).await.unwrap()
    }

    fn authenticate(&self, quote: &[u8]) -> AuthenticQuote {
        let verifier = Verifier::new(RootOfTrust::configured(&self.platform.root_der()).unwrap());
        let fmspc = self.platform.host(0).unwrap().fmspc();
        let collateral = Collateral::new(self.platform.collateral_of(fmspc).unwrap());
        let collateral = verifier.check_collateral(collateral, NOW).unwrap();
        verifier.authenticate(&Quote::parse(quote).unwrap(), &collateral, NOW).unwrap()
    }
}

fn certificate(key: &KeyPair, extensions: Vec<CustomExtension>) -> Vec<u8> {
    let mut params = CertificateParams::new(vec!["cvm.example".to_owned()]).unwrap();
    params.custom_extensions = extensions;
    params.self_signed(key).unwrap().der().to_vec()
}

fn spki_hash(key: &KeyPair) -> SpkiHash {
    SpkiHash::of(&subject_public_key_info(&certificate(key, vec![])).unwrap())
}

#[tokio::test]
async fn quote__should_prove_the_session_and_the_boot() {
    let guest = Guest::new();
    let (client_key, node_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let session = SessionBinding {
        role: Role::App,
        peer_nonce: Nonce([1; 32]),
        own_nonce: Nonce([2; 32]),
        own_spki: spki_hash(&client_key),
        peer_spki: spki_hash(&node_key),
        exporter: TlsExporter([3; 32]),
    };
    let answer = guest.source().await.quote(session.report_data()).await.unwrap();

    let quote = guest.authenticate(&answer.quote);
    assert_eq!(session.check(&quote.td().report_data), Ok(()));
    let relayed = SessionBinding { exporter: TlsExporter([4; 32]), ..session };
    assert_eq!(relayed.check(&quote.td().report_data).unwrap_err().code, DenyCode::BindingMismatch);
    let log = EventLog::parse(&answer.event_log.unwrap()).unwrap();
    assert_eq!(BootIdentity::extract(&quote, &log).unwrap().compose_hash, guest.compose);
}

#[tokio::test]
async fn certificate__should_carry_what_the_agent_gave() {
    let guest = Guest::new();
    let key = KeyPair::generate().unwrap();
    let report_data = report_data_for_spki(&subject_public_key_info(&certificate(&key, vec![])).unwrap());
    let answer = guest.source().await.quote(report_data).await.unwrap();
    let event_log = EventLog::parse(&answer.event_log.unwrap()).unwrap();
    let evidence =
        Attestation { quote: &answer.quote, event_log: &event_log, report_data: &report_data, config: "{}" };
    let extension = attestation_extension(&evidence).unwrap();
    let extension = CustomExtension::from_oid_content(extension.oid, extension.value);

    let read = RatlsCertificate::parse(&certificate(&key, vec![extension])).unwrap();
    let quote = guest.authenticate(&read.quote);
    assert_eq!(read.check_binding(&quote.td().report_data), Ok(()));
    let log = EventLog::parse(&read.event_log).unwrap();
    assert_eq!(BootIdentity::extract(&quote, &log).unwrap().compose_hash, guest.compose);
}

#[tokio::test]
async fn agent__should_name_the_app_and_be_caught_with_a_quote_for_another_question() {
    let guest = Guest::new();
    let client = GuestAgent::new(guest.agent.path());
    assert_eq!(client.info().await.unwrap().compose_hash, Some(guest.compose));

    guest.agent.set_fault(AgentFault::WrongReportData);
    let report_data = report_data_for_spki(b"any key");
    assert_eq!(client.quote(report_data).await.unwrap_err().code(), "quote-wrong-report-data");
}
