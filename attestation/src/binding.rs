//! The session binding: the report data that ties a quote to one role in one TLS session.
//!
//! ```text
//! report_data = SHA-512(ctx)
//! ctx = field("onchain-kms/binding/v1") || field(role) || field(peer nonce, 32) || field(own nonce, 32)
//!    || field(SHA-256(own leaf SPKI)) || field(SHA-256(peer leaf SPKI)) || field(TLS exporter, 32)
//! field(x) = length of x in bytes, u32 big endian || x
//! role = "app" | "kms"
//! ```
//!
//! **Whose "own", whose "peer".** Always the view of the party that *makes* the quote. The verifier builds the
//! same value by looking through the other's eyes:
//!
//! | field | a quote by the CVM (`app`) | a quote by the node (`kms`) |
//! |---|---|---|
//! | `peer_nonce` | the node's `server_nonce` | the CVM's `client_nonce` |
//! | `own_nonce` | the CVM's `client_nonce` | the node's `server_nonce` |
//! | `own_spki` | the client certificate's key | the server certificate's key |
//! | `peer_spki` | the server certificate's key | the client certificate's key |
//! | `exporter` | the same on both ends (RFC 8446, 7.5) | the same on both ends |
//!
//! Called by the side that asks for a quote, by the side that checks it, and by the auditor, who recomputes it
//! from a record. It never touches a connection: the caller brings the exporter and the keys.
//!
//! Threats: the nonces answer replay of an old quote; the two keys and the exporter answer relaying a quote that
//! was made for another connection (a quote bound to a certificate key alone can be relayed: CVE-2026-33697);
//! the role answers reflecting a quote back at its maker; the length prefixes answer moving bytes between fields.

use std::fmt;

use crate::deny::{DenyCode, DenyReason};
use crate::hash::sha512;
use crate::ids::{Nonce, ReportData, SpkiHash, TlsExporter};
use crate::quote::Quote;

/// The first field of the context: the version of this format.
pub const BINDING_VERSION: &str = "onchain-kms/binding/v1";
/// The label of the TLS exporter. Its context is empty and its length is 32 bytes.
pub const EXPORTER_LABEL: &str = "EXPORTER-onchain-kms-attestation";

/// The part that the maker of a quote plays in the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The CVM that asks for keys.
    App,
    /// The KMS node.
    Kms,
}

impl Role {
    /// The role as it stands in the context.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Kms => "kms",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Everything that a session's quote is bound to, as its maker sees it (see the module's table).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionBinding {
    /// What the maker of the quote is.
    pub role: Role,
    /// The nonce of the party that will check the quote.
    pub peer_nonce: Nonce,
    /// The nonce of the party that makes the quote.
    pub own_nonce: Nonce,
    /// The leaf key of the party that makes the quote.
    pub own_spki: SpkiHash,
    /// The leaf key of the party that will check the quote.
    pub peer_spki: SpkiHash,
    /// The connection.
    pub exporter: TlsExporter,
}

impl SessionBinding {
    /// The context, byte for byte as it is hashed.
    #[must_use]
    pub fn context_bytes(&self) -> Vec<u8> {
        let fields: [&[u8]; 7] = [
            BINDING_VERSION.as_bytes(),
            self.role.as_str().as_bytes(),
            &self.peer_nonce.0,
            &self.own_nonce.0,
            &self.own_spki.0,
            &self.peer_spki.0,
            &self.exporter.0,
        ];
        let mut context = Vec::new();
        for field in fields {
            push_field(&mut context, field);
        }
        context
    }

    /// The report data that the quote must carry.
    #[must_use]
    pub fn report_data(&self) -> ReportData {
        ReportData(sha512(&[&self.context_bytes()]))
    }

    /// Refuses with `binding-mismatch` the report data of a *verified* quote that was not made for this session.
    ///
    /// Both values are public: they stand in the quote and in the record. The comparison need not hide its time.
    pub fn check(&self, found: &ReportData) -> Result<(), DenyReason> {
        let expected = self.report_data();
        if *found == expected {
            return Ok(());
        }
        Err(mismatch(found, format_args!("{expected}, bound to role {} in this session", self.role)))
    }
}

/// A node's quote that must be bound to `expected`: a session with role `kms`, or the key of the node's certificate.
///
/// Refused with `binding-mismatch` where it was, by its own words, made for something else: that is not worth a signature
/// check.
pub fn bound_quote(quote: Quote, expected: ReportData) -> Result<Quote, DenyReason> {
    let found = quote.td().report_data;
    if found == expected { Ok(quote) } else { Err(mismatch(&found, expected)) }
}

fn mismatch(found: &ReportData, expected: impl fmt::Display) -> DenyReason {
    DenyReason::new(DenyCode::BindingMismatch, format_args!("report data {found}"), expected)
}

#[expect(clippy::cast_possible_truncation, reason = "the fields are at most 32 bytes")]
fn push_field(context: &mut Vec<u8>, field: &[u8]) {
    context.extend_from_slice(&(field.len() as u32).to_be_bytes());
    context.extend_from_slice(field);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::hash::sha256;

    fn counting_from(first: u8) -> [u8; 32] {
        std::array::from_fn(|i| first + u8::try_from(i).unwrap())
    }

    fn binding() -> SessionBinding {
        SessionBinding {
            role: Role::App,
            peer_nonce: Nonce(counting_from(0)),
            own_nonce: Nonce(counting_from(32)),
            own_spki: SpkiHash(counting_from(64)),
            peer_spki: SpkiHash(counting_from(96)),
            exporter: TlsExporter(counting_from(128)),
        }
    }

    #[test]
    fn report_data__should_match_an_independent_computation() {
        // python3: ctx = b"".join(struct.pack(">I", len(f)) + f for f in fields); hashlib.sha512(ctx)
        let app = "143594c795c93a80cd5261543bfc0a9ba33da35b340472ade538b0d68bf2e8a6\
                   e2f70aa0fecf86db3975213eeaf623457c3d5ff90b5ae21c83e4dff7d16127b6";
        let kms = "76034bffccd3172f6206b1353fcafa2e177afdae0e1e52e4fd9a05239373be3a\
                   02e88b6df4c3b4355f9a7ecc0b7cbdf7c14d3da01ce6bdfec5ca2bbfeb95408d";
        assert_eq!(binding().report_data().to_string(), app);
        assert_eq!(SessionBinding { role: Role::Kms, ..binding() }.report_data().to_string(), kms);
    }

    #[test]
    fn context_bytes__should_prefix_every_field_with_its_length() {
        let context = binding().context_bytes();
        assert!(context.starts_with(b"\0\0\0\x16onchain-kms/binding/v1\0\0\0\x03app\0\0\0\x20\x00\x01\x02"));
        assert_eq!(context.len(), (4 + 22) + (4 + 3) + 5 * (4 + 32));
    }

    #[test]
    fn report_data__should_change_with_every_field() {
        let other = [0xFF; 32];
        let variants = [
            binding(),
            SessionBinding { role: Role::Kms, ..binding() },
            SessionBinding { peer_nonce: Nonce(other), ..binding() },
            SessionBinding { own_nonce: Nonce(other), ..binding() },
            SessionBinding { own_spki: SpkiHash(other), ..binding() },
            SessionBinding { peer_spki: SpkiHash(other), ..binding() },
            SessionBinding { exporter: TlsExporter(other), ..binding() },
        ];
        let distinct: BTreeSet<_> = variants.iter().map(SessionBinding::report_data).collect();
        assert_eq!(distinct.len(), variants.len());
    }

    #[test]
    fn check__should_refuse_a_reflected_quote() {
        // The peer sends our own quote back: seen through its eyes, roles, nonces and keys are swapped.
        let ours = binding();
        let theirs = SessionBinding {
            role: Role::Kms,
            peer_nonce: ours.own_nonce,
            own_nonce: ours.peer_nonce,
            own_spki: ours.peer_spki,
            peer_spki: ours.own_spki,
            exporter: ours.exporter,
        };
        let refused = theirs.check(&ours.report_data()).unwrap_err();
        assert_eq!(refused.code, DenyCode::BindingMismatch);
        assert!(refused.found.contains(&ours.report_data().to_string()), "{refused}");
        assert!(refused.expected.contains(&theirs.report_data().to_string()), "{refused}");
        // Even with equal keys and nonces on both sides, the role alone tells the two apart.
        assert!(SessionBinding { role: Role::Kms, ..ours }.check(&ours.report_data()).is_err());
        assert_eq!(ours.check(&ours.report_data()), Ok(()));
    }

    #[test]
    fn spki_hash__should_cover_the_whole_structure() {
        assert_eq!(SpkiHash::of(b"spki").0, sha256(&[b"spki"]));
    }

    #[test]
    fn nonce__should_refuse_a_wrong_length() {
        assert!(Nonce::try_from(&[0_u8; 31][..]).is_err());
        assert!(Nonce::try_from(&[0_u8; 33][..]).is_err());
        assert_eq!(Nonce::try_from(&[7_u8; 32][..]).unwrap(), Nonce([7; 32]));
    }

    /// Splits a context back into its fields, as only an unambiguous encoding allows.
    fn split(mut context: &[u8]) -> Vec<Vec<u8>> {
        let mut fields = Vec::new();
        while let Some((length, rest)) = context.split_first_chunk::<4>() {
            let (field, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
            fields.push(field.to_vec());
            context = rest;
        }
        fields
    }

    proptest! {
        #[test]
        fn context_bytes__should_let_no_byte_move_between_fields(
            bytes in any::<[[u8; 32]; 5]>(), kms in any::<bool>(),
        ) {
            let [a, b, c, d, e] = bytes;
            let role = if kms { Role::Kms } else { Role::App };
            let binding = SessionBinding {
                role,
                peer_nonce: Nonce(a),
                own_nonce: Nonce(b),
                own_spki: SpkiHash(c),
                peer_spki: SpkiHash(d),
                exporter: TlsExporter(e),
            };
            let expected: Vec<Vec<u8>> = [BINDING_VERSION.as_bytes(), role.as_str().as_bytes()]
                .into_iter()
                .chain(bytes.iter().map(<[u8; 32]>::as_slice))
                .map(<[u8]>::to_vec)
                .collect();
            prop_assert_eq!(split(&binding.context_bytes()), expected);
        }
    }
}
