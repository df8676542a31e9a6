//! What is known of a connection once its handshake is done, and the attestation session that it may carry.
//!
//! One connection has at most one open challenge: a new one replaces it, a release takes it. Everything a quote is bound
//! to is here, so that nothing of it ever comes from a request. Threats: a nonce that is used twice, late, or on
//! another connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kms_attestation::ids::{Nonce, SpkiHash, TlsExporter};
use kms_attestation::{BootIdentity, Role, SessionBinding};
use kms_chain::Question;

use super::activity::{Activity, InHand};
use crate::node::certificate::NodeCertificate;

/// A connection, shared by the requests on it.
pub struct Connection {
    /// Where it comes from.
    pub peer: SocketAddr,
    /// The client's leaf key; none where it showed no certificate.
    pub client: Option<ClientKey>,
    /// The certificate that this node showed.
    pub certificate: Arc<NodeCertificate>,
    /// The TLS exporter (RFC 8446, 7.5).
    pub exporter: TlsExporter,
    activity: Arc<Activity>,
    session: Mutex<Session>,
}

/// The key of a client's certificate, which the handshake has proven to be in its hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientKey {
    /// SubjectPublicKeyInfo in DER.
    pub spki_der: Vec<u8>,
    /// Its hash, which sessions are bound to.
    pub hash: SpkiHash,
}

impl ClientKey {
    /// The key with its hash.
    #[must_use]
    pub fn new(spki_der: Vec<u8>) -> Self {
        Self { hash: SpkiHash::of(&spki_der), spki_der }
    }
}

/// An app that was given its keys on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// Who it is.
    pub identity: BootIdentity,
    /// What the contracts were asked about it, and can be asked again.
    pub question: Question,
}

#[derive(Default)]
struct Session {
    challenge: Option<Challenge>,
    released: Option<Released>,
}

/// Both nonces of an attestation session, and until when they may be used.
#[derive(Debug, Clone, Copy)]
pub struct Challenge {
    /// Chosen by the client.
    pub client_nonce: Nonce,
    /// Chosen by this node.
    pub server_nonce: Nonce,
    expires: Instant,
}

/// Why there is no challenge to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoChallenge {
    /// None was asked for, or it was used.
    Missing,
    /// It was not used in time.
    Expired,
}

impl Connection {
    /// A connection whose handshake is done.
    pub(crate) fn new(
        peer: SocketAddr,
        client: Option<ClientKey>,
        certificate: Arc<NodeCertificate>,
        exporter: TlsExporter,
    ) -> Self {
        let (activity, session) = (Activity::new(), Mutex::default());
        Self { peer, client, certificate, exporter, activity, session }
    }

    /// A request begins.
    pub(crate) fn begin_request(&self) -> InHand {
        self.activity.begin()
    }

    /// What happens on it.
    pub(super) fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Opens a challenge, in place of one that is open.
    pub fn open_challenge(&self, client_nonce: Nonce, server_nonce: Nonce, lifetime: Duration) -> Challenge {
        let challenge = Challenge { client_nonce, server_nonce, expires: Instant::now() + lifetime };
        self.session().challenge = Some(challenge);
        challenge
    }

    /// Takes the challenge: whatever becomes of the request, it cannot be answered again.
    pub fn take_challenge(&self) -> Result<Challenge, NoChallenge> {
        let challenge = self.session().challenge.take().ok_or(NoChallenge::Missing)?;
        if Instant::now() > challenge.expires {
            return Err(NoChallenge::Expired);
        }
        Ok(challenge)
    }

    /// Notes that this connection's client was given an app's keys.
    pub fn note_release(&self, released: Released) {
        self.session().released = Some(released);
    }

    /// Whom keys were released to on this connection.
    pub fn released(&self) -> Option<Released> {
        self.session().released.clone()
    }

    /// What the client's quote must be bound to.
    #[must_use]
    pub fn client_binding(&self, challenge: &Challenge, client: &ClientKey) -> SessionBinding {
        SessionBinding {
            role: Role::App,
            peer_nonce: challenge.server_nonce,
            own_nonce: challenge.client_nonce,
            own_spki: client.hash,
            peer_spki: self.certificate.spki_hash(),
            exporter: self.exporter,
        }
    }

    /// What this node's quote is bound to, where the client asks for a fresh one.
    #[must_use]
    pub fn node_binding(&self, challenge: &Challenge, client: &ClientKey) -> SessionBinding {
        SessionBinding {
            role: Role::Kms,
            peer_nonce: challenge.client_nonce,
            own_nonce: challenge.server_nonce,
            own_spki: self.certificate.spki_hash(),
            peer_spki: client.hash,
            exporter: self.exporter,
        }
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        // Nothing panics while it holds the lock; were it so, the session's fields would still be whole.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
