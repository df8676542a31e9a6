//! A node without a daemon: it decides about simulated guests, over a small proven chain state, and records what it
//! decided as a node does. Everything but keys of certificates follows from fixed seeds and times.
//!
//! Shared by the tests and the bench of this crate, and by those of `kmsctl`.
#![allow(dead_code, unreachable_pub, clippy::needless_pass_by_value)]

pub mod folder;
pub mod leaf;
#[path = "../../../chain/src/testing/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alloy::primitives::{Address, B256, U256, hex};
use kms_attestation::identity::mr_aggregated;
use kms_attestation::ids::{AppId, MrAggregated, Nonce, RootEpoch, SpkiHash, TlsExporter};
use kms_attestation::ratls::{pair_extensions, report_data_for_spki};
use kms_attestation::{CheckedCollateral, Collateral, Quote, Role, RootOfTrust, SessionBinding, Verifier};
use kms_chain::trie::HashedBytes;
use kms_chain::{BlockHeader, Freshness, GrantAt, HeadEvidence, HeadTrust, Question, Witness, prune};
use kms_ledger::blob::Blob;
use kms_ledger::record::{
    Binding, Block, CodeCount, Decision, Event, Evidence, NodeStamp, Outcome, RootOrigin, Started, Subject,
    Unstored, Who,
};
use kms_ledger::replay::{Archive, Gap, LogIdentity, Replayer, no_blob, no_record};
use kms_ledger::{BlobId, Record, log_key_report_data, witness_blob};
use kms_simulator::cvm::{BootStage, Cvm, CvmSpec};
use kms_simulator::image::OsImage;
use kms_simulator::platform::Platform;
use kms_verdict::policy_document::{
    AttestationTerms, CertificateTerms, ChainTerms, CollateralSet, PolicyDocument, PolicyVersion,
};
use kms_verdict::{
    AttestedApp, BootEvidence, Circumstances, DecisionPolicy, Judge, NodeEvidence, RULES_VERSION, Verdict,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};

use self::leaf::Leaf;
use self::world::World;

/// The time of the first record, in Unix seconds.
pub const NOW: u64 = 1_800_000_000;
/// The log's name.
pub const ORIGIN: &str = "kms.example/log";
/// Any Ed25519 public key: replay compares it, and verifies no signature with it.
pub const LOG_KEY: [u8; 32] = [0x4b; 32];
const SEED: u64 = 11;
const KMS: Address = Address::repeat_byte(0xaa);
const APP: Address = Address::repeat_byte(0xbb);
const HOSTS: [&str; 2] = ["rpc-a.example", "rpc-b.example"];
/// Long call data: `(sload(0), "")`. Short call data, a getter: `sload(argument)`.
const CONTRACT: &[u8] = &hex!("3661010010601257600435545f5260205ff3 5b5f545f5260406020526060 5ff3");

/// A node that decides and records.
pub struct Scene {
    pub platform: Platform,
    pub image: OsImage,
    pub policy: PolicyDocument,
    pub records: Vec<Arc<Record>>,
    pub blobs: BTreeMap<BlobId, Arc<[u8]>>,
    /// The blobs as the node hands them to the log, for each record.
    pub handed: Vec<Vec<Blob>>,
    pub origin: String,
    pub log_key: [u8; 32],
    /// What the contracts answer.
    pub allowed: bool,
    /// Who asks, for a private log: behind a salt.
    pub sealed: bool,
    pub time: u64,
    judge: Judge,
    collateral: CheckedCollateral,
    measurement: MrAggregated,
    draft: Vec<Blob>,
    /// The chain's state, where the contracts deny and where they allow.
    states: [State; 2],
}

struct State {
    root: B256,
    nodes: HashedBytes,
    codes: HashedBytes,
}

impl State {
    fn new(allowed: u8) -> Self {
        let mut world = World::default();
        let padded = |len: usize| [CONTRACT, &vec![0x5b; len]].concat();
        world.deploy(KMS, &padded(3000));
        world.deploy(APP, &padded(2000));
        world.store(KMS, U256::ZERO, U256::from(allowed));
        for slot in 1..40_u64 {
            world.store(KMS, U256::from(slot), U256::from(slot));
            world.store(APP, U256::from(slot), U256::from(1));
        }
        let (root, nodes, codes) = world.prove();
        Self { root, nodes, codes }
    }
}

impl Archive for Scene {
    fn record(&self, index: u64) -> Result<Arc<Record>, Gap> {
        let at = usize::try_from(index).unwrap();
        self.records.get(at).cloned().ok_or_else(|| no_record(index))
    }

    fn blob(&self, id: &BlobId) -> Result<Arc<[u8]>, Gap> {
        self.blobs.get(id).cloned().ok_or_else(|| no_blob(id))
    }
}

impl Scene {
    pub fn new() -> Self {
        Self::of_log(ORIGIN, LOG_KEY)
    }

    /// A scene whose records stand in that log.
    pub fn of_log(origin: &str, log_key: [u8; 32]) -> Self {
        let platform = Platform::from_seed(SEED, NOW).unwrap();
        let root = RootOfTrust::configured(&platform.root_der()).unwrap();
        let host = platform.host(0).unwrap();
        let image = OsImage::simulated("image");
        let policy = policy(root.key_id());
        let verifier = Verifier::new(root);
        let collateral = platform.collateral_for(host.fmspc()).unwrap();
        let collateral = Collateral::parse(collateral.as_bytes()).unwrap();
        let collateral = verifier.check_collateral(collateral, NOW).unwrap();
        let judge = Judge::new(verifier, policy.decision.clone(), policy.anchor().unwrap());
        let mut scene = Self {
            image,
            policy,
            records: Vec::new(),
            blobs: BTreeMap::new(),
            handed: Vec::new(),
            origin: origin.to_owned(),
            log_key,
            allowed: true,
            sealed: false,
            time: NOW,
            judge,
            collateral,
            measurement: MrAggregated::ZERO,
            draft: Vec::new(),
            states: [0, 1].map(State::new),
            platform,
        };
        scene.measurement = scene.measure();
        scene
    }

    pub fn replayer(&self) -> Replayer {
        let log = LogIdentity { origin: self.origin.clone(), key: Some(self.log_key) };
        Replayer::new(self.root(), Some(log))
    }

    pub fn root(&self) -> RootOfTrust {
        RootOfTrust::configured(&self.platform.root_der()).unwrap()
    }

    /// An app about to ask for its keys, told apart by the text.
    pub fn app(&self, name: &str) -> Cvm {
        let compose = format!(r#"{{"manifest_version":2,"name":"{name}","runner":"docker-compose"}}"#);
        let mut spec = CvmSpec::new(compose.into_bytes());
        spec.app_id = AppId(APP.into_array());
        Cvm::booted(self.platform.host(0).unwrap(), &self.image, spec)
    }

    /// The node's own guest.
    fn guest(&self) -> Cvm {
        let spec = CvmSpec::new(br#"{"manifest_version":2,"name":"kms","runner":"docker-compose"}"#.to_vec());
        Cvm::booted(self.platform.host(0).unwrap(), &self.image, spec)
    }

    fn measure(&self) -> MrAggregated {
        let quote = self.guest().quote(kms_attestation::ids::ReportData::ZERO).unwrap();
        mr_aggregated(Quote::parse(&quote).unwrap().td())
    }

    #[allow(clippy::unnecessary_wraps)]
    fn keep(&mut self, blob: Blob) -> Option<BlobId> {
        let bytes: Vec<u8> = blob.parts().iter().flat_map(|part| part.bytes().to_vec()).collect();
        let id = blob.id();
        self.blobs.entry(id).or_insert_with(|| bytes.into());
        self.draft.push(blob);
        Some(id)
    }

    fn keep_collateral(&mut self) -> Option<BlobId> {
        let json = self.collateral.source().to_json();
        self.keep(Blob::new(json.into_bytes()))
    }

    fn head(&self) -> Block {
        let header = self.evidence_of_head().header;
        Block { number: header.number(), hash: header.hash().0, timestamp: header.timestamp() }
    }

    fn state(&self) -> &State {
        &self.states[usize::from(self.allowed)]
    }

    fn evidence_of_head(&self) -> HeadEvidence {
        let number = 100 + self.time - NOW;
        let header = world::header(self.state().root, number, self.time - 5);
        let header = BlockHeader::parse(header).unwrap();
        HeadEvidence { header, vouchers: HOSTS.map(str::to_owned).into() }
    }

    fn witness(&self, question: &Question) -> Witness {
        let State { nodes, codes, .. } = self.state();
        let anchor = self.judge.anchor();
        let mut witness = Witness::new(anchor, question, self.evidence_of_head(), None, self.time);
        nodes.iter().for_each(|(_, node)| witness.add_node(node.clone()));
        for (_, code) in codes.iter() {
            witness.add_code(code.clone());
        }
        prune(anchor, &mut witness).unwrap();
        witness
    }

    /// Appends a record; its index.
    pub fn append(&mut self, event: Event) -> u64 {
        let document = Blob::new(self.policy.to_json().into_bytes());
        let policy = self.keep(document).unwrap();
        let node = NodeStamp {
            name: "kms-1".to_owned(),
            software: "onchain-kms/0.1.0".to_owned(),
            rules: RULES_VERSION,
            root_epoch: RootEpoch(0),
            policy,
            measurement: self.measurement,
        };
        let record = Record { time: self.time, node, head: Some(self.head()), event };
        self.records.push(Arc::new(record));
        self.handed.push(std::mem::take(&mut self.draft));
        self.time += 1;
        self.records.len() as u64 - 1
    }

    pub fn started(&mut self) -> u64 {
        let quote = self.guest().quote(log_key_report_data(&self.origin, &self.log_key)).unwrap();
        let evidence = Evidence {
            quote: self.keep(Blob::new(quote)),
            os_image_manifest: self.keep(Blob::new(self.image.manifest().to_vec())),
            collateral: self.keep_collateral(),
            ..Evidence::default()
        };
        let started = Started {
            root_origin: RootOrigin::Generated,
            root_signer: [2; 33],
            root_ca: [3; 32],
            log_key: self.log_key,
            evidence,
            insecure_settings: vec!["attestation.insecure_root_certificate".to_owned()],
        };
        self.append(Event::Started(Box::new(started)))
    }

    pub fn stopped(&mut self) -> u64 {
        self.append(Event::Stopped)
    }

    pub fn unstored(&mut self) -> u64 {
        let refusals = vec![CodeCount { code: "binding-mismatch".to_owned(), count: 3 }];
        self.append(Event::Unstored(Unstored { since: NOW, refusals }))
    }

    /// A guest asks for keys: the index of what was decided.
    pub fn boot(&mut self, cvm: &Cvm) -> u64 {
        let binding = binding(self.records.len());
        let quote = cvm.quote(binding.report_data()).unwrap();
        let (log, manifest) = (cvm.event_log().to_json().into_bytes(), cvm.image().manifest().to_vec());
        let presented =
            BootEvidence { quote: &quote, event_log: &log, os_image_manifest: &manifest, binding };
        let circumstances = Circumstances { now: self.time, out_of_date_since: None };
        let attested = self.judge.attest(&presented, &self.collateral, circumstances);
        let evidence = Evidence {
            quote: self.keep(Blob::new(quote.clone())),
            event_log: self.keep(Blob::new(log.clone())),
            os_image_manifest: self.keep(Blob::new(manifest.clone())),
            collateral: self.keep_collateral(),
            ..Evidence::default()
        };
        let draft = Decision {
            subject: Subject::AppKeys,
            binding: Some(Binding::from(&binding)),
            release: None,
            evidence,
            out_of_date_since: None,
            who: Who::Unknown,
            outcome: Outcome::Deny { code: String::new(), found: String::new(), expected: String::new() },
        };
        match attested {
            Err(unattested) => {
                let outcome = Outcome::deny(&unattested.reason);
                let who = Who::of(unattested.identity.as_deref());
                self.decided(Decision { who, outcome, ..draft })
            }
            Ok(app) => self.concluded(draft, app),
        }
    }

    fn concluded(&mut self, draft: Decision, app: AttestedApp) -> u64 {
        let who = Who::of(Some(app.identity()));
        let witness = self.witness(&app.question());
        let evidence = Evidence { witness: self.keep(witness_blob(&witness)), ..draft.evidence };
        let outcome = match app.conclude_from(self.judge.anchor(), &witness) {
            Verdict::Allow(allowed) => Outcome::allow(draft.subject, &allowed.decision),
            Verdict::Deny(denial) => Outcome::deny(&denial),
        };
        self.decided(Decision { who, outcome, evidence, ..draft })
    }

    pub fn decided(&mut self, decision: Decision) -> u64 {
        let salt = [u8::try_from(self.records.len() % 251).unwrap(); 32];
        let (decision, blob) = if self.sealed { decision.seal(salt) } else { (decision, None) };
        if let Some(blob) = blob {
            self.keep(blob);
        }
        self.append(Event::Decision(Box::new(decision)))
    }

    /// The node refuses by its own state what was attested: its index.
    pub fn limited(&mut self, cvm: &Cvm, code: &str) -> u64 {
        let (allowed, sealed) = (self.allowed, std::mem::take(&mut self.sealed));
        let index = self.boot(cvm);
        let mut decision = self.decision(index);
        self.records.pop();
        self.draft = self.handed.pop().unwrap();
        self.time -= 1;
        let unasked = decision.evidence.witness.take();
        self.draft.retain(|blob| Some(blob.id()) != unasked);
        decision.outcome = Outcome::Deny {
            code: code.to_owned(),
            found: "no share of this app left for 7 ms".to_owned(),
            expected: "a share that is left".to_owned(),
        };
        (self.allowed, self.sealed) = (allowed, sealed);
        self.decided(decision)
    }

    /// A certificate for the app that was released to: its index.
    pub fn certified(&mut self, cvm: &Cvm, release: u64) -> u64 {
        let released = self.decision(release);
        let record = Arc::clone(&self.records[usize::try_from(release).unwrap()]);
        let (question, who) = self.asked(cvm, &released, record.time);
        let witness = self.witness(&question);
        let said = self.judge.conclude_later(&question, &witness, self.time);
        let outcome = match &said {
            Ok(said) => Outcome::allow(Subject::AppCertificate, said),
            Err(deny) => Outcome::deny(deny),
        };
        let leaf = Leaf::of(&cvm.spec.app_id, self.time).sign();
        let evidence = Evidence {
            witness: self.keep(witness_blob(&witness)),
            certificate: said.is_ok().then(|| self.keep(Blob::new(leaf))).flatten(),
            ..Evidence::default()
        };
        self.decided(Decision {
            subject: Subject::AppCertificate,
            binding: None,
            release: Some(release),
            evidence,
            out_of_date_since: None,
            who,
            outcome,
        })
    }

    /// What was asked for a release, and by whom.
    fn asked(&self, cvm: &Cvm, released: &Decision, time: u64) -> (Question, Who) {
        let quote = self.blobs[&released.evidence.quote.unwrap()].clone();
        let log = cvm.event_log().to_json().into_bytes();
        let quote = Quote::parse(&quote).unwrap();
        let quote = self.judge.verifier().authenticate(&quote, &self.collateral, time).unwrap();
        let quote = quote.appraise(&self.judge.policy().platform, time, None).unwrap();
        let log = kms_attestation::EventLog::parse(&log).unwrap();
        let identity = kms_attestation::BootIdentity::extract(&quote, &log).unwrap();
        let question = Question::App(kms_chain::app_boot_info(&identity, &quote, cvm.image().hash()));
        (question, Who::of(Some(&identity)))
    }

    /// The node judges itself: the index of the answer.
    pub fn standing(&mut self) -> u64 {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let spki = key.subject_public_key_info();
        let report_data = report_data_for_spki(&spki);
        let quote = self.guest().quote(report_data).unwrap();
        let mut params = CertificateParams::new(vec!["kms.example".to_owned()]).unwrap();
        let extensions = pair_extensions(&quote, b"[]").unwrap();
        params.custom_extensions =
            extensions.map(|it| CustomExtension::from_oid_content(it.oid, it.value)).into();
        let certificate = params.self_signed(&key).unwrap().der().to_vec();
        let manifest = self.image.manifest().to_vec();
        let evidence = NodeEvidence { quote: &quote, os_image_manifest: &manifest, report_data };
        let circumstances = Circumstances { now: self.time, out_of_date_since: None };
        let node = self.judge.authenticate_node(&evidence, &self.collateral, circumstances).unwrap();
        let witness = self.witness(&node.question());
        let outcome = match node.conclude_from(self.judge.anchor(), &witness) {
            Ok(said) => Outcome::allow(Subject::Node, &said),
            Err(deny) => Outcome::deny(&deny),
        };
        let evidence = Evidence {
            os_image_manifest: self.keep(Blob::new(manifest.clone())),
            collateral: self.keep_collateral(),
            witness: self.keep(witness_blob(&witness)),
            certificate: self.keep(Blob::new(certificate)),
            ..Evidence::default()
        };
        self.decided(Decision {
            subject: Subject::Node,
            binding: None,
            release: None,
            evidence,
            out_of_date_since: None,
            who: Who::Unknown,
            outcome,
        })
    }

    /// One of each kind: started, standing, an allow, its certificate, and denials of every class.
    pub fn one_of_each(&mut self) {
        self.started();
        self.standing();
        let shop = self.app("shop");
        let release = self.boot(&shop);
        self.certified(&shop, release);
        let mut ready = self.app("late");
        ready.boot_to(BootStage::Ready);
        self.boot(&ready);
        let mut wrong = self.app("wrong");
        wrong.events_mut().swap(1, 2);
        self.boot(&wrong);
        self.limited(&shop, "rate-limited");
        self.limited(&shop, "head-stale");
        self.unstored();
        self.allowed = false;
        self.boot(&shop);
        self.certified(&shop, release);
        self.standing();
        self.allowed = true;
        self.stopped();
    }

    pub fn decision(&self, index: u64) -> Decision {
        match &self.records[usize::try_from(index).unwrap()].event {
            Event::Decision(decision) => (**decision).clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Changes a recorded decision.
    pub fn change(&mut self, index: u64, change: impl FnOnce(&mut Decision)) {
        let mut decision = self.decision(index);
        change(&mut decision);
        self.change_record(index, |record| record.event = Event::Decision(Box::new(decision)));
    }

    /// Changes a record.
    pub fn change_record(&mut self, index: u64, change: impl FnOnce(&mut Record)) {
        let at = usize::try_from(index).unwrap();
        let mut record = (*self.records[at]).clone();
        change(&mut record);
        self.records[at] = Arc::new(record);
    }

    /// Replaces a blob, with the name of the new bytes; what the name is now.
    pub fn replace(&mut self, bytes: Vec<u8>) -> Option<BlobId> {
        self.keep(Blob::new(bytes))
    }
}

fn policy(root_key_id: kms_attestation::ids::RootKeyId) -> PolicyDocument {
    PolicyDocument {
        attestation: AttestationTerms { collateral_set: CollateralSet::Standard, root_key_id },
        certificates: CertificateTerms {
            app_ca_lifetime_s: 7_776_000,
            leaf_max_lifetime_s: 86_400,
            node_lifetime_s: 3_600,
            zone: "kms.internal".to_owned(),
        },
        chain: ChainTerms {
            chain_id: 1,
            confirmations: 1,
            contract: KMS,
            freshness: Freshness::default(),
            grant_at: GrantAt::Latest,
            heads: HeadTrust::Quorum { hosts: BTreeSet::from(HOSTS.map(str::to_owned)), threshold: 2 },
        },
        decision: DecisionPolicy::default(),
        log: None,
        version: PolicyVersion::V1,
    }
}

fn binding(number: usize) -> SessionBinding {
    let mut nonce = [9; 32];
    nonce[..8].copy_from_slice(&(number as u64).to_be_bytes());
    SessionBinding {
        role: Role::App,
        peer_nonce: Nonce(nonce),
        own_nonce: Nonce([2; 32]),
        own_spki: SpkiHash([3; 32]),
        peer_spki: SpkiHash([4; 32]),
        exporter: TlsExporter([5; 32]),
    }
}
