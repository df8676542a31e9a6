//! Witnesses: others who remember how a log went on, and cosign only what continues it (C2SP `tlog-witness`).
//!
//! ```text
//! POST <prefix>/add-checkpoint    old <size> | consistency proof | checkpoint
//!   200 cosignature    409 and the size that the witness knows    404, 403, 400, 422 otherwise
//! ```
//!
//! [`WitnessClient`] is for nodes, [`Witness`] and [`serve_witness`] are for those who watch one. Threats: a log that is rolled
//! back, or that goes on differently for different readers. A witness that loses its folder has forgotten everything.

mod client;
mod request;
mod server;
mod state;
mod watch;

pub use self::client::WitnessClient;
pub use self::request::{AddCheckpoint, MAX_REQUEST_BYTES};
pub use self::server::serve_witness;
pub use self::watch::{Verdict, Witness};

#[cfg(test)]
mod tests;
