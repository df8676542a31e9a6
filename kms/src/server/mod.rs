//! Connections: who may connect, TLS, and what a connection is bound to.
//!
//! ```text
//! TcpListener ─▶ Gate (room?) ─▶ TLS 1.3 handshake (in time?) ─▶ Connection ─▶ tonic ─▶ Attended (in time?) ─▶ services
//! ```
//!
//! Owns everything below gRPC, and what holds of every request. Knows no app and no key.

mod activity;
mod admission;
mod auditors;
mod connection;
mod listen;
mod requests;
mod stream;
mod tls;

pub use admission::ConnectionLimits;
pub(crate) use admission::{Crowded, Gate};
pub(crate) use auditors::auditors_tls;
pub use connection::{Challenge, ClientKey, Connection, NoChallenge, Released};
pub use listen::ConnectionTimes;
pub(crate) use listen::{Entrance, HandshakeFault};
pub(crate) use requests::Attend;
pub(crate) use tls::server_config;
