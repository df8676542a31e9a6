//! Leaf certificates for an app that has been given its keys on the same connection.
//!
//! The connection says which app it is; the chain is asked once more, so that a revocation ends certificates too; the
//! request proves that the app holds the key, and says what it would like; policy decides.

use std::sync::Arc;

use kms_attestation::refusal::Refusal;
use kms_proto::v1::{SignAppCertificateRequest, SignAppCertificateResponse};

use super::release::{reference_message, underivable};
use super::session::{Draft, Ended, unrecorded};
use crate::keys::{LeafRequest, Lifetime};
use crate::node::Node;
use crate::record::{Outcome, Subject, digest};
use crate::refusal::{Code, NodeCode, Refused};
use crate::server::{Connection, Released};

/// Issues a certificate, once that is recorded.
pub(super) async fn sign(
    node: &Arc<Node>,
    connection: &Connection,
    request: SignAppCertificateRequest,
) -> Result<SignAppCertificateResponse, Ended> {
    let Released { identity, question } = connection.released().ok_or_else(not_released)?;
    node.standing.check()?;
    let lifetime = Lifetime::from_secs(request.lifetime_seconds).map_err(Refusal::lift::<Code>)?;
    let request =
        LeafRequest::from_csr(&request.certificate_request, lifetime).map_err(Refusal::lift::<Code>)?;
    node.quotas.take(identity.app_id, identity.device_id)?;
    let now = node.now();
    let reading = node.chain.ask(&question, now).await.map_err(Refusal::lift::<Code>)?;
    let mut draft = Draft::new(Subject::AppCertificate, now);
    draft.evidence.witness = Some(hex::encode(reading.witness().digest()));
    draft.identity = Some(identity.clone());
    let (decision, _) = reading.into_parts();
    if let Some(denial) = decision.denial {
        return Err(draft.deny(node, denial.lift()).await.into());
    }
    let policy = &node.certificate_policy;
    let ca = node.root.app_ca(identity.app_id, policy, now).map_err(|error| underivable(&error))?;
    let leaf = ca.issue_leaf(&request, policy, now).map_err(Refusal::lift::<Code>)?;
    draft.evidence.certificate = Some(digest(&leaf.der));
    let block = decision.latest;
    let released = vec!["app-certificate"];
    let outcome = Outcome::Allow { block, root_epoch: node.root.epoch().0, released };
    let reference = node.recorder.append(&draft.record(node, outcome)).await;
    let reference = reference.map_err(|fault| unrecorded(&fault))?;
    let chain = vec![leaf.der, ca.certificate().der.clone(), node.root.root_ca().certificate().to_vec()];
    Ok(SignAppCertificateResponse { chain, record: Some(reference_message(reference)) })
}

fn not_released() -> Refused {
    Refused::new(NodeCode::KeysNotReleased.into(), "a connection without a release", "one with a release")
}
