//! The field's identifiers as types: parsed once at the edge, never padded, never truncated.
//!
//! Every identifier is a fixed number of bytes. Its text form, in `Display`, `FromStr` and serde, is lower-case
//! hexadecimal without `0x`; parsing also accepts upper case and one leading `0x`, because people paste
//! addresses. A wrong length is an error, never a shorter or zero-padded value.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Text that is not the hexadecimal form of an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is not {expected} bytes of hexadecimal (found {found})")]
pub struct ParseIdError {
    /// The identifier's type, for instance `AppId`.
    pub name: &'static str,
    /// The number of bytes that it has.
    pub expected: usize,
    /// What was found instead: a length, or the fact that it is not hexadecimal.
    pub found: String,
}

fn parse_hex<const N: usize>(name: &'static str, text: &str) -> Result<[u8; N], ParseIdError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).map_err(|error| ParseIdError {
        name,
        expected: N,
        found: match error {
            hex::FromHexError::InvalidHexCharacter { .. } => "other characters".to_owned(),
            _ => format!("{} hexadecimal digits", digits.len()),
        },
    })?;
    Ok(bytes)
}

macro_rules! identifier {
    ($(#[doc = $doc:literal])+ $name:ident, $len:literal) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// The number of bytes.
            pub const LEN: usize = $len;

            /// The value whose bytes are all zero.
            pub const ZERO: Self = Self([0; $len]);

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Whether every byte is zero.
            #[must_use]
            pub fn is_zero(&self) -> bool {
                *self == Self::ZERO
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_hex(stringify!($name), text).map(Self)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = ParseIdError;

            fn try_from(bytes: &[u8]) -> Result<Self, ParseIdError> {
                bytes.try_into().map(Self).map_err(|_| ParseIdError {
                    name: stringify!($name),
                    expected: $len,
                    found: format!("{} bytes", bytes.len()),
                })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

identifier!(
    /// The application: the address of its `DstackApp` contract, or the first 20 bytes of the compose hash where
    /// there is no contract.
    AppId, 20
);
identifier!(
    /// One deployment of an application: keeps its disk apart from its siblings'.
    InstanceId, 20
);
identifier!(
    /// The code that runs: SHA-256 of the exact bytes of `app-compose.json`.
    ComposeHash, 32
);
identifier!(
    /// The hardware: SHA-256 of the PPID.
    DeviceId, 32
);
identifier!(
    /// The OS image: SHA-256 of the bytes of its manifest.
    OsImageHash, 32
);
identifier!(
    /// SHA-256 of MRTD, RTMR0, RTMR1, RTMR2 and the key provider's hash: the system below the app.
    MrSystem, 32
);
identifier!(
    /// SHA-256 of MRTD and all four RTMRs, and of the configuration registers when any is set.
    MrAggregated, 32
);
identifier!(
    /// A TDX measurement register, a SHA-384 digest: MRTD, RTMR0-3, MRCONFIGID, MROWNER, MROWNERCONFIG, MRSEAM.
    Measurement, 48
);
identifier!(
    /// The 64 bytes that a TD chose when it asked for its quote.
    ReportData, 64
);
identifier!(
    /// Platform Provisioning ID: identifies one piece of hardware. It appears in clear in every quote.
    Ppid, 16
);
identifier!(
    /// Family, model, stepping, platform type and custom SKU: which TCB info applies to a platform.
    Fmspc, 6
);
identifier!(
    /// SHA-384 of a root certificate's public key: which root of trust a quote was verified against.
    RootKeyId, 48
);

identifier!(
    /// 32 bytes of randomness that one party chose for one session. Its freshness is the chooser's promise to itself: a
    /// party trusts only its own nonce.
    Nonce, 32
);
identifier!(
    /// SHA-256 of a leaf certificate's SubjectPublicKeyInfo, the whole DER structure.
    SpkiHash, 32
);
identifier!(
    /// The TLS exporter of a connection. Not a secret (RFC 9266).
    TlsExporter, 32
);

/// Which root secret a key was derived from: 0 first, one more with each rotation.
///
/// Every derivation, response and record carries it. On the wire 4 bytes, big endian; in text and JSON a number.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct RootEpoch(pub u32);

impl RootEpoch {
    /// The first epoch.
    pub const FIRST: Self = Self(0);

    /// The four bytes that stand for it in everything that is hashed or signed.
    #[must_use]
    pub const fn to_be_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for RootEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RootEpoch {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl SpkiHash {
    /// The hash of a SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn of(spki_der: &[u8]) -> Self {
        Self(crate::hash::sha256(&[spki_der]))
    }
}

impl Ppid {
    /// The device's identity, `SHA-256(PPID)`.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        DeviceId(crate::hash::sha256(&[&self.0]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_id__should_be_sha256_of_the_ppid() {
        // The value that dstack prints for a platform whose PPID is all zeros.
        let id = Ppid::ZERO.device_id().to_string();
        assert!(id.starts_with("374708ff") && id.ends_with("37bb"), "{id}");
    }

    #[test]
    fn identifier__should_refuse_a_wrong_length_and_never_pad() {
        assert!("0x01".parse::<AppId>().is_err());
        assert!("00".repeat(21).parse::<AppId>().is_err());
        assert!("zz".repeat(20).parse::<AppId>().is_err());
        assert!(AppId::try_from(&[0_u8; 19][..]).is_err());
        assert_eq!(format!("0x{}", "Ab".repeat(20)).parse::<AppId>().unwrap(), AppId([0xab; 20]));
    }

    #[test]
    fn identifier__should_round_trip_through_json() {
        let id = ComposeHash([7; 32]);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{}\"", "07".repeat(32)));
        assert_eq!(serde_json::from_str::<ComposeHash>(&json).unwrap(), id);
    }
}
