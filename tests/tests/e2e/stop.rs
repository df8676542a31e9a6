//! SIGTERM: what is in hand is finished, what is new is refused, and nobody keeps the node from ending.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kms_proto::v1::{GetAppKeysRequest, GetAppKeysResponse};
use kms_tests::asking::until;
use kms_tests::guest::{compose, compose_hash};
use kms_tests::simulated::COLD_HOST;
use kms_tests::wire::{CORRECT, ClientCertificate, Wire, granted, handshake};
use kms_tests::world::{App, World};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::tokio_stream;
use tonic_prost::ProstCodec;

/// The first bytes of HTTP/2 (RFC 9113, 3.4), with empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// What a stop may take under limits of two seconds. Without a bound of its own it would take as long as an idle
/// connection may live, which is a minute.
const BOUND: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn stop__should_finish_what_is_in_hand_and_take_nothing_new() {
    let world = World::new();
    let mut node = world.node(&[]).await;
    let code = compose("in hand");
    let device = world.simulated.host(COLD_HOST).device_id();
    let id = world.chain.deploy_app(compose_hash(&code), device);
    let cvm = world.guest_on(&App { id, compose: code }, COLD_HOST);
    world.seen_by(&node).await;
    // No block while it is decided: the guest has one try.
    world.chain.seconds_between_blocks(0);

    // A request for which collateral is fetched, slowly.
    world.simulated.pccs_slow(Duration::from_secs(2));
    let asked = world.simulated.pccs_asked();
    let mut wire = Wire::connect(node.address()).await;
    let answer = tokio::spawn(async move { wire.boot_as(&cvm).await });
    until("a request in hand", async || (world.simulated.pccs_asked() > asked).then_some(())).await;
    node.tell_to_stop();
    until("a refused connection", async || TcpStream::connect(node.address()).await.err()).await;

    let released = granted(answer.await.unwrap()).record.unwrap();
    assert_eq!(node.await_stop().code(), Some(0));
    let records = node.records();
    assert_eq!((released.index, records.len()), (0, 1));
    assert_eq!(released.digest[..], records[0].0[..]);
    assert_eq!(records[0].1["outcome"]["verdict"], "allow");
}

/// A request whose body never comes.
async fn endless_request(address: SocketAddr) {
    let wire = Wire::connect(address).await;
    let mut grpc = tonic::client::Grpc::new(wire.channel());
    grpc.ready().await.unwrap();
    let codec = ProstCodec::<GetAppKeysRequest, GetAppKeysResponse>::default();
    let path = PathAndQuery::from_static("/onchainkms.v1.Boot/GetAppKeys");
    let body = tokio_stream::pending::<GetAppKeysRequest>();
    assert!(grpc.client_streaming(tonic::Request::new(body), path, codec).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn stop__should_not_wait_for_peers_that_never_end() {
    let world = World::shared();
    let mut node = world.node(&["limits.request_timeout_ms=2000", "limits.handshake_timeout_ms=2000"]).await;
    let address = node.address();
    let silent = TcpStream::connect(address).await.unwrap();
    let mut held = Vec::new();
    // TLS and no word; HTTP/2 and no answer to anything that the node says.
    for words in [&[][..], PREFACE] {
        let tcp = TcpStream::connect(address).await.unwrap();
        let mut stream = handshake(tcp, &ClientCertificate::fresh(), &CORRECT).await.unwrap();
        stream.write_all(words).await.unwrap();
        stream.flush().await.unwrap();
        held.push(stream);
    }
    let endless = tokio::spawn(endless_request(address));
    let mut wire = Wire::connect(address).await;
    granted(wire.challenge().await);

    let start = Instant::now();
    node.tell_to_stop();
    assert_eq!(node.await_stop().code(), Some(0));
    assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
    endless.await.unwrap();
    drop((silent, held));
}
