//! The OS-image manifest: which measurements an image has, under a name that is its own hash.
//!
//! ```text
//! { "version": 1, "name": "dstack-0.6.0", "mrtd": "<hex>", "rtmr0": ["<hex>", ...], "rtmr1": "<hex>", "rtmr2": "<hex>" }
//! os_image_hash = SHA-256(the manifest's bytes)
//! ```
//!
//! The guest presents the manifest with its quote. Nobody needs to be trusted for it: its hash is what the chain
//! allows or not, and its measurements must be those of the verified quote. RTMR0 depends on the machine (memory,
//! CPUs, devices), so a manifest lists one for each machine profile that the image was built for.

use serde::{Deserialize, Serialize};

use crate::deny::{DenyCode, DenyReason};
use crate::hash::sha256;
use crate::ids::{Measurement, OsImageHash};
use crate::json::from_object;
use crate::td::TdReport;

/// The largest manifest that is read, in bytes: room for some 500 machine profiles.
pub const MAX_MANIFEST_BYTES: usize = 64 * 1024;

/// What an OS-image manifest says. Unknown keys are errors: what is not understood may be a restriction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u32,
    name: String,
    mrtd: Measurement,
    rtmr0: Vec<Measurement>,
    rtmr1: Measurement,
    rtmr2: Measurement,
}

/// A well-formed OS-image manifest and its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OsImageManifest {
    hash: OsImageHash,
    content: Content,
}

impl OsImageManifest {
    /// Reads a manifest. Refused with `manifest-too-large` or `manifest-malformed`.
    pub fn parse(bytes: &[u8]) -> Result<Self, DenyReason> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            let found = format!("{} bytes", bytes.len());
            let expected = format!("at most {MAX_MANIFEST_BYTES} bytes");
            return Err(DenyReason::new(DenyCode::ManifestTooLarge, found, expected));
        }
        let malformed = |found: &str| {
            DenyReason::quoting(DenyCode::ManifestMalformed, found, "an OS-image manifest of version 1")
        };
        let content: Content = from_object(bytes).map_err(|error| malformed(&error.to_string()))?;
        if content.version != 1 {
            return Err(malformed(&format!("version {}", content.version)));
        }
        Ok(Self { hash: OsImageHash(sha256(&[bytes])), content })
    }

    /// The bytes of a manifest of an image with the given measurements.
    #[must_use]
    pub fn write(
        name: &str,
        mrtd: Measurement,
        rtmr0: &[Measurement],
        rtmr1: Measurement,
        rtmr2: Measurement,
    ) -> String {
        let rtmr0 = rtmr0.to_vec();
        let content = Content { version: 1, name: name.to_owned(), mrtd, rtmr0, rtmr1, rtmr2 };
        serde_json::json!(content).to_string()
    }

    /// The image's identity: SHA-256 of the bytes that were read.
    #[must_use]
    pub fn hash(&self) -> OsImageHash {
        self.hash
    }

    /// The image's name, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.content.name
    }

    /// Refuses with `os-image-mismatch` a TD that does not run this image. RTMR1 and RTMR2 only count together: the
    /// host can replace the kernel command line, which changes RTMR2 alone.
    pub fn check_runs(&self, td: &TdReport) -> Result<(), DenyReason> {
        let Content { mrtd, rtmr0, rtmr1, rtmr2, .. } = &self.content;
        let [found0, found1, found2, _] = &td.rtmr;
        for (name, found, allowed) in [
            ("MRTD", &td.mrtd, std::slice::from_ref(mrtd)),
            ("RTMR0", found0, rtmr0),
            ("RTMR1", found1, std::slice::from_ref(rtmr1)),
            ("RTMR2", found2, std::slice::from_ref(rtmr2)),
        ] {
            if !allowed.contains(found) {
                let expected = match allowed {
                    [one] => one.to_string(),
                    many => format!("one of the manifest's {} values", many.len()),
                };
                return Err(DenyReason::new(
                    DenyCode::OsImageMismatch,
                    format_args!("{name} {found}"),
                    expected,
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifest__should_be_named_by_its_bytes_and_read_back() {
        let register = Measurement([7; 48]);
        let written = OsImageManifest::write("image", register, &[register], register, register);
        let manifest = OsImageManifest::parse(written.as_bytes()).unwrap();
        assert_eq!((manifest.name(), manifest.hash().0), ("image", sha256(&[written.as_bytes()])));
    }

    #[test]
    fn manifest__should_refuse_each_malformation_with_its_code() {
        let hex = "07".repeat(48);
        let whole = format!(
            r#"{{"version":1,"name":"x","mrtd":"{hex}","rtmr0":[],"rtmr1":"{hex}","rtmr2":"{hex}"}}"#
        );
        assert!(OsImageManifest::parse(whole.as_bytes()).is_ok());
        for (json, code) in [
            (" ".repeat(MAX_MANIFEST_BYTES + 1), DenyCode::ManifestTooLarge),
            (String::new(), DenyCode::ManifestMalformed),
            (whole.replace(":1,", ":2,"), DenyCode::ManifestMalformed),
            (whole.replace("\"version\"", "\"extra\":0,\"version\""), DenyCode::ManifestMalformed),
            (whole.replace("rtmr2", "rtmr3"), DenyCode::ManifestMalformed),
            (whole.replacen("07", "", 1), DenyCode::ManifestMalformed),
            (format!(r#"[1,"x","{hex}",[],"{hex}","{hex}"]"#), DenyCode::ManifestMalformed),
        ] {
            assert_eq!(OsImageManifest::parse(json.as_bytes()).unwrap_err().code, code, "{json}");
        }
    }
}
