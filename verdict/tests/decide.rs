//! The verdict as a whole, on real contracts and simulated hardware: the steps and the one call agree, and evidence of
//! different boots, sessions, times or chains never adds up to an answer.
#![allow(non_snake_case, missing_docs, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

#[path = "../../chain/tests/anvil_support/mod.rs"]
mod anvil_support;
#[path = "../../chain/tests/contracts_support/mod.rs"]
mod contracts_support;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use alloy::primitives::B256;
use anvil_support::CHAIN_ID;
use contracts_support::World;
use kms_attestation::ids::{AppId, Nonce, SpkiHash, TlsExporter};
use kms_attestation::refusal::StableCode as _;
use kms_attestation::{CheckedCollateral, Collateral, Role, RootOfTrust, SessionBinding, Verifier};
use kms_chain::bindings::{DstackApp, DstackKms};
use kms_chain::{
    Anchor, DevSource, Freshness, GrantAt, HeadSource, HeadTrust, Question, Reading, Rpc, RpcLimits,
    Transport, read,
};
use kms_simulator::cvm::{BootStage, Cvm, CvmSpec};
use kms_simulator::image::OsImage;
use kms_simulator::platform::Platform;
use kms_verdict::{BootEvidence, Circumstances, DecisionPolicy, Judge, Verdict};

const COMPOSE: &[u8] = br#"{"manifest_version":2,"name":"shop","runner":"docker-compose"}"#;

/// What a CVM presents in one session.
struct Presented {
    quote: Vec<u8>,
    event_log: String,
    manifest: Vec<u8>,
    binding: SessionBinding,
}

impl Presented {
    fn by(cvm: &Cvm, nonce: u8) -> Self {
        let binding = SessionBinding {
            role: Role::App,
            peer_nonce: Nonce([nonce; 32]),
            own_nonce: Nonce([2; 32]),
            own_spki: SpkiHash([3; 32]),
            peer_spki: SpkiHash([4; 32]),
            exporter: TlsExporter([5; 32]),
        };
        let quote = cvm.quote(binding.report_data()).unwrap();
        Self {
            quote,
            event_log: cvm.event_log().to_json(),
            manifest: cvm.image().manifest().to_vec(),
            binding,
        }
    }

    fn evidence(&self) -> BootEvidence<'_> {
        BootEvidence {
            quote: &self.quote,
            event_log: self.event_log.as_bytes(),
            os_image_manifest: &self.manifest,
            binding: self.binding,
        }
    }
}

/// An app that its owner allows on one device, and the judge who is asked.
struct Scene {
    world: World,
    cvm: Cvm,
    judge: Judge,
    collateral: CheckedCollateral,
    now: u64,
}

impl Scene {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let platform = Platform::from_seed(7, now).unwrap();
        let host = platform.host(0).unwrap();
        let image = OsImage::simulated("image");
        let world = World::new();
        let mut spec = CvmSpec::new(COMPOSE);
        let app = world.deploy_app(&DstackKms::deployAndRegisterApp_1Call {
            initialOwner: world.owner,
            disableUpgrades: false,
            requireTcbUpToDate: true,
            allowAnyDevice: false,
            initialDeviceId: B256::from(host.device_id().0),
            initialComposeHash: B256::from(spec.compose_hash().0),
        });
        world.govern(&DstackKms::addOsImageHashCall { osImageHash: B256::from(image.hash().0) });
        spec.app_id = AppId(app.into_array());
        let mut cvm = Cvm::new(host, &image, spec);
        cvm.boot_to(BootStage::Measured);
        let verifier = Verifier::new(RootOfTrust::configured(&platform.root_der()).unwrap());
        let collateral =
            Collateral::parse(platform.collateral_for(host.fmspc()).unwrap().as_bytes()).unwrap();
        let collateral = verifier.check_collateral(collateral, now).unwrap();
        let anchor = Anchor::new(CHAIN_ID, world.kms, HeadTrust::Dev, GrantAt::Latest, Freshness::default());
        let judge = Judge::new(verifier, DecisionPolicy::default(), anchor.unwrap());
        Self { world, cvm, judge, collateral, now }
    }

    /// The question that the presented evidence leads to.
    fn question(&self, presented: &Presented) -> Question {
        let quote = presented.evidence().session_quote(self.judge.verifier()).unwrap();
        let genuine = self.judge.authenticate(&quote, &self.collateral, self.now).unwrap();
        let app = genuine.identify(self.judge.policy(), &presented.evidence()).unwrap();
        app.appraise(self.judge.policy(), None).unwrap().question()
    }

    async fn reading(&self, question: &Question) -> Reading {
        let rpc = Rpc::new(&self.world.anvil.url(), Transport::Secure, RpcLimits::default()).unwrap();
        let rpc = Arc::new(rpc);
        let heads = DevSource::new(Arc::clone(&rpc)).unwrap().heads().await.unwrap();
        let reading = read(&rpc, self.judge.anchor(), question, heads.latest, None, self.now).await;
        reading.unwrap()
    }

    /// The verdict from what a record holds, which is that of the live path.
    fn decide(&self, presented: &Presented, reading: &Reading, now: u64) -> Verdict {
        let circumstances = Circumstances { now, out_of_date_since: None };
        let evidence = presented.evidence();
        let verdict = self.judge.decide(&evidence, &self.collateral, reading.witness(), circumstances);
        assert_eq!(self.decide_live(presented, reading, now), verdict);
        verdict
    }

    fn decide_live(&self, presented: &Presented, reading: &Reading, now: u64) -> Verdict {
        let (judge, evidence) = (&self.judge, presented.evidence());
        let attested = evidence
            .session_quote(judge.verifier())
            .and_then(|quote| judge.authenticate(&quote, &self.collateral, now))
            .and_then(|genuine| genuine.identify(judge.policy(), &evidence))
            .and_then(|app| app.appraise(judge.policy(), None));
        match attested {
            Ok(attested) => attested.conclude(judge.anchor(), reading),
            Err(reason) => Verdict::Deny(reason.lift()),
        }
    }
}

fn code(verdict: &Verdict) -> &'static str {
    verdict.denial().map_or("allowed", |denial| denial.code.as_str())
}

#[tokio::test]
async fn decide__should_allow_and_deny_as_the_contract_says_with_the_identity_of_the_quote() {
    let scene = Scene::new();
    let presented = Presented::by(&scene.cvm, 1);
    let question = scene.question(&presented);
    let reading = scene.reading(&question).await;
    let Verdict::Allow(allowed) = scene.decide(&presented, &reading, scene.now) else { panic!("denied") };
    assert_eq!(allowed.identity.app_id, scene.cvm.spec.app_id);
    assert_eq!(Question::App(allowed.boot_info), question);
    let code_hash = B256::from(scene.cvm.spec.compose_hash().0);
    let app = question.boot_info().appId;
    scene.world.own(app, &DstackApp::removeComposeHashCall { composeHash: code_hash });
    let later = scene.reading(&question).await;
    assert_eq!(code(&scene.decide(&presented, &later, scene.now)), "contract-denied");
    // What was recorded before is decided again as it was, whatever the chain says today.
    assert!(scene.decide(&presented, &reading, scene.now).denial().is_none());
}

#[tokio::test]
async fn decide__should_refuse_what_does_not_belong_together() {
    let mut scene = Scene::new();
    let presented = Presented::by(&scene.cvm, 1);
    let question = scene.question(&presented);
    let reading = scene.reading(&question).await;
    let now = scene.now;
    // Another session's quote; a quote of this session, shown for another.
    let other_session = Presented::by(&scene.cvm, 9);
    let mixed = Presented { binding: other_session.binding, ..Presented::by(&scene.cvm, 1) };
    assert_eq!(code(&scene.decide(&mixed, &reading, now)), "binding-mismatch");
    // The answer to a question about another boot: another device, say.
    let mut info = question.boot_info().clone();
    info.deviceId = B256::repeat_byte(7);
    let other = scene.reading(&Question::App(info)).await;
    assert_eq!(code(&scene.decide(&presented, &other, now)), "witness-other-question");
    // A question about a node is none about an app.
    let node = scene.reading(&Question::Kms(question.boot_info().clone())).await;
    assert_eq!(code(&scene.decide(&presented, &node, now)), "witness-other-question");
    // A witness of another time, even of a second later.
    assert_eq!(code(&scene.decide(&presented, &reading, now + 1)), "witness-other-time");
    // Another log, another image, a guest that has booted.
    let log = Presented { event_log: "[]".to_owned(), ..Presented::by(&scene.cvm, 1) };
    assert_eq!(code(&scene.decide(&log, &reading, now)), "rtmr3-mismatch");
    let other_image = OsImage::simulated("other").manifest().to_vec();
    let image = Presented { manifest: other_image, ..Presented::by(&scene.cvm, 1) };
    assert_eq!(code(&scene.decide(&image, &reading, now)), "os-image-mismatch");
    scene.cvm.boot_to(BootStage::Ready);
    assert_eq!(code(&scene.decide(&Presented::by(&scene.cvm, 1), &reading, now)), "boot-finished");
}

#[tokio::test]
async fn conclude__should_refuse_a_reading_under_another_anchor() {
    let mut scene = Scene::new();
    let presented = Presented::by(&scene.cvm, 1);
    let question = scene.question(&presented);
    let reading = scene.reading(&question).await;
    let freshness = Freshness { latest_max_age: 91, ..Freshness::default() };
    let trust = HeadTrust::Dev;
    let anchor = Anchor::new(CHAIN_ID, scene.world.kms, trust, GrantAt::Latest, freshness).unwrap();
    let root = scene.judge.verifier().root().der().to_vec();
    let verifier = Verifier::new(RootOfTrust::configured(&root).unwrap());
    scene.judge = Judge::new(verifier, DecisionPolicy::default(), anchor);
    assert_eq!(code(&scene.decide(&presented, &reading, scene.now)), "trust-anchor-mismatch");
}
