//! Certificates: the root CA, an app's CA below it, and leaves.
//!
//! ```text
//! root CA (self-signed, path length 1, the same bytes on every node)
//!  ├─ app CA (path length 0, DNS names below <app id>.<zone> only, bounded validity) ── leaf
//!  └─ a node's certificate (carries its attestation)
//! ```
//!
//! What is stable: every public key and subject key identifier, and the root's certificate whole. App CAs and leaves are
//! issued anew with every release, with the validity of that moment; any of them chains to the root.
//!
//! A request says what is wanted; the policy says what is given. Nothing of a request is copied into a certificate
//! before it was parsed into a type and checked. Time is an argument.
//!
//! Threats: an app that asks for another app's name, for an IP address, a CA, or a certificate that never ends. Twice
//! answered: by the policy, and by the CA's own certificate, whose constraints every verifier of the chain enforces. The
//! CA's private key stays in the node.

mod app;
mod certificate;
mod csr;
mod deny;
mod name;
mod policy;
mod request;
mod root;

pub use self::app::AppCa;
pub use self::certificate::{Certified, Validity};
pub use self::csr::MAX_CSR_BYTES;
pub use self::deny::{CertificateCode, CertificateDeny};
pub use self::name::DnsName;
pub use self::policy::{CertificatePolicy, LeafUsage, Lifetime};
pub use self::request::{LeafPublicKey, LeafRequest, NodeRequest};
pub use self::root::RootCa;
