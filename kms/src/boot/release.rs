//! From a proven app to its keys: what the chain says, the record, and only then the derivation.

use std::sync::Arc;

use kms_chain::Question;
use kms_ledger::store::Appended;
use kms_proto::v1::{AppKeys, GetAppKeysResponse, RecordReference};
use kms_verdict::{Allowed, Verdict};

use super::session::{Attested, Session};
use crate::keys::KeyError;
use crate::node::Node;
use crate::record::{Budget, Draft, Entered};
use crate::refusal::{NodeCode, Refused};
use crate::server::Released;

/// A release on its way.
pub(crate) struct Release<State> {
    node: Arc<Node>,
    /// The time of the decision, in Unix seconds.
    now: u64,
    allowed: Box<Allowed>,
    state: State,
}

/// The verdict allows it.
pub(crate) struct Authorised(Draft);

/// The record of it is on disk.
pub(crate) struct Recorded(Appended);

impl Session<Attested> {
    /// Asks the chain. Denials are recorded; a chain that cannot be asked is none, and denies nothing about the app.
    pub(crate) async fn authorise(self) -> Result<Release<Authorised>, Entered> {
        let Self { node, mut draft, state: Attested { app } } = self;
        let budget = Budget::Device(app.identity().device_id);
        let reading = match node.chain.ask(&app.question(), draft.now()).await {
            Ok(reading) => reading,
            Err(refused) => return Err(draft.deny(&node, budget, refused.lift()).await),
        };
        let verdict = app.conclude(node.judge.anchor(), &reading);
        let (_, witness) = reading.into_parts();
        draft.exhibits.witness = Some(witness);
        match verdict {
            Verdict::Allow(allowed) => {
                Ok(Release { node, now: draft.now(), allowed, state: Authorised(draft) })
            }
            Verdict::Deny(denial) => Err(draft.deny(&node, budget, denial.lift()).await),
        }
    }
}

impl Release<Authorised> {
    /// Records it, for good. Refused with `record-unavailable`.
    pub(crate) async fn record(self) -> Result<Release<Recorded>, Entered> {
        let Self { node, now, allowed, state: Authorised(draft) } = self;
        let appended = draft.allow(&node, &allowed.decision).await?;
        Ok(Release { node, now, allowed, state: Recorded(appended) })
    }
}

impl Release<Recorded> {
    /// Whom it is for.
    pub(crate) fn released(&self) -> Released {
        let identity = self.allowed.identity.clone();
        let question = Question::App(self.allowed.boot_info.clone());
        Released { identity, question, record: self.state.0.index }
    }

    /// The keys. The one place that derives an app's keys for a release.
    pub(crate) fn keys(&self) -> Result<GetAppKeysResponse, Refused> {
        let Self { node, now, allowed, state: Recorded(appended) } = self;
        let identity = &allowed.identity;
        let policy = &node.certificate_policy;
        let keys = node.root.app_keys(identity.app_id, identity.instance_id, policy, *now);
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
            record: Some(reference(appended)),
        })
    }
}

pub(super) fn reference(appended: &Appended) -> RecordReference {
    RecordReference { index: appended.index, leaf_hash: appended.leaf.0.to_vec() }
}

pub(super) fn underivable(error: &KeyError) -> Refused {
    Refused::new(NodeCode::Internal.into(), error, "keys")
}
