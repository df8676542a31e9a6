//! The `Audit` service: the latest checkpoint of this node's log, and proofs about it.
//!
//! What is answered is public, and proves itself. Threat: a caller who has proofs made without end: they are work of the
//! same bounded pool as everything else.

use std::sync::Arc;

use kms_ledger::hash::TreeHash;
use kms_ledger::store::{Store, StoreFault};
use kms_proto::v1::audit_server::Audit;
use kms_proto::v1::{
    GetCheckpointRequest, GetCheckpointResponse, GetConsistencyProofRequest, GetConsistencyProofResponse,
    GetInclusionProofRequest, GetInclusionProofResponse,
};
use tonic::{Request, Response, Status};

use crate::node::Node;
use crate::refusal::{NodeCode, Refused, status};

/// The `Audit` service of a node.
pub(crate) struct AuditService {
    node: Arc<Node>,
    ledger: Arc<Store>,
}

impl AuditService {
    pub(crate) fn new(node: Arc<Node>, ledger: Arc<Store>) -> Self {
        Self { node, ledger }
    }

    async fn inclusion(&self, index: u64) -> Result<GetInclusionProofResponse, Refused> {
        let ledger = Arc::clone(&self.ledger);
        let proof = self.node.workers.run(move || {
            let checkpoint = ledger.checkpoint()?;
            ledger.inclusion(index, checkpoint.size).map(|hashes| (checkpoint, hashes))
        });
        let (checkpoint, hashes) = proof.await?.map_err(|fault| unproven(&fault))?;
        Ok(GetInclusionProofResponse { checkpoint: checkpoint.note, hashes: wire(hashes) })
    }

    async fn consistency(&self, old: u64, new: u64) -> Result<GetConsistencyProofResponse, Refused> {
        let ledger = Arc::clone(&self.ledger);
        let proof = self.node.workers.run(move || ledger.consistency(old, new));
        let hashes = proof.await?.map_err(|fault| unproven(&fault))?;
        Ok(GetConsistencyProofResponse { hashes: wire(hashes) })
    }
}

fn wire(hashes: Vec<TreeHash>) -> Vec<Vec<u8>> {
    hashes.into_iter().map(|hash| hash.0.to_vec()).collect()
}

fn unproven(fault: &StoreFault) -> Refused {
    Refused::new(NodeCode::FieldInvalid.into(), fault, "sizes and indices of the log as it is")
}

#[tonic::async_trait]
impl Audit for AuditService {
    async fn get_checkpoint(
        &self,
        _request: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        let checkpoint = self.ledger.checkpoint().map_err(|fault| status(&unproven(&fault), None))?;
        Ok(Response::new(GetCheckpointResponse { checkpoint: checkpoint.note }))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<GetInclusionProofRequest>,
    ) -> Result<Response<GetInclusionProofResponse>, Status> {
        let answer = self.inclusion(request.into_inner().index).await;
        answer.map(Response::new).map_err(|refused| status(&refused, None))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<GetConsistencyProofRequest>,
    ) -> Result<Response<GetConsistencyProofResponse>, Status> {
        let GetConsistencyProofRequest { old_size, new_size } = request.into_inner();
        let answer = self.consistency(old_size, new_size).await;
        answer.map(Response::new).map_err(|refused| status(&refused, None))
    }
}
