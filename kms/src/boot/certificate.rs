//! Leaf certificates for an app that has been given its keys on the same connection.
//!
//! The key that is certified is that of the client's certificate, which the handshake has proven to be the caller's, and
//! which the app's quote was bound to. Names and usages are wishes; policy decides.

use std::collections::BTreeSet;
use std::sync::Arc;

use kms_proto::v1::{SignAppCertificateRequest, SignAppCertificateResponse};

use super::release::{reference_message, underivable};
use super::session::{Draft, no_client_certificate, unrecorded};
use crate::keys::{DnsName, LeafPublicKey, LeafRequest, LeafUsage, Lifetime, PolicyError};
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
    let client = connection.client.as_ref().ok_or_else(no_client_certificate)?;
    let app_id = connection.released_to().ok_or_else(not_released)?;
    node.standing.check()?;
    let request = parse(&client.spki_der, &request).map_err(|error| refused(&error))?;
    let (now, policy) = (node.now(), &node.certificate_policy);
    let ca = node.root.app_ca(app_id, policy, now).map_err(|error| underivable(&error))?;
    let leaf = ca.issue_leaf(&request, policy, now).map_err(|error| refused(&error))?;
    let evidence = EvidenceStamp { certificate: digest(&leaf.der), ..EvidenceStamp::default() };
    let draft = Draft { evidence, ..Draft::new(Subject::AppCertificate { app_id }, now) };
    let released = vec!["app-certificate"];
    let outcome = Outcome::Allow { block: None, root_epoch: node.root.epoch().0, released };
    let reference = node.recorder.append(&draft.record(node, outcome)).await;
    let reference = reference.map_err(|fault| unrecorded(&fault))?;
    let chain = vec![leaf.der, ca.certificate().der.clone(), node.root.root_ca().certificate().to_vec()];
    Ok(SignAppCertificateResponse { chain, record: Some(reference_message(reference)) })
}

fn parse(spki_der: &[u8], request: &SignAppCertificateRequest) -> Result<LeafRequest, PolicyError> {
    let names =
        request.dns_names.iter().map(|name| DnsName::parse(name)).collect::<Result<BTreeSet<_>, _>>()?;
    let wanted = [(request.server, LeafUsage::Server), (request.client, LeafUsage::Client)];
    Ok(LeafRequest {
        public_key: LeafPublicKey::from_spki_der(spki_der)?,
        names,
        usages: wanted.into_iter().filter_map(|(asked, usage)| asked.then_some(usage)).collect(),
        lifetime: Lifetime::from_secs(request.lifetime_seconds)?,
    })
}

fn refused(error: &PolicyError) -> Refused {
    Refused::new(NodeCode::CertificateRefused.into(), error, "what policy grants")
}

fn not_released() -> Refused {
    Refused::new(NodeCode::KeysNotReleased.into(), "a connection without a release", "one with a release")
}
