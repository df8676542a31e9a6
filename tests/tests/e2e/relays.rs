//! Genuine evidence of an allowed guest, in the hands of somebody else: worth nothing on any other connection.

use kms_attestation::{Role, SessionBinding};
use kms_proto::v1::{ChallengeRequest, GetAppKeysRequest};
use kms_simulator::cvm::Cvm;
use kms_tests::guest::evidence;
use kms_tests::node::Node;
use kms_tests::relay::{Mask, Relay};
use kms_tests::wire::{ClientCertificate, Wire, granted, random, refusal};
use kms_tests::world::World;
use rcgen::KeyPair;

/// What somebody gets wrong in a binding.
type Swap = fn(SessionBinding) -> SessionBinding;

/// A node, and a guest that it would give keys to.
async fn scene(world: &World) -> (Node, Cvm) {
    let node = world.node(&[]).await;
    let app = world.app("relayed");
    world.seen_by(&node).await;
    (node, world.guest(&app))
}

/// Refused as made for another session, without a record: its maker need not even own hardware.
async fn refused(node: &Node, wire: &mut Wire, request: GetAppKeysRequest, what: &str) {
    let refused = refusal(wire.keys(request).await);
    assert_eq!(
        (refused.code.as_str(), refused.grpc),
        ("binding-mismatch", tonic::Code::PermissionDenied),
        "{what}"
    );
    assert_eq!(node.releases(), 0, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence__should_count_on_its_own_connection_alone() {
    let world = World::shared();
    let (node, cvm) = scene(&world).await;
    let mut victim = Wire::connect(node.address()).await;
    let opened = granted(victim.challenge().await);
    let stolen = evidence(&cvm, &victim.ends.app_binding(&opened));

    let mut thief = Wire::connect(node.address()).await;
    granted(thief.challenge().await);
    refused(&node, &mut thief, stolen.clone(), "on another connection").await;

    // A thief that even knows the nonce, and chooses the same.
    let same = ChallengeRequest { client_nonce: opened.client_nonce.0.to_vec(), fresh: false };
    granted(thief.challenge_with(same).await);
    refused(&node, &mut thief, stolen.clone(), "with the same nonce of the client").await;

    // And after all that, on its own.
    granted(victim.keys(stolen).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence__should_not_follow_a_client_key_to_another_connection() {
    let world = World::shared();
    let (node, cvm) = scene(&world).await;
    // Who steals the guest's TLS key as well can show the same certificate; the exporter is another one.
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let copy = KeyPair::from_pem(&key.serialize_pem()).unwrap();
    let victim = Wire::connect_as(node.address(), &ClientCertificate::Of(Box::new(key))).await;
    let mut thief = Wire::connect_as(node.address(), &ClientCertificate::Of(Box::new(copy))).await;
    assert_eq!((victim.ends.own_spki, victim.ends.node_spki), (thief.ends.own_spki, thief.ends.node_spki));
    assert_ne!(victim.ends.exporter, thief.ends.exporter);
    // The thief's own challenge, answered by the victim: only the connection differs.
    let opened = granted(thief.challenge().await);
    let answered = evidence(&cvm, &victim.ends.app_binding(&opened));
    refused(&node, &mut thief, answered, "the same key on another connection").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn man_in_the_middle__should_not_get_keys_with_what_a_guest_tells_it() {
    let world = World::shared();
    let (node, cvm) = scene(&world).await;
    let relay = Relay::start(node.address(), Mask::self_signed()).await;
    let mut deceived = Wire::connect(relay.address()).await;
    // The client of this test does not look whom it talks to; the node's nonce does arrive.
    let opened = granted(deceived.challenge().await);
    let request = evidence(&cvm, &deceived.ends.app_binding(&opened));
    refused(&node, &mut deceived, request, "through a relay").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn binding__should_name_each_part_in_its_place() {
    let world = World::shared();
    let (node, cvm) = scene(&world).await;
    let mut wire = Wire::connect(node.address()).await;
    let swaps: [(&str, Swap); 6] = [
        ("nonces swapped", |b| SessionBinding { peer_nonce: b.own_nonce, own_nonce: b.peer_nonce, ..b }),
        ("keys swapped", |b| SessionBinding { peer_spki: b.own_spki, own_spki: b.peer_spki, ..b }),
        ("the role of the node", |b| SessionBinding { role: Role::Kms, ..b }),
        ("the node's nonce twice", |b| SessionBinding { own_nonce: b.peer_nonce, ..b }),
        ("another exporter", |b| SessionBinding {
            exporter: kms_attestation::ids::TlsExporter([0; 32]),
            ..b
        }),
        ("the node's view of it", |b| SessionBinding {
            role: Role::Kms,
            peer_nonce: b.own_nonce,
            own_nonce: b.peer_nonce,
            peer_spki: b.own_spki,
            own_spki: b.peer_spki,
            ..b
        }),
    ];
    for (what, swap) in swaps {
        let opened = granted(wire.challenge().await);
        let request = evidence(&cvm, &swap(wire.ends.app_binding(&opened)));
        refused(&node, &mut wire, request, what).await;
    }
    granted(wire.boot_as(&cvm).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn quote_of_the_node__should_not_be_reflected_at_it() {
    let world = World::shared();
    let (node, cvm) = scene(&world).await;
    let mut wire = Wire::connect(node.address()).await;
    for fresh in [false, true] {
        let request = ChallengeRequest { client_nonce: random().to_vec(), fresh };
        let opened = granted(wire.challenge_with(request).await);
        let own = opened.response.node.unwrap();
        let mut reflected = GetAppKeysRequest {
            quote: own.quote,
            event_log: own.event_log,
            os_image_manifest: own.os_image_manifest,
        };
        if fresh {
            reflected.event_log = cvm.event_log().to_json().into_bytes();
        }
        refused(&node, &mut wire, reflected, "the node's own quote").await;
    }
}
