//! From a connection with an open challenge to an app that is proven to be who it is.
//!
//! A refusal of a genuine quote is recorded with its evidence: it takes hardware to make one. What fails before is sampled
//! and counted. Nobody is refused but by what the books give back. Threat: a caller who fills the disk.

use std::sync::Arc;

use bytes::Bytes;
use kms_attestation::ids::DeviceId;
use kms_attestation::{BootIdentity, CheckedCollateral, DenyReason, SessionBinding};
use kms_ledger::record::Subject;
use kms_proto::v1::GetAppKeysRequest;
use kms_verdict::{AttestedApp, BootEvidence, SessionQuote};

use crate::node::Node;
use crate::record::{Budget, Draft, Entered, unrecorded};
use crate::refusal::{Code, NodeCode, Refused};
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

impl Session<Connected> {
    /// Takes the connection's challenge. Refused with `client-certificate-missing`, `challenge-missing`,
    /// `challenge-expired`, `log-contradicted`, `log-unwitnessed` or `node-not-allowed`.
    pub(crate) fn open(node: &Arc<Node>, connection: &Connection) -> Result<Self, Refused> {
        let client = connection.client.as_ref().ok_or_else(no_client_certificate)?;
        let challenge = connection.take_challenge().map_err(no_challenge)?;
        node.may_release()?;
        let binding = connection.client_binding(&challenge, client);
        let mut draft = Draft::new(Subject::AppKeys, node.moment());
        draft.bind(&binding);
        Ok(Self { node: Arc::clone(node), draft, state: Connected { binding } })
    }

    /// Establishes who asks.
    pub(crate) async fn attest(self, request: GetAppKeysRequest) -> Result<Session<Attested>, Entered> {
        let Self { node, mut draft, state: Connected { binding } } = self;
        let presented = Presented::from(request);
        draft.exhibits.quote = Some(presented.quote.clone());
        let quote = match presented.evidence(binding).session_quote(node.judge.verifier()) {
            Ok(quote) => quote,
            Err(reason) => return Err(draft.deny(&node, Budget::Sample, reason.lift()).await),
        };
        draft.exhibits.event_log = Some(presented.event_log.clone());
        draft.exhibits.os_image_manifest = Some(presented.os_image_manifest.clone());
        let collateral = match node.collateral(quote.quote().platform(), draft.now()).await {
            Ok(collateral) => collateral,
            Err(refused) => return Err(draft.deny(&node, Budget::Sample, refused).await),
        };
        draft.exhibits.collateral = Some(Arc::clone(&collateral));
        let judged = {
            let (node_there, now) = (Arc::clone(&node), draft.now());
            let judge = move || judge(&node_there, &presented.evidence(binding), &quote, &collateral, now);
            node.workers.run(judge).await.map_err(|refused| node.books.count(refused))?
        };
        match judged {
            Judged::NotGenuine(reason) => Err(draft.deny(&node, Budget::Sample, reason.lift::<Code>()).await),
            Judged::Denied { device, identity, since, refused } => {
                draft.out_of_date_since(since);
                if let Some(identity) = identity {
                    draft.identify(&identity);
                }
                Err(draft.deny(&node, Budget::Device(device), refused).await)
            }
            Judged::Attested { app, since } => {
                let identity = app.identity();
                draft.identify(identity);
                draft.out_of_date_since(since);
                let share = node.quotas.take(identity.app_id, identity.device_id);
                share.map_err(|limited| node.books.count_limited(limited))?;
                Ok(Session { node, draft, state: Attested { app: *app } })
            }
        }
    }
}

/// What a guest presents. Cheap to clone: the record keeps it too.
struct Presented {
    quote: Bytes,
    event_log: Bytes,
    os_image_manifest: Bytes,
}

impl From<GetAppKeysRequest> for Presented {
    fn from(request: GetAppKeysRequest) -> Self {
        let GetAppKeysRequest { quote, event_log, os_image_manifest } = request;
        Self { quote: quote.into(), event_log: event_log.into(), os_image_manifest: os_image_manifest.into() }
    }
}

impl Presented {
    fn evidence(&self, binding: SessionBinding) -> BootEvidence<'_> {
        let Self { quote, event_log, os_image_manifest } = self;
        BootEvidence { quote, event_log, os_image_manifest, binding }
    }
}

/// What became of evidence.
enum Judged {
    NotGenuine(DenyReason),
    Denied { device: DeviceId, identity: Option<Box<BootIdentity>>, since: Option<u64>, refused: Refused },
    Attested { app: Box<AttestedApp>, since: Option<u64> },
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
    let device = genuine.quote().platform().ppid.device_id();
    let denied = |identity, since, reason: DenyReason| Judged::Denied {
        device,
        identity,
        since,
        refused: reason.lift(),
    };
    let app = match genuine.identify(policy, evidence) {
        Ok(app) => app,
        Err(reason) => return denied(None, None, reason),
    };
    let identity = app.identity().clone();
    let since = match node.history.observe(app.quote(), now) {
        Ok(since) => since,
        Err(error) => {
            let refused = unrecorded(format_args!("writing the platform history: {}", error.kind()));
            return Judged::Denied { device, identity: Some(Box::new(identity)), since: None, refused };
        }
    };
    match app.appraise(policy, since) {
        Ok(app) => Judged::Attested { app: Box::new(app), since },
        Err(reason) => denied(Some(Box::new(identity)), since, reason),
    }
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

/// A field that is not what the protocol says. Refused with `field-invalid`.
pub(super) fn field<T>(name: &str, value: Option<T>, expected: &str) -> Result<T, Refused> {
    value.ok_or_else(|| Refused::new(NodeCode::FieldInvalid.into(), format_args!("another {name}"), expected))
}
