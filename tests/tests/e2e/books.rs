//! Every refusal of every method ends in the log: as a record of its own, or in the counts of those that proved nothing.

use std::collections::BTreeMap;

use kms_ledger::record::Event;
use kms_proto::v1::audit_client::AuditClient;
use kms_proto::v1::{
    ChallengeRequest, GetAppEnvPublicKeyRequest, GetAppKeysRequest, GetConsistencyProofRequest,
    GetInclusionProofRequest, SignAppCertificateRequest,
};
use kms_tests::node::Node;
use kms_tests::wire::{Wire, refusal};
use kms_tests::world::World;
use prost::bytes::{Buf as _, BufMut as _};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;

/// Every method that a node has, and one that it has not.
const METHODS: [&str; 11] = [
    "/onchainkms.v1.Boot/Challenge",
    "/onchainkms.v1.Boot/GetAppKeys",
    "/onchainkms.v1.Boot/SignAppCertificate",
    "/onchainkms.v1.Public/GetAppEnvPublicKey",
    "/onchainkms.v1.Public/GetNodeInfo",
    "/onchainkms.v1.Audit/GetCheckpoint",
    "/onchainkms.v1.Audit/GetInclusionProof",
    "/onchainkms.v1.Audit/GetConsistencyProof",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/onchainkms.v1.Boot/GiveMeEverything",
];

/// Bytes as they are, which are no message.
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        from.advance(from.remaining());
        Ok(Some(()))
    }
}

/// Sends bytes that are no message to a method.
async fn garbage(wire: &Wire, method: &'static str) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(wire.channel());
    grpc.ready().await.unwrap();
    let request = tonic::Request::new(vec![0xff; 8]);
    grpc.unary(request, PathAndQuery::from_static(method), Raw).await.map(tonic::Response::into_inner)
}

/// A refusal of each method that can refuse by a code; the codes.
async fn refused(node: &Node) -> Vec<String> {
    let mut wire = Wire::connect(node.address()).await;
    let mut audit = AuditClient::new(wire.channel());
    let index = GetInclusionProofRequest { index: u64::MAX };
    let sizes = GetConsistencyProofRequest { old_size: 2, new_size: 1 };
    let challenge = ChallengeRequest { client_nonce: vec![7; 31], fresh: false };
    vec![
        refusal(wire.boot.challenge(challenge).await).code,
        refusal(wire.keys(GetAppKeysRequest::default()).await).code,
        refusal(wire.boot.sign_app_certificate(SignAppCertificateRequest::default()).await).code,
        refusal(wire.public.get_app_env_public_key(GetAppEnvPublicKeyRequest::default()).await).code,
        refusal(audit.get_inclusion_proof(index).await).code,
        refusal(audit.get_consistency_proof(sizes).await).code,
    ]
}

/// How often the log tells of each code, in records of their own and in counts.
fn told(node: &Node) -> BTreeMap<String, u64> {
    let mut told = BTreeMap::new();
    for entry in node.log() {
        match &entry.record.event {
            Event::Decision(decision) => {
                if let Some(code) = decision.outcome.code() {
                    *told.entry(code.to_owned()).or_default() += 1;
                }
            }
            Event::Unstored(unstored) => {
                for counted in &unstored.refusals {
                    *told.entry(counted.code.clone()).or_default() += counted.count;
                }
            }
            Event::Started(_) | Event::Stopped => {}
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal__should_be_in_the_log_or_in_its_counts() {
    let world = World::shared();
    let mut node = world.node(&[]).await;
    let app = world.app("in the books");
    world.seen_by(&node).await;

    let mut expected = BTreeMap::<String, u64>::new();
    for code in refused(&node).await {
        *expected.entry(code).or_default() += 1;
    }
    let elsewhere = world.guest_on(&app, 2);
    let denied = refusal(Wire::connect(node.address()).await.boot_as(&elsewhere).await);
    assert_eq!(denied.code, "contract-denied");
    *expected.entry(denied.code).or_default() += 1;
    let wire = Wire::connect(node.address()).await;
    for method in METHODS {
        let status = garbage(&wire, method).await.expect_err(method);
        assert_ne!(status.code(), tonic::Code::Ok, "{method}");
    }
    expected.insert("uncoded".to_owned(), METHODS.len() as u64);

    // The counts of the last minute are written at the end.
    assert_eq!(node.stop().code(), Some(0));
    let told = told(&node);
    for (code, count) in &expected {
        assert_eq!(told.get(code), Some(count), "{code}: {told:?}, expected {expected:?}");
    }
}
