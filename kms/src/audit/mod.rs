//! The `Audit` service: the latest checkpoint of this node's log, and proofs about it.
//!
//! What is answered is public, and proves itself. A checkpoint that does not exist yet is waited for, within bounds. Threat:
//! a caller who asks without end: a proof is some reads of small files, and the connection's limits hold.

use std::sync::Arc;
use std::time::Duration;

use kms_ledger::SignedCheckpoint;
use kms_ledger::hash::TreeHash;
use kms_ledger::store::{Store, StoreFault};
use kms_proto::v1::audit_server::Audit;
use kms_proto::v1::{
    GetCheckpointRequest, GetCheckpointResponse, GetConsistencyProofRequest, GetConsistencyProofResponse,
    GetInclusionProofRequest, GetInclusionProofResponse,
};
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use crate::record::Books;
use crate::refusal::{NodeCode, Refused, status};

/// How long a caller waits for the next checkpoint: several times what one takes.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(10);

/// The `Audit` service of a node.
pub(crate) struct AuditService {
    ledger: Arc<Store>,
    books: Arc<Books>,
}

impl AuditService {
    pub(crate) const fn new(ledger: Arc<Store>, books: Arc<Books>) -> Self {
        Self { ledger, books }
    }

    /// A checkpoint of at least so many entries, as soon as there is one.
    async fn checkpoint(&self, size: u64) -> Result<Arc<SignedCheckpoint>, Refused> {
        let mut checkpoints = self.ledger.checkpoints();
        let published = checkpoints.wait_for(|checkpoint| checkpoint.checkpoint().size >= size);
        match timeout(PUBLISHED_WITHIN, published).await {
            Ok(Ok(checkpoint)) => Ok(Arc::clone(&checkpoint)),
            _ => Err(unpublished(&self.ledger)),
        }
    }

    async fn inclusion(&self, index: u64) -> Result<GetInclusionProofResponse, Refused> {
        let size = self.ledger.state().size;
        if index >= size {
            let expected = format!("below {size}, the size of the log");
            return Err(Refused::new(NodeCode::FieldInvalid.into(), index, expected));
        }
        let checkpoint = self.checkpoint(index + 1).await?;
        let hashes = self.ledger.inclusion(index, checkpoint.checkpoint().size).await;
        let hashes = wire(hashes.map_err(|fault| unproven(&fault))?);
        Ok(GetInclusionProofResponse { checkpoint: checkpoint.encode().into_bytes(), hashes })
    }

    async fn consistency(&self, old: u64, new: u64) -> Result<GetConsistencyProofResponse, Refused> {
        let hashes = self.ledger.consistency(old, new).await.map_err(|fault| unproven(&fault))?;
        Ok(GetConsistencyProofResponse { hashes: wire(hashes) })
    }
}

fn wire(hashes: Vec<TreeHash>) -> Vec<Vec<u8>> {
    hashes.into_iter().map(|hash| hash.0.to_vec()).collect()
}

fn unpublished(ledger: &Store) -> Refused {
    let state = ledger.state();
    let why = state.fault.map_or("it takes longer than usual".to_owned(), |fault| fault.to_string());
    let found = format!("{} of {} entries published: {why}", state.published, state.size);
    Refused::new(NodeCode::RecordUnavailable.into(), found, "a checkpoint of all of them")
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
        let checkpoint = Self::checkpoint(self, self.ledger.state().size).await;
        let checkpoint = checkpoint.map_err(|refused| status(&self.books.count(refused)))?;
        Ok(Response::new(GetCheckpointResponse { checkpoint: checkpoint.encode().into_bytes() }))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<GetInclusionProofRequest>,
    ) -> Result<Response<GetInclusionProofResponse>, Status> {
        let answer = self.inclusion(request.into_inner().index).await;
        answer.map(Response::new).map_err(|refused| status(&self.books.count(refused)))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<GetConsistencyProofRequest>,
    ) -> Result<Response<GetConsistencyProofResponse>, Status> {
        let GetConsistencyProofRequest { old_size, new_size } = request.into_inner();
        let answer = self.consistency(old_size, new_size).await;
        answer.map(Response::new).map_err(|refused| status(&self.books.count(refused)))
    }
}
