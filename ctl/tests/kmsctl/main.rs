//! `kmsctl` as a process: what it prints, what it writes, and above all its exit codes.
#![allow(non_snake_case, missing_docs, clippy::panic, clippy::unwrap_used, clippy::indexing_slicing)]

// The helper of another crate's tests.
#[path = "../../../chain/tests/anvil_support/mod.rs"]
mod anvil_support;
mod audit;
mod compose;
mod device;
mod doctor;
mod env;
mod explain;
// The helper of another crate's tests, which use more of it.
#[allow(dead_code)]
#[path = "../../../attestation/tests/common/mod.rs"]
mod fixture;
mod genuine;
mod hostile;
mod owner;
mod run;
// The helper of another crate's tests.
#[allow(unreachable_pub, clippy::expect_used, clippy::missing_panics_doc, clippy::must_use_candidate)]
#[path = "../../../tests/src/s3.rs"]
mod s3;
// The helper of another crate's tests.
#[path = "../../../ledger/tests/support/mod.rs"]
mod scene;
mod services;
mod simulated;
mod usage;
mod verify;
