//! Leaf certificates for an app that has been given its keys on the same connection.
//!
//! The connection says which app it is; the request proves that the app holds the key, and says what it would like; policy
//! decides; the chain is asked once more, so that a revocation ends certificates too. A refusal is the app's, who is proven:
//! it is recorded as one of a genuine quote is.

use std::sync::Arc;

use kms_attestation::ids::AppId;
use kms_attestation::refusal::Refusal;
use kms_ledger::record::Subject;
use kms_proto::v1::{SignAppCertificateRequest, SignAppCertificateResponse};

use super::release::{reference, underivable};
use crate::keys::{AppCa, CertificateDeny, CertificatePolicy, Certified, LeafRequest, Lifetime};
use crate::node::Node;
use crate::record::{Budget, Draft, Entered};
use crate::refusal::{NodeCode, Refused};
use crate::server::{Connection, Released};

/// Issues a certificate, once that is recorded.
pub(super) async fn sign(
    node: &Arc<Node>,
    connection: &Connection,
    request: SignAppCertificateRequest,
) -> Result<SignAppCertificateResponse, Entered> {
    let counted = |refused| node.books.count(refused);
    let Released { identity, question, record } =
        connection.released().ok_or_else(not_released).map_err(counted)?;
    node.may_release().map_err(counted)?;
    let share = node.quotas.take(identity.app_id, identity.device_id);
    share.map_err(|limited| node.books.count_limited(limited))?;
    let budget = Budget::Device(identity.device_id);
    let mut draft = Draft::new(Subject::AppCertificate, node.moment());
    draft.follow(record);
    draft.identify(&identity);
    let request = match wished(&request, identity.app_id, &node.certificate_policy) {
        Ok(request) => request,
        Err(refused) => return Err(draft.deny(node, budget, refused.lift()).await),
    };
    let now = draft.now();
    let reading = match node.chain.ask(&question, now).await {
        Ok(reading) => reading,
        Err(refused) => return Err(draft.deny(node, budget, refused.lift()).await),
    };
    let (decision, witness) = reading.into_parts();
    draft.exhibits.witness = Some(witness);
    if let Some(denial) = decision.denial {
        return Err(draft.deny(node, budget, denial.lift()).await);
    }
    let (ca, leaf) = issue(node, identity.app_id, &request, now).map_err(counted)?;
    draft.exhibits.certificate = Some(leaf.der.clone().into());
    let appended = draft.allow(node, &decision).await?;
    let chain = vec![leaf.der, ca.certificate().der.clone(), node.root.root_ca().certificate().to_vec()];
    Ok(SignAppCertificateResponse { chain, record: Some(reference(&appended)) })
}

/// What is asked for, where policy grants it. Refused before anybody is asked, so that a record of it needs no witness.
fn wished(
    request: &SignAppCertificateRequest,
    app: AppId,
    policy: &CertificatePolicy,
) -> Result<LeafRequest, CertificateDeny> {
    let lifetime = Lifetime::from_secs(request.lifetime_seconds)?;
    let request = LeafRequest::from_csr(&request.certificate_request, lifetime)?;
    policy.check_leaf(&app, &request)?;
    Ok(request)
}

/// The certificate, and the CA that signed it. What was granted can be issued: a failure is the node's own.
fn issue(node: &Node, app: AppId, request: &LeafRequest, now: u64) -> Result<(AppCa, Certified), Refused> {
    let policy = &node.certificate_policy;
    let ca = node.root.app_ca(app, policy, now).map_err(|error| underivable(&error))?;
    let leaf = ca.issue_leaf(request, policy, now).map_err(Refusal::lift)?;
    Ok((ca, leaf))
}

fn not_released() -> Refused {
    Refused::new(NodeCode::KeysNotReleased.into(), "a connection without a release", "one with a release")
}
