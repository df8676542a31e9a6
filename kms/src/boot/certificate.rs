//! Leaf certificates for an app that has been given its keys on the same connection.
//!
//! The connection says which app it is; the chain is asked once more, so that a revocation ends certificates too; the
//! request proves that the app holds the key, and says what it would like; policy decides.

use std::sync::Arc;

use kms_attestation::refusal::Refusal;
use kms_ledger::record::Subject;
use kms_proto::v1::{SignAppCertificateRequest, SignAppCertificateResponse};

use super::release::{reference, underivable};
use super::session::Ended;
use crate::keys::{LeafRequest, Lifetime};
use crate::node::Node;
use crate::record::{Budget, Draft};
use crate::refusal::{Code, NodeCode, Refused};
use crate::server::{Connection, Released};

/// Issues a certificate, once that is recorded.
pub(super) async fn sign(
    node: &Arc<Node>,
    connection: &Connection,
    request: SignAppCertificateRequest,
) -> Result<SignAppCertificateResponse, Ended> {
    let Released { identity, question, record } = connection.released().ok_or_else(not_released)?;
    node.may_release()?;
    let lifetime = Lifetime::from_secs(request.lifetime_seconds).map_err(Refusal::lift::<Code>)?;
    let request =
        LeafRequest::from_csr(&request.certificate_request, lifetime).map_err(Refusal::lift::<Code>)?;
    node.quotas.take(identity.app_id, identity.device_id)?;
    let moment = node.moment();
    let now = moment.time;
    let budget = Budget::Device(identity.device_id);
    let mut draft = Draft::new(Subject::AppCertificate, moment);
    draft.follow(record);
    draft.identify(&identity);
    let reading = match node.chain.ask(&question, now).await {
        Ok(reading) => reading,
        Err(refused) => return Err(draft.deny(node, budget, refused.lift()).await.into()),
    };
    draft.witness(reading.witness());
    let (decision, _) = reading.into_parts();
    if let Some(denial) = decision.denial {
        return Err(draft.deny(node, budget, denial.lift()).await.into());
    }
    let policy = &node.certificate_policy;
    let ca = node.root.app_ca(identity.app_id, policy, now).map_err(|error| underivable(&error))?;
    let leaf = ca.issue_leaf(&request, policy, now).map_err(Refusal::lift::<Code>)?;
    draft.certificate(leaf.der.clone().into());
    let appended = draft.allow(node, &decision).await?;
    let chain = vec![leaf.der, ca.certificate().der.clone(), node.root.root_ca().certificate().to_vec()];
    Ok(SignAppCertificateResponse { chain, record: Some(reference(&appended)) })
}

fn not_released() -> Refused {
    Refused::new(NodeCode::KeysNotReleased.into(), "a connection without a release", "one with a release")
}
