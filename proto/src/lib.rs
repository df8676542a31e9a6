//! The wire of `onchainkms.v1`: gRPC services and messages, generated from the `.proto` files beside this crate.
//!
//! Holds no logic. What each field means, its length and its bounds stand in the `.proto` files and in
//! `docs/PROTOCOL.md`. The messages that carry keys have no `Debug`, so that no log can show them.
#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    reason = "generated code"
)]

/// Version 1 of the protocol.
pub mod v1 {
    tonic::include_proto!("onchainkms.v1");
}

/// The domain of this protocol's codes in `google.rpc.ErrorInfo`.
pub const ERROR_DOMAIN: &str = "onchain-kms";

/// The services and messages as a `FileDescriptorSet`, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
