//! The `Public` service: what anyone may know. Nothing in it is secret, and nothing in it is believed without a check.

use std::sync::Arc;

use kms_attestation::ids::AppId;
use kms_chain::HeadEvidence;
use kms_proto::v1::public_server::Public;
use kms_proto::v1::{
    ChainHead, GetAppEnvPublicKeyRequest, GetAppEnvPublicKeyResponse, GetNodeInfoRequest,
    GetNodeInfoResponse, LogInfo, QuoteBinding, RootPublicKeys,
};
use tonic::{Request, Response, Status};

use crate::keys::SignedEnvKey;
use crate::node::{Node, SOFTWARE};
use crate::refusal::{NodeCode, Refused, status};

/// The `Public` service of a node.
pub(crate) struct PublicService {
    node: Arc<Node>,
}

impl PublicService {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    async fn env_key(
        &self,
        request: GetAppEnvPublicKeyRequest,
    ) -> Result<GetAppEnvPublicKeyResponse, Refused> {
        let app_id = <[u8; 20]>::try_from(&request.app_id[..])
            .map(AppId)
            .map_err(|_| Refused::new(NodeCode::FieldInvalid.into(), "another app_id", "20 bytes"))?;
        let (node, now) = (Arc::clone(&self.node), self.node.now());
        // A derivation and a signature: bounded as every other work.
        let signed = self.node.workers.run(move || node.root.signed_env_key(app_id, now)).await?;
        let SignedEnvKey { statement, signature } =
            signed.map_err(|error| Refused::new(NodeCode::Internal.into(), error, "a key"))?;
        Ok(GetAppEnvPublicKeyResponse {
            root_epoch: statement.epoch.0,
            public_key: statement.public_key.as_bytes().to_vec(),
            timestamp: statement.timestamp,
            signature: signature.to_bytes().to_vec(),
        })
    }

    async fn info(&self) -> Result<GetNodeInfoResponse, Refused> {
        let node = &self.node;
        let certificate = node.certificate();
        let heads = node.chain.feed().current().ok();
        let anchor = node.judge.anchor();
        Ok(GetNodeInfoResponse {
            version: SOFTWARE.to_owned(),
            root: Some(RootPublicKeys {
                epoch: node.root.epoch().0,
                k256_public_key: node.root.root_signer().public_key().to_compressed().to_vec(),
                ca_certificate: node.root.root_ca().certificate().to_vec(),
            }),
            node: Some(node.evidence(certificate.quote(), QuoteBinding::Certificate).await?),
            chain_id: anchor.chain_id(),
            kms_contract: anchor.contract().to_vec(),
            latest: heads.as_ref().map(|heads| head(&heads.latest)),
            finalized: heads.as_ref().map(|heads| head(&heads.finalized)),
            policy_digest: node.stamp.policy().0.to_vec(),
            insecure_settings: node.insecure_settings.clone(),
            log: Some(log(node)),
        })
    }
}

fn log(node: &Node) -> LogInfo {
    let newest = node.witnesses.said().newest;
    LogInfo {
        origin: node.log.origin.clone(),
        public_key: node.log.public_key.to_vec(),
        witnesses: node.witnesses.keys().iter().map(ToString::to_string).collect(),
        witness_quorum: u32::try_from(node.witnesses.quorum()).unwrap_or(u32::MAX),
        witnessed_size: newest.map(|newest| newest.size),
        witnessed_at: newest.map(|newest| newest.time),
    }
}

fn head(evidence: &HeadEvidence) -> ChainHead {
    let header = &evidence.header;
    ChainHead { number: header.number(), hash: header.hash().to_vec(), timestamp: header.timestamp() }
}

#[tonic::async_trait]
impl Public for PublicService {
    async fn get_app_env_public_key(
        &self,
        request: Request<GetAppEnvPublicKeyRequest>,
    ) -> Result<Response<GetAppEnvPublicKeyResponse>, Status> {
        let answer = self.env_key(request.into_inner()).await;
        answer.map(Response::new).map_err(|refused| status(&self.node.books.count(refused)))
    }

    async fn get_node_info(
        &self,
        _request: Request<GetNodeInfoRequest>,
    ) -> Result<Response<GetNodeInfoResponse>, Status> {
        let answer = self.info().await;
        answer.map(Response::new).map_err(|refused| status(&self.node.books.count(refused)))
    }
}
