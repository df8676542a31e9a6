//! The system as it runs: `kms-node`, `kms-client` and `kms-simulator` as processes, a real chain, real TLS.
//!
//! One program, so that it is linked once and its tests share the machine: `make end-to-end`. Each module is a theme.
#![allow(
    non_snake_case,
    missing_docs,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod admission;
mod app_certificate;
mod audit;
mod auditors;
mod books;
mod chain_pins;
mod client;
mod clock;
mod codes;
mod crash;
mod dependencies;
mod disks;
mod finality;
mod forged;
mod grace;
mod happy;
mod ledger;
mod metrics;
mod mirror;
mod quorum;
mod receipts;
mod refusals;
mod relays;
mod renewal;
mod stop;
mod transport;
mod watch;
mod witnesses;
