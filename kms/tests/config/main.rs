//! The configuration as operators meet it: faults, layers, the documented example, what is insecure, the policy digest.
#![allow(
    non_snake_case,
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod example;
mod faults;
mod hostile;
mod insecure;
mod layers;
mod ledger;
mod policy;
mod support;
mod witnesses;
