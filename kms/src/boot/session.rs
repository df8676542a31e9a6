//! From a connection with an open challenge to an app that is proven to be who it is.
//!
//! A refusal is recorded from the moment that a quote is genuine: then it takes hardware to make one. What fails before
//! is counted and answered, and stores nothing. Threat: a caller who fills the disk.

use std::sync::Arc;

use kms_attestation::refusal::Refusal;
use kms_attestation::{BootIdentity, CheckedCollateral, DenyReason, SessionBinding};
use kms_proto::v1::GetAppKeysRequest;
use kms_verdict::{AttestedApp, BootEvidence, SessionQuote};

use crate::node::{Limited, Node};
use crate::record::{
    BindingStamp, EvidenceStamp, Outcome, RECORD_VERSION, Record, RecordFault, Subject, digest,
};
use crate::refusal::{NodeCode, Refused};
use crate::server::{Connection, NoChallenge};

/// A step of an attestation session.
pub(crate) struct Session<State> {
    pub(super) node: Arc<Node>,
    pub(super) draft: Draft,
    pub(super) state: State,
}

/// A challenge was taken: whatever follows belongs to this connection.
pub(crate) struct Connected {
    binding: SessionBinding,
}

/// The app is proven, on accepted hardware.
pub(crate) struct Attested {
    pub(super) app: AttestedApp,
}

/// Why a session ends: a refusal, and when to try again.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) refused: Refused,
    pub(crate) retry_after: Option<std::time::Duration>,
}

impl From<Refused> for Ended {
    fn from(refused: Refused) -> Self {
        Self { refused, retry_after: None }
    }
}

impl From<Limited> for Ended {
    fn from(Limited { refused, retry_after }: Limited) -> Self {
        Self { refused, retry_after: Some(retry_after) }
    }
}

/// What a record will say, as far as it is known.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(super) subject: Subject,
    pub(super) now: u64,
    pub(super) binding: Option<BindingStamp>,
    pub(super) evidence: EvidenceStamp,
    pub(super) out_of_date_since: Option<u64>,
    pub(super) identity: Option<BootIdentity>,
}

impl Draft {
    /// A draft about something without evidence so far; `now` in Unix seconds.
    pub(super) fn new(subject: Subject, now: u64) -> Self {
        let evidence = EvidenceStamp::default();
        Self { subject, now, binding: None, evidence, out_of_date_since: None, identity: None }
    }

    pub(super) fn record(&self, node: &Node, outcome: Outcome) -> Record {
        Record {
            version: RECORD_VERSION,
            time: self.now,
            subject: self.subject,
            node: node.stamp(),
            binding: self.binding.clone(),
            evidence: self.evidence.clone(),
            out_of_date_since: self.out_of_date_since,
            identity: self.identity.clone(),
            outcome,
        }
    }

    /// Records a refusal, and gives it back; or why it could not be recorded.
    pub(super) async fn deny(&self, node: &Node, refused: Refused) -> Refused {
        use kms_attestation::refusal::StableCode as _;
        let Refusal { code, found, expected } = refused.clone();
        let outcome = Outcome::Deny { code: code.as_str(), found, expected };
        match node.recorder.append(&self.record(node, outcome)).await {
            Ok(_) => refused,
            Err(fault) => unrecorded(&fault),
        }
    }
}

pub(super) fn unrecorded(fault: &RecordFault) -> Refused {
    Refused::new(NodeCode::RecordUnavailable.into(), fault, "a record on disk")
}

impl Session<Connected> {
    /// Takes the connection's challenge. Refused with `client-certificate-missing`, `challenge-missing`,
    /// `challenge-expired`, or `node-not-allowed`.
    pub(crate) fn open(node: &Arc<Node>, connection: &Connection) -> Result<Self, Refused> {
        let client = connection.client.as_ref().ok_or_else(no_client_certificate)?;
        let challenge = connection.take_challenge().map_err(no_challenge)?;
        node.standing.check()?;
        let binding = connection.client_binding(&challenge, client);
        let draft = Draft { binding: Some(stamp(&binding)), ..Draft::new(Subject::AppKeys, node.now()) };
        Ok(Self { node: Arc::clone(node), draft, state: Connected { binding } })
    }

    /// Establishes who asks. Denials of genuine quotes are recorded.
    pub(crate) async fn attest(self, request: GetAppKeysRequest) -> Result<Session<Attested>, Ended> {
        let Self { node, mut draft, state: Connected { binding } } = self;
        let quote = evidence(&request, binding).session_quote().map_err(Refusal::lift)?;
        let collateral = node.collateral(quote.quote().platform(), draft.now).await?;
        draft.evidence = EvidenceStamp {
            quote: Some(digest(&request.quote)),
            event_log: Some(digest(&request.event_log)),
            os_image_manifest: Some(digest(&request.os_image_manifest)),
            collateral: Some(hex::encode(collateral.digest())),
            ..EvidenceStamp::default()
        };
        let judged = {
            let (node_there, now) = (Arc::clone(&node), draft.now);
            let judge = move || judge(&node_there, &evidence(&request, binding), &quote, &collateral, now);
            node.workers.run(judge).await?
        };
        match judged {
            Judged::NotGenuine(reason) => Err(Ended::from(reason.lift::<crate::refusal::Code>())),
            Judged::Denied { identity, since, refused } => {
                (draft.identity, draft.out_of_date_since) = (identity.map(|identity| *identity), since);
                Err(draft.deny(&node, refused).await.into())
            }
            Judged::Attested { app, since } => {
                draft.identity = Some(app.identity().clone());
                draft.out_of_date_since = since;
                let identity = app.identity();
                node.quotas.take(identity.app_id, identity.device_id)?;
                Ok(Session { node, draft, state: Attested { app: *app } })
            }
        }
    }
}

/// What became of evidence.
enum Judged {
    NotGenuine(DenyReason),
    Denied { identity: Option<Box<BootIdentity>>, since: Option<u64>, refused: Refused },
    Attested { app: Box<AttestedApp>, since: Option<u64> },
}

fn evidence(request: &GetAppKeysRequest, binding: SessionBinding) -> BootEvidence<'_> {
    let GetAppKeysRequest { quote, event_log, os_image_manifest } = request;
    BootEvidence { quote, event_log, os_image_manifest, binding }
}

/// The steps of the verdict up to the chain, with a look at what is remembered in between.
fn judge(
    node: &Node,
    evidence: &BootEvidence<'_>,
    quote: &SessionQuote,
    collateral: &CheckedCollateral,
    now: u64,
) -> Judged {
    let genuine = match node.judge.authenticate(quote, collateral, now) {
        Ok(genuine) => genuine,
        Err(reason) => return Judged::NotGenuine(reason),
    };
    let policy = node.judge.policy();
    let denied =
        |identity, since, reason: DenyReason| Judged::Denied { identity, since, refused: reason.lift() };
    let app = match genuine.identify(policy, evidence) {
        Ok(app) => app,
        Err(reason) => return denied(None, None, reason),
    };
    let since = match node.history.observe(app.quote(), now) {
        Ok(since) => since,
        Err(error) => return unremembered(app.identity(), &error),
    };
    let identity = app.identity().clone();
    match app.appraise(policy, since) {
        Ok(app) => Judged::Attested { app: Box::new(app), since },
        Err(reason) => denied(Some(Box::new(identity)), since, reason),
    }
}

fn unremembered(identity: &BootIdentity, error: &std::io::Error) -> Judged {
    let refused = unrecorded(&RecordFault::Disk { what: "writing the platform history", kind: error.kind() });
    Judged::Denied { identity: Some(Box::new(identity.clone())), since: None, refused }
}

pub(super) fn no_client_certificate() -> Refused {
    Refused::new(NodeCode::ClientCertificateMissing.into(), "no client certificate", "one, self-signed")
}

fn no_challenge(why: NoChallenge) -> Refused {
    let (code, found) = match why {
        NoChallenge::Missing => (NodeCode::ChallengeMissing, "no open challenge"),
        NoChallenge::Expired => (NodeCode::ChallengeExpired, "a challenge that was open for too long"),
    };
    Refused::new(code.into(), found, "a challenge, answered in time")
}

fn stamp(binding: &SessionBinding) -> BindingStamp {
    BindingStamp {
        client_nonce: hex::encode(binding.own_nonce.0),
        server_nonce: hex::encode(binding.peer_nonce.0),
        client_spki: hex::encode(binding.own_spki.0),
        server_spki: hex::encode(binding.peer_spki.0),
        exporter: hex::encode(binding.exporter.0),
    }
}

/// A field that is not what the protocol says. Refused with `field-invalid`.
pub(super) fn field<T>(name: &str, value: Option<T>, expected: &str) -> Result<T, Refused> {
    value.ok_or_else(|| Refused::new(NodeCode::FieldInvalid.into(), format_args!("another {name}"), expected))
}
