//! Evidence with one fault each: refused with its own code, nothing released, and recorded where the quote is genuine.

use kms_proto::v1::{ChallengeRequest, GetAppKeysRequest, GetAppKeysResponse, SignAppCertificateRequest};
use kms_simulator::cvm::{BootStage, Cvm};
use kms_simulator::image::OsImage;
use kms_tests::guest::{booted, compose, compose_hash, evidence, instance};
use kms_tests::node::Node;
use kms_tests::wire::{Opened, UNLUCKY_MOMENT, Wire, granted, random, refusal};
use kms_tests::world::{App, World};
use serde_json::Value;
use tonic_prost::ProstCodec;

/// Whether a refusal must be found in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recorded {
    /// The quote is genuine: it took hardware to make it.
    Yes,
    /// Anybody could have sent it.
    No,
}
use Recorded::{No, Yes};

/// Evidence as it should be, for a test to spoil.
type Spoil = fn(&World, &App, &Wire, &Opened) -> GetAppKeysRequest;

fn honest(cvm: &Cvm, wire: &Wire, opened: &Opened) -> GetAppKeysRequest {
    evidence(cvm, &wire.ends.app_binding(opened))
}

fn spoilt(
    world: &World,
    app: &App,
    wire: &Wire,
    opened: &Opened,
    spoil: impl FnOnce(&mut GetAppKeysRequest),
) -> GetAppKeysRequest {
    let mut request = honest(&world.guest(app), wire, opened);
    spoil(&mut request);
    request
}

/// What is shown, what it is refused with, and whether it is recorded.
const CASES: &[(&str, Spoil, &str, Recorded)] = &[
    (
        "an event that was changed",
        |world, app, wire, opened| {
            spoilt(world, app, wire, opened, |request| {
                let log = String::from_utf8(request.event_log.clone()).unwrap();
                let (one, other) = (app.id.to_string(), "42".repeat(20));
                assert!(log.contains(&one));
                request.event_log = log.replace(&one, &other).into_bytes();
            })
        },
        "event-digest-mismatch",
        Yes,
    ),
    (
        "the log of another guest",
        |world, app, wire, opened| {
            let other = App { id: app.id, compose: compose("something else") };
            let log = world.guest(&other).event_log().to_json().into_bytes();
            spoilt(world, app, wire, opened, |request| request.event_log = log)
        },
        "rtmr3-mismatch",
        Yes,
    ),
    (
        "a log that is none",
        |world, app, wire, opened| {
            spoilt(world, app, wire, opened, |request| request.event_log = random().to_vec())
        },
        "event-log-malformed",
        Yes,
    ),
    (
        "a platform that is out of date",
        |world, app, wire, opened| {
            let mut platform = world.simulated.platform();
            let host = platform.host_mut(1).unwrap();
            host.pck.cpu_svn[..2].copy_from_slice(&[3, 3]);
            let cvm = booted(host, world.simulated.image(), app.id, &app.compose, instance(0x11));
            honest(&cvm, wire, opened)
        },
        "tcb-status-not-accepted",
        Yes,
    ),
    (
        "a device that the owner has not allowed",
        |world, app, wire, opened| honest(&world.guest_on(app, 2), wire, opened),
        "contract-denied: Device not allowed",
        Yes,
    ),
    (
        "code that the owner has not allowed",
        |world, app, wire, opened| {
            let other = App { id: app.id, compose: compose("never allowed") };
            honest(&world.guest(&other), wire, opened)
        },
        "contract-denied: Compose hash not allowed",
        Yes,
    ),
    (
        "an OS image that governance has not allowed",
        |world, app, wire, opened| {
            let image = OsImage::simulated("another-os");
            let host = world.simulated.host(1);
            honest(&booted(host, &image, app.id, &app.compose, instance(0x11)), wire, opened)
        },
        "contract-denied: OS image is not allowed",
        Yes,
    ),
    (
        "an app that is not registered",
        |world, app, wire, opened| {
            let stranger = App { id: kms_attestation::ids::AppId([0x77; 20]), compose: app.compose.clone() };
            honest(&world.guest(&stranger), wire, opened)
        },
        "contract-denied: App not registered",
        Yes,
    ),
    (
        "a guest that has finished booting",
        |world, app, wire, opened| {
            let mut cvm = world.guest(app);
            cvm.boot_to(BootStage::Ready);
            honest(&cvm, wire, opened)
        },
        "boot-finished",
        Yes,
    ),
    (
        "the manifest of another image",
        |world, app, wire, opened| {
            let manifest = OsImage::simulated("another-os").manifest().to_vec();
            spoilt(world, app, wire, opened, |request| request.os_image_manifest = manifest)
        },
        "os-image-mismatch",
        Yes,
    ),
    (
        "no manifest",
        |world, app, wire, opened| {
            spoilt(world, app, wire, opened, |request| request.os_image_manifest.clear())
        },
        "manifest-malformed",
        Yes,
    ),
    (
        "a quote with a changed bit under its signature",
        |world, app, wire, opened| spoilt(world, app, wire, opened, |request| request.quote[200] ^= 1),
        "quote-signature-invalid",
        No,
    ),
    (
        "a quote of another root of trust",
        |world, app, wire, opened| {
            let platform =
                kms_simulator::platform::Platform::random(world.simulated.platform().now()).unwrap();
            let image = world.simulated.image();
            let mut host = platform.host(0).unwrap().clone();
            host.pck.fmspc = world.simulated.host(1).fmspc();
            honest(&booted(&host, image, app.id, &app.compose, instance(0x11)), wire, opened)
        },
        "pck-chain-untrusted",
        No,
    ),
    (
        "a quote of 16 KiB and a byte",
        |world, app, wire, opened| {
            spoilt(world, app, wire, opened, |request| request.quote.resize(16 * 1024 + 1, 0))
        },
        "quote-too-large",
        No,
    ),
    (
        "garbage in every field",
        |_, _, _, _| GetAppKeysRequest {
            quote: random().to_vec(),
            event_log: random().to_vec(),
            os_image_manifest: random().to_vec(),
        },
        "quote-malformed",
        No,
    ),
    ("nothing at all", |_, _, _, _| GetAppKeysRequest::default(), "quote-malformed", No),
];

#[tokio::test(flavor = "multi_thread")]
async fn evidence__should_be_refused_with_the_code_of_its_one_fault() {
    let world = World::shared();
    let node = world.node(&[]).await;
    let app = world.app("refused");
    world.seen_by(&node).await;
    for (what, spoil, expected, recorded) in CASES {
        let before = node.decisions().len();
        let mut wire = Wire::connect(node.address()).await;
        let refused = refusal(wire.boot_with(|wire, opened| spoil(&world, &app, wire, opened)).await);
        let (code, reason) = expected.split_once(": ").unwrap_or((expected, ""));
        assert_eq!(refused.code, code, "{what}: {}", refused.found);
        assert!(refused.found.contains(reason) && !refused.fix.is_empty(), "{what}: {refused:?}");
        check_record(&node, before, code, *recorded, what);
        // What was refused has used the challenge up, and does not count as a release.
        let csr = SignAppCertificateRequest::default();
        assert_eq!(
            refusal(wire.keys(GetAppKeysRequest::default()).await).code,
            "challenge-missing",
            "{what}"
        );
        assert_eq!(refusal(wire.boot.sign_app_certificate(csr).await).code, "keys-not-released", "{what}");
    }
    // The same app, without a fault.
    let mut wire = Wire::connect(node.address()).await;
    granted(wire.boot_as(&world.guest(&app)).await);
}

fn check_record(node: &Node, before: usize, code: &str, recorded: Recorded, what: &str) {
    let records = node.decisions();
    let lucky = |(_, record): &&([u8; 32], Value)| record["outcome"]["code"] != UNLUCKY_MOMENT;
    let new: Vec<_> = records[before..].iter().filter(lucky).collect();
    match recorded {
        // At most the one sample of its code.
        No => assert!(
            new.len() <= 1 && new.iter().all(|(_, record)| record["outcome"]["code"] == code),
            "{what}"
        ),
        Yes => {
            let [(_, record)] = new[..] else { panic!("{what}: {new:?}") };
            let outcome = &record["outcome"];
            assert_eq!((&outcome["verdict"], &outcome["code"]), (&"deny".into(), &code.into()), "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation__should_count_with_the_next_block() {
    let world = World::shared();
    let node = world.node(&[]).await;
    let app = world.app("revoked");
    world.seen_by(&node).await;
    let mut wire = Wire::connect(node.address()).await;
    granted(wire.boot_as(&world.guest(&app)).await);
    world.chain.revoke_code(app.id, compose_hash(&app.compose));
    world.seen_by(&node).await;
    // On the very connection that had keys a moment ago, and on a new one.
    assert_eq!(refusal(wire.boot_as(&world.guest(&app)).await).code, "contract-denied");
    let mut wire = Wire::connect(node.address()).await;
    assert_eq!(refusal(wire.boot_as(&world.guest(&app)).await).code, "contract-denied");
    // And an approval as well.
    world.chain.allow_code(app.id, compose_hash(&app.compose));
    world.seen_by(&node).await;
    granted(wire.boot_as(&world.guest(&app)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages__should_be_refused_when_they_are_no_messages() {
    let world = World::shared();
    let node = world.node(&[]).await;
    let wire = Wire::connect(node.address()).await;
    // Field 2 of this message is a number; in GetAppKeys it is bytes.
    let foreign = SignAppCertificateRequest { certificate_request: vec![1], lifetime_seconds: 7 };
    let status = call(&wire, "/onchainkms.v1.Boot/GetAppKeys", foreign).await.err().unwrap();
    assert_eq!(status.code(), tonic::Code::Internal, "{status:?}");
    let status =
        call(&wire, "/onchainkms.v1.Boot/GiveMeAllKeys", ChallengeRequest::default()).await.err().unwrap();
    assert_eq!(status.code(), tonic::Code::Unimplemented);
    let huge = ChallengeRequest { client_nonce: vec![0; 4 << 20], fresh: false };
    let status = call(&wire, "/onchainkms.v1.Boot/Challenge", huge).await.err().unwrap();
    assert_eq!(status.code(), tonic::Code::OutOfRange, "{status:?}");
    // The connection and the node are none the worse for it.
    let mut wire = wire;
    granted(wire.challenge().await);
    assert_eq!(node.releases(), 0);
}

/// A call with a message of the wrong kind.
async fn call<M: prost::Message + Default + 'static>(
    wire: &Wire,
    path: &'static str,
    message: M,
) -> Result<GetAppKeysResponse, tonic::Status> {
    let mut grpc = tonic::client::Grpc::new(wire.channel());
    grpc.ready().await.unwrap();
    let codec = ProstCodec::<M, GetAppKeysResponse>::default();
    let path = tonic::codegen::http::uri::PathAndQuery::from_static(path);
    grpc.unary(tonic::Request::new(message), path, codec).await.map(tonic::Response::into_inner)
}
