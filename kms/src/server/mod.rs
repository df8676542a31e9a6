//! Connections: who may connect, TLS, and what a connection is bound to.
//!
//! ```text
//! TcpListener ─▶ Gate (room?) ─▶ TLS 1.3 handshake (in time?) ─▶ Connection ─▶ tonic ─▶ services
//! ```
//!
//! Owns everything below gRPC. Knows no app and no key.

mod admission;
mod connection;
mod listen;
mod stream;
mod tls;

pub use admission::ConnectionLimits;
pub use connection::{Challenge, ClientKey, Connection, NoChallenge, Released};
pub use listen::ConnectionTimes;
pub(crate) use listen::accept;
pub(crate) use tls::server_config;
