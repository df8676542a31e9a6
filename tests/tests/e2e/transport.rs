//! Callers that do not keep to the protocol: they are let go in time, and others are served meanwhile.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use kms_proto::v1::GetNodeInfoRequest;
use kms_tests::wire::{CORRECT, ClientCertificate, Speech, Wire, dial_from, granted, handshake, refusal};
use kms_tests::world::World;
use rcgen::KeyPair;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Connections of one flood.
const FLOOD: usize = 1000;
/// From so many addresses, so that none has more than its share.
const FLOOD_ADDRESSES: usize = 20;

/// The first bytes of HTTP/2 (RFC 9113, 3.4), with empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A source address of this machine.
fn local(number: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 1, u8::try_from(number).unwrap()))
}

/// Reads until the peer closes; what it said, and when.
async fn until_closed(stream: &mut (impl AsyncRead + Unpin), patience: Duration) -> (Vec<u8>, Duration) {
    let (start, mut said) = (Instant::now(), Vec::new());
    let mut buffer = [0; 4096];
    let reading = async {
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            said.extend_from_slice(&buffer[..read]);
        }
    };
    timeout(patience, reading).await.expect("the node closes the connection");
    (said, start.elapsed())
}

async fn served(address: SocketAddr) {
    let mut wire = Wire::connect(address).await;
    granted(wire.challenge().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn transport__should_be_tls_13_with_h2_and_nothing_else() {
    let world = World::shared();
    let node = world.node(&[]).await;
    let mut plain = TcpStream::connect(node.address()).await.unwrap();
    plain.write_all(PREFACE).await.unwrap();
    let (said, _) = until_closed(&mut plain, Duration::from_secs(5)).await;
    assert!(said.first().is_none_or(|first| *first == 0x15), "an alert at most: {said:?}");

    let certificate = ClientCertificate::fresh();
    for (what, versions, alpn) in [
        ("TLS 1.2", &[&TLS12][..], &[&b"h2"[..]][..]),
        ("HTTP/1.1", &[&TLS13], &[b"http/1.1"]),
        ("no protocol", &[&TLS13], &[]),
    ] {
        let speech = Speech { versions, alpn };
        let tcp = TcpStream::connect(node.address()).await.unwrap();
        // In TLS 1.3 a client may be done before the server has said no.
        if let Ok(mut stream) = handshake(tcp, &certificate, &speech).await {
            drop(stream.write_all(PREFACE).await);
            let (said, _) = until_closed(&mut stream, Duration::from_secs(5)).await;
            assert!(said.is_empty(), "{what}: {said:?}");
        }
    }
    // A certificate over another kind of key is as good as none: sessions are bound to P-256 keys.
    let other = ClientCertificate::Of(Box::new(KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap()));
    let mut wire = Wire::connect_as(node.address(), &other).await;
    assert_eq!(refusal(wire.challenge().await).code, "client-certificate-missing");
    served(node.address()).await;
}

/// Writes a byte at a time until the peer is gone.
async fn dribble(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8], pause: Duration) {
    for byte in bytes {
        if stream.write_all(&[*byte]).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        sleep(pause).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_callers__should_be_let_go_in_time() {
    let world = World::shared();
    let node = world
        .node(&[
            "limits.handshake_timeout_ms=700",
            "limits.idle_timeout_s=5",
            "limits.connection_max_age_s=10",
            "limits.request_timeout_ms=2000",
            "limits.nonce_lifetime_s=10",
        ])
        .await;
    let address = node.address();
    let silent = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        until_closed(&mut stream, Duration::from_secs(5)).await.1
    });
    // A record header that promises more, and then a byte now and then: activity is not progress.
    let slow_hello = tokio::spawn(async move {
        let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
        let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 500]].concat();
        let writing =
            tokio::spawn(async move { dribble(&mut writer, &hello, Duration::from_millis(100)).await });
        let (_, after) = until_closed(&mut reader, Duration::from_secs(5)).await;
        writing.abort();
        after
    });
    let secured = move || async move {
        let tcp = TcpStream::connect(address).await.unwrap();
        handshake(tcp, &ClientCertificate::fresh(), &CORRECT).await.unwrap()
    };
    let idle = tokio::spawn(async move {
        let mut stream = secured().await;
        until_closed(&mut stream, Duration::from_secs(20)).await.1
    });
    let slow_preface = tokio::spawn(async move {
        let (mut reader, mut writer) = tokio::io::split(secured().await);
        let writing = tokio::spawn(async move {
            dribble(&mut writer, &[PREFACE, &[0; 60]].concat(), Duration::from_secs(1)).await;
        });
        let (_, after) = until_closed(&mut reader, Duration::from_secs(40)).await;
        writing.abort();
        after
    });
    // After the preface: the header of a frame that never comes whole.
    let slow_frame = tokio::spawn(async move {
        let (mut reader, mut writer) = tokio::io::split(secured().await);
        let frame = [PREFACE, &[0, 0x40, 0, 1, 4, 0, 0, 0, 1]].concat();
        writer.write_all(&frame).await.unwrap();
        let writing =
            tokio::spawn(async move { dribble(&mut writer, &[0x88; 60], Duration::from_secs(1)).await });
        let (_, after) = until_closed(&mut reader, Duration::from_secs(40)).await;
        writing.abort();
        after
    });
    for _ in 0..4 {
        served(address).await;
        sleep(Duration::from_millis(500)).await;
    }
    let (silent, slow_hello, idle) = (silent.await.unwrap(), slow_hello.await.unwrap(), idle.await.unwrap());
    assert!(
        silent < Duration::from_secs(3) && slow_hello < Duration::from_secs(3),
        "{silent:?}, {slow_hello:?}"
    );
    assert!(idle < Duration::from_secs(10), "{idle:?}");
    let (slow_preface, slow_frame) = (slow_preface.await.unwrap(), slow_frame.await.unwrap());
    assert!(
        slow_preface < Duration::from_secs(20) && slow_frame < Duration::from_secs(20),
        "{slow_preface:?}, {slow_frame:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn flood__should_not_keep_others_from_being_served() {
    let world = World::shared();
    let node = world.node(&[]).await;
    let address = node.address();
    let dial = |number: usize| async move {
        let tcp = dial_from(local(1 + number % FLOOD_ADDRESSES), address).await?;
        handshake(tcp, &ClientCertificate::None, &CORRECT).await
    };
    let (mut held, mut waiting) = (Vec::new(), tokio::task::JoinSet::new());
    for number in 0..FLOOD {
        waiting.spawn(dial(number));
        // As many handshakes as the node takes at once, and no more: the flood is to get in.
        while waiting.len() >= 100 {
            held.push(waiting.join_next().await.unwrap().unwrap().unwrap());
        }
    }
    while let Some(connection) = waiting.join_next().await {
        held.push(connection.unwrap().unwrap());
    }
    assert_eq!(held.len(), FLOOD);
    let start = Instant::now();
    served(address).await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    drop(held);
    served(address).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flood_of_silence__should_pass_with_the_time_for_a_handshake() {
    let world = World::shared();
    let node = world.node(&["limits.handshake_timeout_ms=1000"]).await;
    let address = node.address();
    let mut silent = Vec::new();
    for number in 0..FLOOD {
        silent.push(dial_from(local(100 + number % FLOOD_ADDRESSES), address).await.unwrap());
    }
    // Every place for a handshake may be taken; a client that asks again gets one when their time is over.
    let start = Instant::now();
    while Wire::try_connect(address, &ClientCertificate::fresh()).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(5), "nobody is served");
        sleep(Duration::from_millis(50)).await;
    }
    served(address).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn address__should_have_its_share_of_connections_and_no_more() {
    let world = World::shared();
    let node = world.node(&["limits.connections_per_address=3"]).await;
    let address = node.address();
    let dial = |from| async move {
        let tcp = dial_from(from, address).await?;
        handshake(tcp, &ClientCertificate::None, &CORRECT).await
    };
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(dial(local(50)).await.unwrap());
    }
    assert!(dial(local(50)).await.is_err(), "a fourth");
    dial(local(51)).await.unwrap();
    drop(held.pop());
    let end = Instant::now() + Duration::from_secs(5);
    while dial(local(50)).await.is_err() {
        assert!(Instant::now() < end, "a place that was given up");
        sleep(Duration::from_millis(20)).await;
    }
    let mut wire = Wire::connect(address).await;
    granted(wire.public.get_node_info(GetNodeInfoRequest {}).await);
}
