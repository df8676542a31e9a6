//! One attempt at one node.

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use kms_attestation::identity::mr_aggregated;
use kms_attestation::ids::{AppId, Nonce, SpkiHash};
use kms_attestation::platform::{Platform, QuoteProvider as _};
use kms_attestation::{EventLog, Role, SessionBinding, Verifier};
use kms_ledger::Receipt;
use kms_proto::v1::boot_client::BootClient;
use kms_proto::v1::{ChallengeRequest, ChallengeResponse, GetAppKeysRequest, NodeEvidence};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::certificate::{AppCertificate, LeafRequest};
use super::error::BootError;
use super::keys::AppKeys;
use super::node::{self, VerifiedNode};
use super::receipt::{self, ReceiptWanted};
use super::tls::{self, Connection};
use super::trust::{Clock, Trust};

/// The largest answer of a node, in bytes: its evidence with collateral.
pub(super) const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// The longest time for TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);
/// The longest time for one call. A node may wait for its PCCS and the chain.
const CALL_TIMEOUT: Duration = Duration::from_secs(25);
/// The URL that gRPC needs to have. The connection is there already.
const ANY_URL: &str = "http://kms.invalid";
/// The event that names the app.
const APP_ID_EVENT: &str = "app-id";

/// What this guest can show for itself.
pub struct Evidence {
    /// Where its quotes come from.
    pub platform: Platform,
    /// The OS-image manifest that it runs.
    pub os_image_manifest: Vec<u8>,
}

/// What is asked of a node, and what is believed.
pub struct BootRequest {
    /// This guest.
    pub evidence: Evidence,
    /// The KMS.
    pub trust: Trust,
    /// What verifies the node's quote.
    pub verifier: Verifier,
    /// Whether the node must make a quote for this session.
    pub fresh: bool,
    /// A certificate to ask for with the keys.
    pub certificate: Option<LeafRequest>,
    /// Whether to ask for a proof that the node's log has the release.
    pub receipt: ReceiptWanted,
}

/// What a boot has brought.
pub struct Booted {
    /// The app's keys.
    pub keys: AppKeys,
    /// The node that gave them.
    pub node: VerifiedNode,
    /// The certificate, if one was asked for.
    pub certificate: Option<AppCertificate>,
    /// The verified receipt, if one was asked for; or why it could not be had in time.
    pub receipt: Option<Result<Receipt, BootError>>,
}

/// Asks one node, `host:port`; `now` in Unix seconds.
pub async fn request_keys(request: &BootRequest, node: &str, now: u64) -> Result<Booted, BootError> {
    let clock = Clock::start(now);
    let roots = request.trust.roots(clock).await?;
    let connected = timeout(CONNECT_TIMEOUT, tls::connect(node)).await;
    let (stream, connection) =
        connected.unwrap_or_else(|_| Err(BootError::unreachable(node, "no answer in time")))?;
    let channel = channel(stream, node).await?;
    let mut client = BootClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES);
    let client_nonce = random_nonce()?;
    let ask = ChallengeRequest { client_nonce: client_nonce.0.to_vec(), fresh: request.fresh };
    let challenge =
        client.challenge(ask).await.map_err(|status| BootError::of_status(node, &status))?.into_inner();
    let (server_nonce, evidence) = read_challenge(challenge)?;
    let bindings = Bindings::new(&connection, client_nonce, server_nonce);
    let quote = node::verify(&evidence, &connection, &bindings.node, request, &roots, clock.now())?;
    request.trust.admit(&quote, &evidence.os_image_manifest, clock).await?;
    let (own, app_id) = own_evidence(&request.evidence, &bindings.own).await?;
    let answer = client.get_app_keys(own).await.map_err(|status| BootError::of_status(node, &status))?;
    let keys = AppKeys::check(answer.into_inner(), app_id, &roots.signer)?;
    let mut certificate = None;
    if let Some(asked) = &request.certificate {
        let answer = client.sign_app_certificate(asked.to_wire()).await;
        let answer = answer.map_err(|status| BootError::of_status(node, &status))?.into_inner();
        certificate = Some(AppCertificate::check(answer, asked, &roots.ca_spki, clock.now())?);
    }
    let receipt = receipt::obtain(channel, node, &keys.record, request.receipt).await?;
    let measurement = mr_aggregated(quote.td());
    let node = VerifiedNode { measurement, fresh: request.fresh, root_ca_spki: roots.ca_spki };
    Ok(Booted { keys, node, certificate, receipt })
}

/// gRPC on the connection that is there. It is never replaced by another: what is bound to it would not hold.
pub(super) async fn channel(stream: TlsStream<TcpStream>, node: &str) -> Result<Channel, BootError> {
    let only = Mutex::new(Some(stream));
    let connector = service_fn(move |_| {
        let stream = only.lock().ok().and_then(|mut only| only.take());
        async move { stream.map(TokioIo::new).ok_or(io::Error::from(io::ErrorKind::NotConnected)) }
    });
    let endpoint = Endpoint::from_static(ANY_URL).timeout(CALL_TIMEOUT);
    let channel = endpoint.connect_with_connector(connector).await;
    channel.map_err(|error| BootError::unreachable(node, error))
}

fn random_nonce() -> Result<Nonce, BootError> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(|_| BootError::Guest { what: "randomness" })?;
    Ok(Nonce(nonce))
}

fn read_challenge(challenge: ChallengeResponse) -> Result<(Nonce, NodeEvidence), BootError> {
    let nonce = Nonce::try_from(&challenge.server_nonce[..]);
    let nonce = nonce.map_err(|_| BootError::Answer { what: "nonce" })?;
    Ok((nonce, challenge.node.ok_or(BootError::Answer { what: "evidence" })?))
}

/// The same session through the eyes of either maker of a quote.
struct Bindings {
    own: SessionBinding,
    node: SessionBinding,
}

impl Bindings {
    fn new(connection: &Connection, client_nonce: Nonce, server_nonce: Nonce) -> Self {
        let (own_spki, peer_spki) = (connection.own_spki, SpkiHash::of(&connection.node_spki));
        let exporter = connection.exporter;
        let (own_nonce, peer_nonce) = (client_nonce, server_nonce);
        Self {
            own: SessionBinding { role: Role::App, peer_nonce, own_nonce, own_spki, peer_spki, exporter },
            node: SessionBinding {
                role: Role::Kms,
                peer_nonce: own_nonce,
                own_nonce: peer_nonce,
                own_spki: peer_spki,
                peer_spki: own_spki,
                exporter,
            },
        }
    }
}

/// This guest's evidence for the session, and the app id that its own log names.
async fn own_evidence(
    evidence: &Evidence,
    binding: &SessionBinding,
) -> Result<(GetAppKeysRequest, AppId), BootError> {
    let quoted = evidence.platform.quote(binding.report_data()).await.map_err(BootError::Quote)?;
    let event_log = quoted.event_log.ok_or(BootError::Guest { what: "an event log" })?;
    let log = EventLog::parse(&event_log).map_err(BootError::Node)?;
    let app_id = log.events().iter().find(|event| event.name == APP_ID_EVENT);
    let app_id = app_id.and_then(|event| <[u8; 20]>::try_from(&event.payload[..]).ok()).map(AppId);
    let app_id = app_id.ok_or(BootError::Guest { what: "an app id in its event log" })?;
    let os_image_manifest = evidence.os_image_manifest.clone();
    Ok((GetAppKeysRequest { quote: quoted.quote, event_log, os_image_manifest }, app_id))
}
