//! The `Boot` service: a challenge, a release, certificates.
//!
//! ```text
//! Session<Connected> ─attest─▶ Session<Attested> ─authorise─▶ Release<Authorised> ─record─▶ Release<Recorded> ─▶ keys
//! ```
//!
//! Only a recorded release can be turned into keys: "record before release" is checked by the compiler.

mod certificate;
mod release;
mod service;
mod session;

pub(crate) use service::BootService;
