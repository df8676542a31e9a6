//! Leaf certificates for an app that has been given its keys on the same connection.
//!
//! The connection says which app it is; the request proves that the app holds the key, and says what it would like. Policy
//! decides. The chain is not asked again: the app was allowed on this very connection, which ends within minutes, and it
//! holds its CA's key.

use std::sync::Arc;

use kms_attestation::refusal::Refusal;
use kms_proto::v1::{SignAppCertificateRequest, SignAppCertificateResponse};

use super::release::{reference_message, underivable};
use super::session::{Draft, unrecorded};
use crate::keys::{LeafRequest, Lifetime};
use crate::node::Node;
use crate::record::{EvidenceStamp, Outcome, Subject, digest};
use crate::refusal::{NodeCode, Refused};
use crate::server::Connection;

/// Issues a certificate, once that is recorded.
pub(super) async fn sign(
    node: &Arc<Node>,
    connection: &Connection,
    request: SignAppCertificateRequest,
) -> Result<SignAppCertificateResponse, Refused> {
    let app_id = connection.released_to().ok_or_else(not_released)?;
    node.standing.check()?;
    let lifetime = Lifetime::from_secs(request.lifetime_seconds).map_err(Refusal::lift)?;
    let request = LeafRequest::from_csr(&request.certificate_request, lifetime).map_err(Refusal::lift)?;
    let (now, policy) = (node.now(), &node.certificate_policy);
    let ca = node.root.app_ca(app_id, policy, now).map_err(|error| underivable(&error))?;
    let leaf = ca.issue_leaf(&request, policy, now).map_err(Refusal::lift)?;
    let evidence = EvidenceStamp { certificate: digest(&leaf.der), ..EvidenceStamp::default() };
    let draft = Draft { evidence, ..Draft::new(Subject::AppCertificate { app_id }, now) };
    let released = vec!["app-certificate"];
    let outcome = Outcome::Allow { block: None, root_epoch: node.root.epoch().0, released };
    let reference = node.recorder.append(&draft.record(node, outcome)).await;
    let reference = reference.map_err(|fault| unrecorded(&fault))?;
    let chain = vec![leaf.der, ca.certificate().der.clone(), node.root.root_ca().certificate().to_vec()];
    Ok(SignAppCertificateResponse { chain, record: Some(reference_message(reference)) })
}

fn not_released() -> Refused {
    Refused::new(NodeCode::KeysNotReleased.into(), "a connection without a release", "one with a release")
}
