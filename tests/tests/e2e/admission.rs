//! Who holds a place and asks for nothing: a network's share of handshakes, and connections without a request in hand.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use kms_tests::wire::{CORRECT, ClientCertificate, Wire, dial_from, granted, handshake};
use kms_tests::world::World;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// The networks of one caller.
const NETWORKS: usize = 4;
/// The connections that one network may have, by default.
const CONNECTIONS: usize = 64;
/// The handshakes that one network may have under way, by default.
const HANDSHAKES: usize = 16;
/// How long a connection may be without a request in hand, here.
const IDLE: Duration = Duration::from_secs(5);

/// The first bytes of HTTP/2 (RFC 9113, 3.4), with empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// A PING (RFC 9113, 6.7).
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0pingping";

/// A source address that is not the one of an honest client here.
fn network(number: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, u8::try_from(2 + number % NETWORKS).unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn silence__should_take_no_more_than_its_networks_share_of_handshakes() {
    let world = World::shared();
    // Who got a place keeps it for longer than this test takes.
    let node = world.node(&["limits.handshake_timeout_ms=20000"]).await;
    let address = node.address();
    // Without a share for each network, these take all places there are.
    let mut silent = JoinSet::new();
    for number in 0..NETWORKS * CONNECTIONS {
        let mut stream = dial_from(network(number), address).await.unwrap();
        silent.spawn(async move { drop(stream.read(&mut [0]).await) });
    }
    let turned_away = NETWORKS * (CONNECTIONS - HANDSHAKES);
    for count in 0..turned_away {
        let closed = timeout(Duration::from_secs(10), silent.join_next()).await;
        assert!(closed.is_ok(), "{count} of {turned_away} are turned away");
    }
    let begin = Instant::now();
    let mut wire = Wire::connect(address).await;
    granted(wire.challenge().await);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(silent.try_join_next().is_none(), "the others hold their share");
    assert_eq!(silent.len(), NETWORKS * HANDSHAKES);
}

/// Sends PINGs until the node closes; how long that took.
async fn ping_until_closed(address: SocketAddr) -> Duration {
    let tcp = TcpStream::connect(address).await.unwrap();
    let stream = handshake(tcp, &ClientCertificate::fresh(), &CORRECT).await.unwrap();
    let (begin, (mut reader, mut writer)) = (Instant::now(), tokio::io::split(stream));
    writer.write_all(PREFACE).await.unwrap();
    let pinging = tokio::spawn(async move {
        while writer.write_all(PING).await.is_ok() && writer.flush().await.is_ok() {
            sleep(Duration::from_millis(200)).await;
        }
    });
    let mut answers = 0;
    let reading = async {
        while let Ok(read @ 1..) = reader.read(&mut [0; 4096]).await {
            answers += read;
        }
    };
    timeout(IDLE * 4, reading).await.expect("the node closes the connection");
    pinging.abort();
    assert!(answers > PING.len() * 5, "the node answers PINGs: {answers} bytes");
    begin.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn connection__should_end_when_nothing_is_asked_and_not_before() {
    let world = World::shared();
    let node = world.node(&["limits.idle_timeout_s=5"]).await;
    let address = node.address();
    let pinging = tokio::spawn(ping_until_closed(address));
    // A question now and then keeps a connection, and so does one whose answer goes on.
    let asking = tokio::spawn(async move {
        let mut wire = Wire::connect(address).await;
        for _ in 0..4 {
            granted(wire.challenge().await);
            sleep(IDLE * 3 / 5).await;
        }
        granted(wire.challenge().await);
    });
    let mut wire = Wire::connect(address).await;
    let request = HealthCheckRequest { service: "onchainkms.v1.Boot".to_owned() };
    let watching = HealthClient::new(wire.channel()).watch(request).await;
    let mut watching = granted(watching).into_inner();
    granted(watching.message().await).expect("the status of now");
    sleep(IDLE * 2).await;
    granted(wire.challenge().await);
    asking.await.unwrap();
    let closed = pinging.await.unwrap();
    assert!(closed >= IDLE && closed < IDLE * 2, "{closed:?}");
    // When the answer ends, the time begins.
    drop(watching);
    sleep(IDLE + Duration::from_secs(2)).await;
    assert!(wire.challenge().await.is_err(), "the connection is closed");
}
