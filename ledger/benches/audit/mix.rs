//! A mixed log: in each twenty decisions eleven releases of the apps in turn, two certificates, a look at the node itself, and
//! six denials: three by what was presented, three by the contracts.

use kms_attestation::ids::{AppId, Nonce, SpkiHash, TlsExporter};
use kms_attestation::ratls::{pair_extensions, report_data_for_spki};
use kms_attestation::{Role, SessionBinding};
use kms_chain::Question;
use kms_ledger::blob::Blob;
use kms_ledger::record::{Binding, Decision, Event, Evidence, Outcome, RootOrigin, Started, Subject, Who};
use kms_ledger::{BlobId, Record, log_key_report_data, witness_blob};
use kms_simulator::cvm::{BootStage, Cvm};
use kms_simulator::image::OsImage;
use kms_verdict::{AttestedNode, BootEvidence, Circumstances, NodeEvidence, Verdict};
use rcgen::{CertificateParams, CustomExtension, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};

use crate::Store;
use crate::leaf::Leaf;
use crate::node::{LOG_KEY, Node, ORIGIN, at};

/// Over how many seconds the decisions are spread: two of one question share a witness only within a second.
const SECONDS: u64 = 60;
/// Decisions between two starts of the node.
const RUN: u64 = 2_500;

/// Who asks again and again, and what the chain says to it.
struct Asker {
    cvm: Cvm,
    quote: QuoteForm,
    /// None where it does not come to be asked.
    asked: Option<(Question, Vec<u8>)>,
}

/// Whether the quote that is presented is as the hardware made it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum QuoteForm {
    Genuine,
    Forged,
}

/// The node's certificate, and what the chain says to it.
struct Standing {
    certificate: Vec<u8>,
    quote: Vec<u8>,
    spki: Vec<u8>,
    witness: Vec<u8>,
}

/// Everything that the decisions are made of.
struct Writer<'a> {
    node: &'a Node,
    store: Store,
    policy: BlobId,
    standing: Standing,
    decided: u64,
}

/// So many decisions, and a start before each run.
pub async fn mixed(node: &Node, decisions: u64) -> Store {
    let (allowed, denied) = Box::pin(askers(node)).await;
    let mut store = Store::default();
    let policy = store.keep(&Blob::new(node.policy.to_json().into_bytes())).unwrap();
    let standing = standing(node).await;
    let mut writer = Writer { node, store, policy, standing, decided: 0 };
    let mut turn = 0;
    while writer.decided < decisions {
        if writer.decided.is_multiple_of(RUN) {
            writer.start();
        }
        for number in 0..11 {
            let asker = &allowed[turn % allowed.len()];
            turn += 1;
            let release = writer.boot(asker);
            if number < 2 {
                writer.certify(asker, release);
            }
        }
        writer.judge_itself();
        for asker in &denied {
            writer.boot(asker);
        }
    }
    writer.store
}

/// Those that are allowed, and those that are not.
async fn askers(node: &Node) -> (Vec<Asker>, Vec<Asker>) {
    let mut allowed = Vec::new();
    for (number, app) in node.apps.iter().enumerate() {
        allowed.push(asker(node, node.guest(*app, number), QuoteForm::Genuine).await);
    }
    let app = node.apps[0];
    let mut late = node.guest(app, 0);
    late.boot_to(BootStage::Ready);
    let mut swapped = node.guest(app, 0);
    swapped.events_mut().swap(1, 2);
    let other_code = node.guest(app, 77);
    let other_image = node.guest_under(&OsImage::simulated("another"), app, 0);
    let other_device = node.guest(node.elsewhere, node.apps.len());
    let mut denied = vec![asker(node, node.guest(app, 0), QuoteForm::Forged).await];
    for cvm in [late, swapped, other_code, other_image, other_device] {
        denied.push(asker(node, cvm, QuoteForm::Genuine).await);
    }
    (allowed, denied)
}

async fn asker(node: &Node, cvm: Cvm, quote: QuoteForm) -> Asker {
    let mut asker = Asker { cvm, quote, asked: None };
    let presented = Presented::by(&asker, u64::MAX);
    if let Ok(app) = node.judge.attest(&presented.evidence(), &node.collateral, circumstances(node.now)) {
        let question = app.question();
        let witness = node.ask(&question).await;
        asker.asked = Some((question, witness));
    }
    asker
}

async fn standing(node: &Node) -> Standing {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let spki = key.subject_public_key_info();
    let quote = node.own_guest().quote(report_data_for_spki(&spki)).unwrap();
    let mut params = CertificateParams::new(vec!["kms.example".to_owned()]).unwrap();
    let extensions = pair_extensions(&quote, b"[]").unwrap();
    params.custom_extensions =
        extensions.map(|it| CustomExtension::from_oid_content(it.oid, it.value)).into();
    let certificate = params.self_signed(&key).unwrap().der().to_vec();
    let mut standing = Standing { certificate, quote, spki, witness: Vec::new() };
    standing.witness = node.ask(&standing.attested(node, node.now).question()).await;
    standing
}

impl Standing {
    fn attested(&self, node: &Node, time: u64) -> AttestedNode {
        let evidence = NodeEvidence {
            quote: &self.quote,
            os_image_manifest: node.image.manifest(),
            report_data: report_data_for_spki(&self.spki),
        };
        node.judge.authenticate_node(&evidence, &node.collateral, circumstances(time)).unwrap()
    }
}

/// What is presented in one session.
struct Presented {
    quote: Vec<u8>,
    event_log: Vec<u8>,
    manifest: Vec<u8>,
    binding: SessionBinding,
}

impl Presented {
    fn by(asker: &Asker, session: u64) -> Self {
        let binding = binding(session);
        let mut quote = asker.cvm.quote(binding.report_data()).unwrap();
        if asker.quote == QuoteForm::Forged {
            // Within the signature, which follows header and body.
            quote[48 + 584 + 4 + 10] ^= 1;
        }
        let event_log = asker.cvm.event_log().to_json().into_bytes();
        Self { quote, event_log, manifest: asker.cvm.image().manifest().to_vec(), binding }
    }

    fn evidence(&self) -> BootEvidence<'_> {
        BootEvidence {
            quote: &self.quote,
            event_log: &self.event_log,
            os_image_manifest: &self.manifest,
            binding: self.binding,
        }
    }
}

impl Writer<'_> {
    /// The time of the next record.
    fn time(&self) -> u64 {
        self.node.now + self.decided % RUN * SECONDS / RUN
    }

    fn append(&mut self, time: u64, event: Event) -> u64 {
        let record = Record { time, node: self.node.stamp(self.policy), head: None, event };
        self.store.records.push(record.into());
        self.store.records.len() as u64 - 1
    }

    fn decide(&mut self, time: u64, decision: Decision) -> u64 {
        self.decided += 1;
        self.append(time, Event::Decision(Box::new(decision)))
    }

    fn collateral(&mut self) -> Option<BlobId> {
        self.store.keep(&Blob::new(self.node.collateral.source().to_json().into_bytes()))
    }

    fn start(&mut self) {
        let quote = self.node.own_guest().quote(log_key_report_data(ORIGIN, &LOG_KEY)).unwrap();
        let evidence = Evidence {
            quote: self.store.keep(&Blob::new(quote)),
            os_image_manifest: self.store.keep(&Blob::new(self.node.image.manifest().to_vec())),
            collateral: self.collateral(),
            ..Evidence::default()
        };
        let started = Started {
            root_origin: RootOrigin::Generated,
            root_signer: [2; 33],
            root_ca: [3; 32],
            log_key: LOG_KEY,
            evidence,
            insecure_settings: Vec::new(),
        };
        let time = self.time();
        self.append(time, Event::Started(Box::new(started)));
    }

    /// Asks for keys, in a session of its own.
    fn boot(&mut self, asker: &Asker) -> u64 {
        let (time, presented) = (self.time(), Presented::by(asker, self.decided));
        let attested =
            self.node.judge.attest(&presented.evidence(), &self.node.collateral, circumstances(time));
        let mut evidence = Evidence {
            quote: self.store.keep(&Blob::new(presented.quote.clone())),
            event_log: self.store.keep(&Blob::new(presented.event_log.clone())),
            os_image_manifest: self.store.keep(&Blob::new(presented.manifest.clone())),
            collateral: self.collateral(),
            ..Evidence::default()
        };
        let (who, outcome) = match attested {
            Err(unattested) => (Who::of(unattested.identity.as_deref()), Outcome::deny(&unattested.reason)),
            Ok(app) => {
                let who = Who::of(Some(app.identity()));
                let witness = at(&asker.asked.as_ref().unwrap().1, time);
                evidence.witness = self.store.keep(&witness_blob(&witness));
                match app.conclude_from(self.node.judge.anchor(), &witness) {
                    Verdict::Allow(allowed) => (who, Outcome::allow(Subject::AppKeys, &allowed.decision)),
                    Verdict::Deny(denial) => (who, Outcome::deny(&denial)),
                }
            }
        };
        let binding = Some(Binding::from(&presented.binding));
        let subject = Subject::AppKeys;
        let decision =
            Decision { subject, binding, release: None, evidence, out_of_date_since: None, who, outcome };
        self.decide(time, decision)
    }

    /// A certificate on the connection of a release.
    fn certify(&mut self, asker: &Asker, release: u64) {
        let time = self.time();
        let (question, witness) = asker.asked.as_ref().unwrap();
        let witness = at(witness, time);
        let said = self.node.judge.conclude_later(question, &witness, time).unwrap();
        let app_id: &AppId = &asker.cvm.spec.app_id;
        let evidence = Evidence {
            witness: self.store.keep(&witness_blob(&witness)),
            certificate: self.store.keep(&Blob::new(Leaf::of(app_id, time).sign())),
            ..Evidence::default()
        };
        let Event::Decision(released) = &self.store.records[usize::try_from(release).unwrap()].event else {
            panic!("no release")
        };
        let who = released.who.clone();
        let decision = Decision {
            subject: Subject::AppCertificate,
            binding: None,
            release: Some(release),
            evidence,
            out_of_date_since: None,
            who,
            outcome: Outcome::allow(Subject::AppCertificate, &said),
        };
        self.decide(time, decision);
    }

    /// The node's own standing.
    fn judge_itself(&mut self) {
        let time = self.time();
        let witness = at(&self.standing.witness, time);
        let attested = self.standing.attested(self.node, time);
        let said = attested.conclude_from(self.node.judge.anchor(), &witness).unwrap();
        let evidence = Evidence {
            os_image_manifest: self.store.keep(&Blob::new(self.node.image.manifest().to_vec())),
            collateral: self.collateral(),
            witness: self.store.keep(&witness_blob(&witness)),
            certificate: self.store.keep(&Blob::new(self.standing.certificate.clone())),
            ..Evidence::default()
        };
        let decision = Decision {
            subject: Subject::Node,
            binding: None,
            release: None,
            evidence,
            out_of_date_since: None,
            who: Who::Unknown,
            outcome: Outcome::allow(Subject::Node, &said),
        };
        self.decide(time, decision);
    }
}

fn circumstances(now: u64) -> Circumstances {
    Circumstances { now, out_of_date_since: None }
}

fn binding(session: u64) -> SessionBinding {
    let mut nonce = [9; 32];
    nonce[..8].copy_from_slice(&session.to_be_bytes());
    SessionBinding {
        role: Role::App,
        peer_nonce: Nonce(nonce),
        own_nonce: Nonce([2; 32]),
        own_spki: SpkiHash([3; 32]),
        peer_spki: SpkiHash([4; 32]),
        exporter: TlsExporter([5; 32]),
    }
}
