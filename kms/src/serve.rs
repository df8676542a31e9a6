//! A node at work: its services on one port, its metrics on another, its log on a third, and what it does by itself.
//!
//! ```text
//! every minute      is this node still allowed?   collateral that is due     (more often while it is not)
//! every half hour   a new certificate with a new quote
//! every day         evidence that is too old goes, where the configuration says so
//! always            the log's witnesses are asked, where it has any; health is what the node may do at this moment
//! ```
//!
//! Told to stop, it takes no new connection, finishes the requests in hand, and does not wait for peers that never end.
//! Health (`grpc.health.v1`) says SERVING only while the node may release keys. Owns the limits of HTTP/2; those of
//! connections are in `server`, those of work in `node`.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kms_attestation::event_log::MAX_EVENT_LOG_BYTES;
use kms_attestation::image::MAX_MANIFEST_BYTES;
use kms_attestation::quote::MAX_QUOTE_BYTES;
use kms_ledger::serve::{Blobs, ServerTls, serve_log};
use kms_proto::v1::audit_server::AuditServer;
use kms_proto::v1::boot_server::BootServer;
use kms_proto::v1::public_server::PublicServer;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::audit::AuditService;
use crate::boot::BootService;
use crate::keys::{DnsName, Lifetime};
use crate::metrics::{self, NodeState};
use crate::node::certificate::Issuer;
use crate::node::{CHECK_AGAIN_AFTER, CHECK_EVERY, Node};
use crate::public::PublicService;
use crate::record::{KeptLog, keep_books, keep_evidence};
use crate::refusal::Refused;
use crate::server::{Attend, ConnectionLimits, ConnectionTimes, Entrance, Gate};
use crate::witnesses::keep_witnessed;

/// The largest request, in bytes: quote, event log and manifest at their largest, and what frames them.
const MAX_REQUEST_BYTES: usize = MAX_QUOTE_BYTES + MAX_EVENT_LOG_BYTES + MAX_MANIFEST_BYTES + 1024;
/// Requests in hand on one connection: a session makes one at a time.
const MAX_STREAMS: u32 = 8;
/// The largest set of headers, in bytes.
const MAX_HEADER_BYTES: u32 = 8 * 1024;
/// How often an idle peer is asked whether it is still there, and how long it may take to answer.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Told to stop, how long the node waits beyond the longest request: for answers to be on their way.
const STOP_MARGIN: Duration = Duration::from_secs(1);
/// A renewal of the certificate that failed is tried again after this part of the time between two: before the old one,
/// which has at least as much left as that time, comes to its end.
const RENEW_AGAIN: u32 = 10;
/// How long the first check waits for the first heads.
const FIRST_HEADS: Duration = Duration::from_secs(10);
/// How often health is compared with what the node may do: a glance at what is in memory.
const HEALTH_EVERY: Duration = Duration::from_millis(100);
/// Connections that have finished their handshake and wait for tonic to take them.
const HANDED_OVER: usize = 64;
/// The gRPC services that health is reported for, beside the whole server.
const SERVICES: [&str; 3] = ["onchainkms.v1.Audit", "onchainkms.v1.Boot", "onchainkms.v1.Public"];

/// The limits of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServeLimits {
    /// How many connections.
    pub connections: ConnectionLimits,
    /// When a connection ends by itself.
    pub times: ConnectionTimes,
    /// The longest a request may take, reading it included.
    pub request: Duration,
    /// The longest life of a connection.
    pub connection_age: Duration,
}

/// What the node's certificates say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateTerms {
    /// The names that clients reach the node by.
    pub names: BTreeSet<DnsName>,
    /// How long a certificate is valid.
    pub lifetime: Lifetime,
    /// How often it is issued anew, with a new quote.
    pub renew_every: Duration,
}

/// The ports of a node, opened.
pub struct Listeners {
    /// Of its services.
    pub services: TcpListener,
    /// Of its metrics, where they are served.
    pub metrics: Option<TcpListener>,
    /// Of its log of decisions: for everybody, for auditors, or both, or none.
    pub log: Vec<LogListener>,
}

/// Where the log is served over HTTP, for auditors and mirrors.
pub struct LogListener {
    /// The port.
    pub listener: TcpListener,
    /// TLS for auditors alone; without it, everybody is served.
    pub tls: Option<ServerTls>,
    /// Whether evidence is served there: it names hardware.
    pub blobs: Blobs,
}

/// Serves until `shutdown` ends; then finishes the requests in hand, which takes at most the longest request.
pub async fn serve(
    node: Arc<Node>,
    mut ledger: KeptLog,
    listeners: Listeners,
    limits: ServeLimits,
    terms: CertificateTerms,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let (health, health_service) = tonic_health::server::health_reporter();
    // Until it is found to be allowed, it is not: by itself, the reporter would say that the server is SERVING.
    report(&health, ServingStatus::NotServing).await;
    let (secured, connections) = mpsc::channel(HANDED_OVER);
    let gate = Arc::new(Gate::new(limits.connections));
    let (certificates, metrics) = (node.certificates.subscribe(), Arc::clone(&node.metrics));
    let attend = Attend::new(limits.request, Arc::clone(&metrics), Arc::clone(&node.books));
    let entrance = Entrance { gate: Arc::clone(&gate), times: limits.times, certificates, metrics, secured };
    let accepting = tokio::spawn(entrance.accept(listeners.services));
    let no_more = accepting.abort_handle();
    let mut background = vec![accepting];
    background.extend(attend_to_itself(&node, health, terms));
    if let Some(listener) = listeners.metrics {
        let state = NodeState { node: Arc::clone(&node), gate, log: Arc::clone(&ledger.store) };
        background.push(tokio::spawn(metrics::serve(listener, node.metrics.registry(state))));
    }
    background.extend(attend_to_log(&node, &mut ledger, listeners.log));
    let boot =
        BootServer::new(BootService::new(Arc::clone(&node))).max_decoding_message_size(MAX_REQUEST_BYTES);
    let audit = AuditServer::new(AuditService::new(ledger.store, Arc::clone(&node.books)))
        .max_decoding_message_size(1024);
    let public = PublicServer::new(PublicService::new(Arc::clone(&node))).max_decoding_message_size(1024);
    let mut server = http2(limits).layer(attend);
    let mut router =
        server.add_service(health_service).add_service(audit).add_service(boot).add_service(public);
    if let Ok(reflection) = reflection() {
        router = router.add_service(reflection);
    }
    let (stopping, stopped) = oneshot::channel::<()>();
    let shutdown = async move {
        shutdown.await;
        // With the listener gone, the system refuses who comes now.
        no_more.abort();
        drop(stopping);
    };
    let serving = router.serve_with_incoming_shutdown(ReceiverStream::new(connections), shutdown);
    let outcome = tokio::select! {
        outcome = serving => outcome,
        () = out_of_time(stopped, limits.request) => Ok(()),
    };
    background.iter().for_each(JoinHandle::abort);
    node.record_stop().await;
    outcome
}

/// A server with the limits of HTTP/2.
fn http2(limits: ServeLimits) -> Server {
    Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_connection_age(limits.connection_age)
}

/// What the node does by itself: it counts, looks whether it is allowed, says so, and renews its certificate.
fn attend_to_itself(
    node: &Arc<Node>,
    health: HealthReporter,
    terms: CertificateTerms,
) -> [JoinHandle<()>; 4] {
    [
        tokio::spawn(keep_books(Arc::clone(node))),
        tokio::spawn(keep_standing(Arc::clone(node))),
        tokio::spawn(keep_health(Arc::clone(node), health)),
        tokio::spawn(keep_certificate(Arc::clone(node), terms)),
    ]
}

/// What the log needs while the node runs, beside appends: to be served, to be witnessed, and to get rid of old evidence.
fn attend_to_log(node: &Arc<Node>, ledger: &mut KeptLog, listeners: Vec<LogListener>) -> Vec<JoinHandle<()>> {
    let KeptLog { store, keep_evidence: keep, rounds } = ledger;
    let witnessed = rounds.take().map(|rounds| tokio::spawn(keep_witnessed(rounds, Arc::clone(node))));
    let served = listeners.into_iter().map(|LogListener { listener, tls, blobs }| {
        tokio::spawn(serve_log(listener, tls, store.log_folder(), blobs))
    });
    let kept = keep.map(|keep| tokio::spawn(keep_evidence(Arc::clone(node), Arc::clone(store), keep)));
    served.chain(kept).chain(witnessed).collect()
}

/// Comes back when every request that was in hand at the stop must be over. A connection that is still open then has none,
/// or a peer that does not take its answer: it would keep the node from ending for as long as it lives.
async fn out_of_time(stopped: oneshot::Receiver<()>, longest_request: Duration) {
    // Its sender says nothing: that it is gone is the word.
    drop(stopped.await);
    sleep(longest_request + STOP_MARGIN).await;
    tracing::warn!("connections were still open, and are closed");
}

fn reflection() -> Result<
    tonic_reflection::server::v1::ServerReflectionServer<impl tonic_reflection::server::v1::ServerReflection>,
    tonic_reflection::server::Error,
> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(kms_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
}

/// Checks the node's own standing.
async fn keep_standing(node: Arc<Node>) {
    if node.chain.feed().current().is_err() {
        // The first heads are on their way; without them, the first check could only fail.
        drop(timeout(FIRST_HEADS, node.chain.feed().refreshed()).await);
    }
    loop {
        node.collateral.refresh_due();
        if let Err(refused) = node.examine_itself().await {
            tracing::warn!(%refused, "this node may not release keys");
        }
        sleep(if node.standing.check().is_ok() { CHECK_EVERY } else { CHECK_AGAIN_AFTER }).await;
    }
}

/// Says whether the node may release keys, whenever that changes: the contract, the witnesses and time all have a part in it.
async fn keep_health(node: Arc<Node>, health: HealthReporter) {
    let mut before = None;
    loop {
        let outcome = node.may_release();
        let now = outcome.as_ref().map_err(|refused| refused.code).err();
        if before != Some(now) {
            match &outcome {
                Ok(()) => tracing::info!("this node may release keys"),
                // At the start it is not known yet.
                Err(refused) if before.is_some() => tracing::warn!(%refused, "this node releases no keys"),
                Err(_) => {}
            }
            let serving = if outcome.is_ok() { ServingStatus::Serving } else { ServingStatus::NotServing };
            report(&health, serving).await;
            before = Some(now);
        }
        sleep(HEALTH_EVERY).await;
    }
}

async fn report(health: &HealthReporter, status: ServingStatus) {
    for service in SERVICES.into_iter().chain([""]) {
        health.set_service_status(service, status).await;
    }
}

/// Issues a new certificate from time to time. One that cannot be issued leaves the old one, which clients judge, and is
/// tried again soon.
async fn keep_certificate(node: Arc<Node>, terms: CertificateTerms) {
    let mut pause = terms.renew_every;
    loop {
        sleep(pause).await;
        pause = match renew(&node, &terms).await {
            Ok(()) => {
                tracing::info!("a new certificate");
                terms.renew_every
            }
            Err(refused) => {
                tracing::error!(%refused, "no new certificate");
                terms.renew_every / RENEW_AGAIN
            }
        };
    }
}

async fn renew(node: &Node, terms: &CertificateTerms) -> Result<(), Refused> {
    let issuer = Issuer {
        root: &node.root,
        policy: &node.certificate_policy,
        names: &terms.names,
        lifetime: terms.lifetime,
    };
    let certificate = issuer.issue(&node.platform, node.now()).await?;
    node.certificates.send_replace(Arc::new(certificate));
    Ok(())
}
