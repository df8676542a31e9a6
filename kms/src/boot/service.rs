//! The gRPC face of `Boot`: fields to types, refusals that are in the books to statuses, and nothing else.

use std::sync::Arc;

use kms_attestation::ids::Nonce;
use kms_proto::v1::boot_server::Boot;
use kms_proto::v1::{
    ChallengeRequest, ChallengeResponse, GetAppKeysRequest, GetAppKeysResponse, NodeEvidence, QuoteBinding,
    SignAppCertificateRequest, SignAppCertificateResponse,
};
use tonic::{Request, Response, Status};

use super::certificate;
use super::session::{Session, field, no_client_certificate};
use crate::node::Node;
use crate::node::certificate::quote;
use crate::record::Entered;
use crate::refusal::{NodeCode, Refused, status};
use crate::server::{Challenge, ClientKey, Connection};

/// The `Boot` service of a node.
pub(crate) struct BootService {
    node: Arc<Node>,
}

impl BootService {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    async fn challenge(
        &self,
        connection: &Connection,
        request: ChallengeRequest,
    ) -> Result<ChallengeResponse, Refused> {
        let client = connection.client.as_ref().ok_or_else(no_client_certificate)?;
        let client_nonce = Nonce::try_from(&request.client_nonce[..]).ok();
        let client_nonce = field("client_nonce", client_nonce, "32 bytes")?;
        let mut nonce = [0; 32];
        let failed = |_| Refused::new(NodeCode::Internal.into(), "no randomness", "a nonce");
        getrandom::fill(&mut nonce).map_err(failed)?;
        let lifetime = self.node.nonce_lifetime;
        let challenge = connection.open_challenge(client_nonce, Nonce(nonce), lifetime);
        let node = if request.fresh {
            self.fresh_evidence(connection, &challenge, client).await?
        } else {
            self.node.evidence(connection.certificate.quote(), QuoteBinding::Certificate).await?
        };
        Ok(ChallengeResponse {
            server_nonce: nonce.to_vec(),
            nonce_lifetime_seconds: u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX),
            node: Some(node),
        })
    }

    async fn fresh_evidence(
        &self,
        connection: &Connection,
        challenge: &Challenge,
        client: &ClientKey,
    ) -> Result<NodeEvidence, Refused> {
        let limited =
            |_| Refused::new(NodeCode::Overloaded.into(), "too many fresh quotes", "fewer in a minute");
        self.node.fresh_quotes.check().map_err(limited)?;
        let binding = connection.node_binding(challenge, client);
        let own = quote(&self.node.platform, binding.report_data()).await?;
        self.node.evidence(&own, QuoteBinding::Session).await
    }

    async fn release(
        &self,
        connection: &Connection,
        request: GetAppKeysRequest,
    ) -> Result<GetAppKeysResponse, Entered> {
        let counted = |refused| self.node.books.count(refused);
        let session = Session::open(&self.node, connection).map_err(counted)?;
        let release = session.attest(request).await?.authorise().await?.record().await?;
        let response = release.keys().map_err(counted)?;
        connection.note_release(release.released());
        Ok(response)
    }
}

#[tonic::async_trait]
impl Boot for BootService {
    async fn challenge(
        &self,
        request: Request<ChallengeRequest>,
    ) -> Result<Response<ChallengeResponse>, Status> {
        let connection = connection(&request)?;
        let answer = Self::challenge(self, &connection, request.into_inner()).await;
        let answer = answer.map_err(|refused| self.node.books.count(refused));
        answer.map(Response::new).map_err(|entered| refuse("Challenge", &connection, &entered))
    }

    async fn get_app_keys(
        &self,
        request: Request<GetAppKeysRequest>,
    ) -> Result<Response<GetAppKeysResponse>, Status> {
        let connection = connection(&request)?;
        let answer = self.release(&connection, request.into_inner()).await;
        answer.map(Response::new).map_err(|entered| refuse("GetAppKeys", &connection, &entered))
    }

    async fn sign_app_certificate(
        &self,
        request: Request<SignAppCertificateRequest>,
    ) -> Result<Response<SignAppCertificateResponse>, Status> {
        let connection = connection(&request)?;
        // On the heap: it is too large for the stack of whoever polls it.
        let answer = Box::pin(certificate::sign(&self.node, &connection, request.into_inner())).await;
        answer.map(Response::new).map_err(|entered| refuse("SignAppCertificate", &connection, &entered))
    }
}

/// What the request came over. Every connection has it; without it, nothing is answered.
fn connection<T>(request: &Request<T>) -> Result<Arc<Connection>, Status> {
    let connection = request.extensions().get::<Arc<Connection>>();
    connection.cloned().ok_or_else(|| Status::internal("no connection"))
}

fn refuse(method: &'static str, connection: &Connection, entered: &Entered) -> Status {
    tracing::info!(method, peer = %connection.peer, refused = %entered.refused(), "refused");
    status(entered)
}
