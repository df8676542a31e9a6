//! A node over a real chain: its platform, what governance and owners allow, its policy, and witnesses of the chain's answers.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use alloy::primitives::{Address, B256};
use kms_attestation::identity::mr_aggregated;
use kms_attestation::ids::{AppId, MrAggregated, ReportData, RootEpoch};
use kms_attestation::{CheckedCollateral, Collateral, Quote, RootOfTrust, Verifier};
use kms_chain::bindings::DstackKms;
use kms_chain::{
    DevSource, Freshness, GrantAt, HeadSource as _, HeadTrust, Question, Rpc, RpcLimits, Transport, Witness,
    read,
};
use kms_ledger::BlobId;
use kms_ledger::record::NodeStamp;
use kms_simulator::cvm::{Cvm, CvmSpec};
use kms_simulator::image::OsImage;
use kms_simulator::platform::Platform;
use kms_verdict::policy_document::{
    AttestationTerms, CertificateTerms, ChainTerms, CollateralSet, PolicyDocument, PolicyVersion,
};
use kms_verdict::{DecisionPolicy, Judge, RULES_VERSION};

use crate::anvil_support::CHAIN_ID;
use crate::contracts_support::World;

pub const ORIGIN: &str = "kms.example/log";
pub const LOG_KEY: [u8; 32] = [0x4b; 32];
/// How many apps ask, each with a contract of its own.
const APPS: usize = 8;
/// Where a witness's clock stands in its bytes (`chain/src/witness.rs`).
const CLOCK_AT: usize = 61;

/// The node, and the world that it decides about.
pub struct Node {
    pub platform: Platform,
    pub image: OsImage,
    pub policy: PolicyDocument,
    pub judge: Judge,
    pub collateral: CheckedCollateral,
    pub now: u64,
    pub apps: Vec<AppId>,
    /// An app that allows another device than the one there is.
    pub elsewhere: AppId,
    pub measurement: MrAggregated,
    world: World,
}

impl Node {
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let platform = Platform::from_seed(7, now).unwrap();
        let (host, image, world) = (platform.host(0).unwrap(), OsImage::simulated("image"), World::new());
        let device = B256::from(host.device_id().0);
        let deploy = |number, device| deploy(&world, &compose(number), device);
        let apps = (0..APPS).map(|number| deploy(number, device)).collect();
        let elsewhere = deploy(APPS, B256::repeat_byte(0xee));
        let guest = Cvm::booted(host, &image, CvmSpec::new(compose(usize::MAX)));
        let measurement = mr_aggregated(Quote::parse(&guest.quote(ReportData::ZERO).unwrap()).unwrap().td());
        world.govern(&DstackKms::addOsImageHashCall { osImageHash: B256::from(image.hash().0) });
        world.govern(&DstackKms::addKmsAggregatedMrCall { mrAggregated: B256::from(measurement.0) });
        world.govern(&DstackKms::addKmsDeviceCall { deviceId: device });
        let root = RootOfTrust::configured(&platform.root_der()).unwrap();
        let policy = policy(&root, world.kms);
        let verifier = Verifier::new(root);
        let collateral = platform.collateral_for(host.fmspc()).unwrap();
        let collateral = Collateral::parse(collateral.as_bytes()).unwrap();
        let collateral = verifier.check_collateral(collateral, now).unwrap();
        let judge = Judge::new(verifier, policy.decision.clone(), policy.anchor().unwrap());
        Self { platform, image, policy, judge, collateral, now, apps, elsewhere, measurement, world }
    }

    /// A guest of an app, with the code of that number, about to ask for its keys.
    pub fn guest(&self, app_id: AppId, code: usize) -> Cvm {
        self.guest_under(&self.image, app_id, code)
    }

    /// The same, under any OS image.
    pub fn guest_under(&self, image: &OsImage, app_id: AppId, code: usize) -> Cvm {
        let mut spec = CvmSpec::new(compose(code));
        spec.app_id = app_id;
        Cvm::booted(self.platform.host(0).unwrap(), image, spec)
    }

    /// The node's own guest.
    pub fn own_guest(&self) -> Cvm {
        Cvm::booted(self.platform.host(0).unwrap(), &self.image, CvmSpec::new(compose(usize::MAX)))
    }

    /// What the chain answers, in the bytes of a witness of any time: [`at`] sets it.
    pub async fn ask(&self, question: &Question) -> Vec<u8> {
        let rpc = Rpc::new(&self.world.anvil.url(), Transport::Secure, RpcLimits::default()).unwrap();
        let rpc = Arc::new(rpc);
        let heads = DevSource::new(Arc::clone(&rpc)).unwrap().heads().await.unwrap();
        let reading = read(&rpc, self.judge.anchor(), question, heads.latest, None, self.now).await;
        reading.unwrap().witness().encode()
    }

    pub fn stamp(&self, policy: BlobId) -> NodeStamp {
        NodeStamp {
            name: "kms-1".to_owned(),
            software: "onchain-kms/0.1.0".to_owned(),
            rules: RULES_VERSION,
            root_epoch: RootEpoch(0),
            policy,
            measurement: self.measurement,
        }
    }
}

/// The witness as it is read at that time.
pub fn at(witness: &[u8], time: u64) -> Witness {
    let mut bytes = witness.to_vec();
    bytes[CLOCK_AT..CLOCK_AT + 8].copy_from_slice(&time.to_be_bytes());
    Witness::decode(&bytes).unwrap()
}

fn compose(number: usize) -> Vec<u8> {
    format!(r#"{{"manifest_version":2,"name":"app-{number}","runner":"docker-compose"}}"#).into_bytes()
}

/// An app behind its proxy that allows that code on that device.
fn deploy(world: &World, compose: &[u8], device: B256) -> AppId {
    let code = CvmSpec::new(compose).compose_hash();
    let app = world.deploy_app(&DstackKms::deployAndRegisterApp_1Call {
        initialOwner: world.owner,
        disableUpgrades: false,
        requireTcbUpToDate: true,
        allowAnyDevice: false,
        initialDeviceId: device,
        initialComposeHash: B256::from(code.0),
    });
    AppId(app.into_array())
}

fn policy(root: &RootOfTrust, contract: Address) -> PolicyDocument {
    PolicyDocument {
        attestation: AttestationTerms { collateral_set: CollateralSet::Standard, root_key_id: root.key_id() },
        certificates: CertificateTerms {
            app_ca_lifetime_s: 7_776_000,
            leaf_max_lifetime_s: 86_400,
            node_lifetime_s: 3_600,
            zone: "kms.internal".to_owned(),
        },
        chain: ChainTerms {
            chain_id: CHAIN_ID,
            confirmations: 0,
            contract,
            freshness: Freshness::default(),
            grant_at: GrantAt::Latest,
            heads: HeadTrust::Dev,
        },
        decision: DecisionPolicy::default(),
        log: None,
        version: PolicyVersion::V1,
    }
}
