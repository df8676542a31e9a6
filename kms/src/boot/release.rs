//! From a proven app to its keys: what the chain says, the record, and only then the derivation.

use std::sync::Arc;

use kms_attestation::refusal::Refusal;
use kms_chain::Question;
use kms_proto::v1::{AppKeys, GetAppKeysResponse};
use kms_verdict::{Allowed, Verdict};

use super::session::{Attested, Draft, Ended, Session, unrecorded};
use crate::keys::KeyError;
use crate::node::Node;
use crate::record::{Outcome, RecordReference};
use crate::refusal::{NodeCode, Refused};
use crate::server::Released;

/// What a release hands over, as a record names it.
const RELEASED: [&str; 3] = ["app-disk", "app-env", "app-signing"];

/// A release on its way.
pub(crate) struct Release<State> {
    node: Arc<Node>,
    draft: Draft,
    allowed: Box<Allowed>,
    state: State,
}

/// The verdict allows it.
pub(crate) struct Authorised;

/// The record of it is on disk.
pub(crate) struct Recorded(RecordReference);

impl Session<Attested> {
    /// Asks the chain. Denials are recorded; a chain that cannot be asked is none, and denies nothing about the app.
    pub(crate) async fn authorise(self) -> Result<Release<Authorised>, Ended> {
        let Self { node, mut draft, state: Attested { app } } = self;
        let reading = node.chain.ask(&app.question(), draft.now).await.map_err(Refusal::lift);
        let reading = match reading {
            Ok(reading) => reading,
            Err(refused) => return Err(draft.deny(&node, refused).await.into()),
        };
        draft.evidence.witness = Some(hex::encode(reading.witness().digest()));
        match app.conclude(node.judge.anchor(), &reading) {
            Verdict::Allow(allowed) => Ok(Release { node, draft, allowed, state: Authorised }),
            Verdict::Deny(denial) => Err(draft.deny(&node, denial.lift()).await.into()),
        }
    }
}

impl Release<Authorised> {
    /// Records it, for good. Refused with `record-unavailable`.
    pub(crate) async fn record(self) -> Result<Release<Recorded>, Refused> {
        let Self { node, draft, allowed, state: Authorised } = self;
        let outcome = Outcome::Allow {
            block: allowed.decision.latest,
            root_epoch: node.root.epoch().0,
            released: RELEASED.to_vec(),
        };
        let record = draft.record(&node, outcome);
        let reference = node.recorder.append(&record).await.map_err(|fault| unrecorded(&fault))?;
        Ok(Release { node, draft, allowed, state: Recorded(reference) })
    }
}

impl Release<Recorded> {
    /// Whom it is for.
    pub(crate) fn released(&self) -> Released {
        let identity = self.allowed.identity.clone();
        Released { identity, question: Question::App(self.allowed.boot_info.clone()) }
    }

    /// The keys. The one place that derives an app's keys for a release.
    pub(crate) fn keys(&self) -> Result<GetAppKeysResponse, Refused> {
        let Self { node, draft, allowed, state: Recorded(reference) } = self;
        let identity = &allowed.identity;
        let policy = &node.certificate_policy;
        let keys = node.root.app_keys(identity.app_id, identity.instance_id, policy, draft.now);
        let keys = keys.map_err(|error| underivable(&error))?;
        let statements = &keys.statements;
        Ok(GetAppKeysResponse {
            keys: Some(AppKeys {
                root_epoch: keys.epoch.0,
                disk_key: keys.disk_key.expose().to_vec(),
                env_private_key: keys.env_key.expose().to_vec(),
                signing_key: keys.signing_key.expose().to_vec(),
                signing_key_signature: statements.endorsement.to_bytes().to_vec(),
                ca_chain: vec![statements.ca_certificate.clone(), node.root.root_ca().certificate().to_vec()],
            }),
            record: Some(reference_message(*reference)),
        })
    }
}

pub(super) fn reference_message(reference: RecordReference) -> kms_proto::v1::RecordReference {
    kms_proto::v1::RecordReference { index: reference.index, digest: reference.digest.to_vec() }
}

pub(super) fn underivable(error: &KeyError) -> Refused {
    Refused::new(NodeCode::Internal.into(), error, "keys")
}
