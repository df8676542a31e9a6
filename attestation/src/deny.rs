//! Why evidence is refused: the codes of this crate.
//!
//! A code is part of the protocol: callers match on it, records keep it, the documentation lists it. It is never
//! renamed or reused. The text around it may improve. The form of a refusal is that of every crate (module `refusal`).

pub use crate::refusal::DenyClass;
use crate::refusal::Refusal;

/// A refusal of evidence.
pub type DenyReason = Refusal<DenyCode>;

crate::deny_codes! {
    /// The stable codes of everything that this crate refuses.
    pub enum DenyCode {
        // The quote's form.
        QuoteTooLarge = "quote-too-large", Evidence,
            "The quote is larger than any genuine quote.",
            "Send the quote alone, as the quoting enclave returned it.";
        QuoteMalformed = "quote-malformed", Evidence,
            "The bytes are not a well-formed DCAP quote.",
            "Check that the whole quote was sent and that it was not re-encoded on the way.";
        QuoteTrailingBytes = "quote-trailing-bytes", Evidence,
            "Bytes follow the end of the quote.",
            "Cut the quote at the length that its signature data states.";
        QuoteVersion = "quote-version-unsupported", Evidence,
            "The quote's version is not supported.",
            "Use a TDX quote of version 4 or 5.";
        QuoteTeeType = "quote-tee-type-unsupported", Evidence,
            "The quote is not from Intel TDX.",
            "Run the guest in a TDX virtual machine.";
        QuoteKeyType = "quote-key-type-unsupported", Evidence,
            "The attestation key is not ECDSA P-256.",
            "Use Intel's quoting enclave for ECDSA P-256.";
        QuoteVendor = "quote-vendor-unknown", Evidence,
            "The quoting enclave is not Intel's.",
            "Use Intel's quoting enclave.";
        QuoteCertificationType = "quote-certification-type-unsupported", Evidence,
            "The quote does not carry its PCK certificate chain.",
            "Register the host with Intel and configure its quote generation service to embed the PCK chain (type 5).";
        // Who signed it.
        PckChainMalformed = "pck-chain-malformed", Evidence,
            "The quote's PCK certificate chain cannot be read.",
            "Re-provision the host's PCK certificates from its PCCS.";
        PckChainUntrusted = "pck-chain-untrusted", Evidence,
            "The quote's PCK certificate does not lead to the root of trust.",
            "Check that the platform and the verifier use the same root: Intel's in production.";
        PckExpired = "pck-expired", Platform,
            "The PCK certificate, or the CA that issued it, has expired.",
            "Re-provision the host's PCK certificates from its PCCS.";
        PckNotYetValid = "pck-not-yet-valid", Platform,
            "The PCK certificate, or the CA that issued it, is not valid yet.",
            "Check the verifier's clock.";
        PckRevoked = "pck-revoked", Platform,
            "Intel has revoked this platform's PCK certificate.",
            "Retire the platform: its keys are considered compromised.";
        PckCaRevoked = "pck-ca-revoked", Platform,
            "Intel has revoked the CA that issued this platform's PCK certificate.",
            "Re-provision the host under Intel's current CA.";
        PckCrlMismatch = "pck-crl-mismatch", Collateral,
            "The collateral's revocation list is not from the CA that issued this PCK certificate.",
            "Fetch the collateral for the CA named in the PCK certificate (platform or processor).";
        PpidInvalid = "ppid-invalid", Platform,
            "The PCK certificate names no usable platform identity.",
            "Register the host with Intel so that its PCK certificate carries its PPID.";
        FmspcMismatch = "fmspc-mismatch", Collateral,
            "The collateral is for another kind of platform.",
            "Fetch the collateral for the FMSPC in the quote's PCK certificate.";
        FmspcNotAllowed = "fmspc-not-allowed", Platform,
            "Policy does not allow this kind of platform.",
            "Add the FMSPC to the policy's allowed_fmspcs, or run on an allowed platform.";
        PceIdMismatch = "pceid-mismatch", Collateral,
            "The collateral is for another provisioning certification enclave.",
            "Fetch the collateral for the platform's own PCEID.";
        // The quoting enclave.
        QeReportSignature = "qe-report-signature-invalid", Evidence,
            "The quoting enclave's report is not signed by the PCK.",
            "Obtain a new quote; if it happens again, restart the host's quoting service.";
        QeReportBinding = "qe-report-binding-invalid", Evidence,
            "The quoting enclave's report does not vouch for the attestation key.",
            "Obtain a new quote; if it happens again, restart the host's quoting service.";
        QeIdentityMismatch = "qe-identity-mismatch", Evidence,
            "The quoting enclave is not the one that the collateral describes.",
            "Install Intel's signed TD quoting enclave on the host.";
        QeTcbUnknown = "qe-tcb-unknown", Platform,
            "The quoting enclave is older than any level that the collateral knows.",
            "Update the host's quoting enclave.";
        QeTcbNotAccepted = "qe-tcb-not-accepted", Platform,
            "The quoting enclave's TCB status is not accepted.",
            "Update the host's quoting enclave.";
        QuoteSignature = "quote-signature-invalid", Evidence,
            "The quote is not signed by its attestation key.",
            "Obtain a new quote; check that nothing changed its bytes on the way.";
        // The trust domain.
        TdDebug = "td-debug", Evidence,
            "The TD runs in debug mode: the host can read its memory.",
            "Start the guest without the debug attribute.";
        TdAttributes = "td-attributes-not-allowed", Evidence,
            "The TD's attributes are not exactly those of a production guest.",
            "Start the guest with SEPT_VE_DISABLE set and no other attribute.";
        TdXfam = "td-xfam-invalid", Evidence,
            "The TD's extended features contradict what the architecture allows.",
            "Start the guest with a supported CPU feature set.";
        TdServiceTd = "td-service-td-bound", Evidence,
            "A service TD is bound to the TD and could act on it.",
            "Start the guest without service TDs (no migration TD).";
        TdPartition = "td-partitioned", Evidence,
            "The quote was requested for a nested guest of a partitioned TD.",
            "Request the quote from an unpartitioned TD.";
        // The platform's state.
        TdxModuleMismatch = "tdx-module-mismatch", Platform,
            "The TDX module is not one that the collateral describes.",
            "Load Intel's signed TDX module.";
        TdxModuleUnknown = "tdx-module-unknown", Platform,
            "The TDX module is of a version or level that the collateral does not know.",
            "Update the host's TDX module, or refresh the collateral.";
        TcbUnknown = "tcb-level-unknown", Platform,
            "The platform is below every TCB level that the collateral knows.",
            "Update the host's BIOS, microcode and TDX module.";
        TcbRevoked = "tcb-revoked", Platform,
            "Intel has revoked the platform's TCB level.",
            "Update the host's BIOS, microcode and TDX module, then re-provision its PCK certificates.";
        TcbNotAccepted = "tcb-status-not-accepted", Platform,
            "The platform's TCB status is not accepted by policy.",
            "Update the host's BIOS, microcode and TDX module, then re-provision its PCK certificates.";
        TcbGraceExpired = "tcb-grace-expired", Platform,
            "The platform fell out of date longer ago than policy tolerates.",
            "Update the host's BIOS, microcode and TDX module, then re-provision its PCK certificates.";
        AdvisoryDenied = "advisory-denied", Platform,
            "A security advisory that policy denies applies to the platform.",
            "Install the update that the advisory names.";
        EvaluationNumber = "evaluation-number-too-low", Collateral,
            "The collateral's TCB evaluation data number is below what policy demands.",
            "Fetch current collateral.";
        // The collateral.
        CollateralTooLarge = "collateral-too-large", Collateral,
            "The collateral is larger than any genuine collateral.",
            "Use another PCCS.";
        CollateralMalformed = "collateral-malformed", Collateral,
            "The collateral cannot be read.",
            "Fetch it again, or use another PCCS.";
        CollateralWrongKind = "collateral-wrong-kind", Collateral,
            "The collateral is not for Intel TDX.",
            "Fetch the TCB info and the QE identity from the /tdx/ endpoints.";
        CollateralUntrusted = "collateral-untrusted", Collateral,
            "The collateral's signers do not lead to the root of trust.",
            "Check that the PCCS and the verifier use the same root: Intel's in production.";
        CollateralSignature = "collateral-signature-invalid", Collateral,
            "The collateral's signature is wrong: its bytes were changed.",
            "Fetch it again, or use another PCCS. The signature covers the exact bytes that Intel served.";
        CollateralSignerRevoked = "collateral-signer-revoked", Collateral,
            "Intel has revoked the certificate that signed the collateral.",
            "Fetch collateral that is signed by Intel's current TCB signing certificate.";
        CollateralExpired = "collateral-expired", Collateral,
            "The collateral has expired.",
            "Fetch current collateral, and check the verifier's clock.";
        CollateralNotYetValid = "collateral-not-yet-valid", Collateral,
            "The collateral was issued in the future.",
            "Check the verifier's clock.";
        CollateralStale = "collateral-stale", Collateral,
            "The collateral is older than policy accepts.",
            "Fetch current collateral.";
        CollateralRolledBack = "collateral-rolled-back", Collateral,
            "The collateral is older than collateral that was already seen.",
            "Use a PCCS that serves current collateral: this one serves old files.";
        VerifierDisagreement = "verifier-disagreement", Evidence,
            "The quote verifier refused what the checks before it had accepted.",
            "Report this with the quote and the collateral: it should not happen.";
        // The guest's event log.
        EventLogTooLarge = "event-log-too-large", Guest,
            "The event log is larger than a boot writes.",
            "Send the log as it is when keys are requested, before the application runs.";
        EventLogMalformed = "event-log-malformed", Guest,
            "The event log cannot be read.",
            "Send the JSON array of events that the guest agent returned.";
        EventDigestMismatch = "event-digest-mismatch", Guest,
            "An event's digest is not that of its name and payload.",
            "Send the log as the guest agent returned it.";
        EventMissing = "event-missing", Guest,
            "The event log lacks an event that every boot measures.",
            "Boot a supported guest image, and send the whole log.";
        EventUnexpected = "event-unexpected", Guest,
            "The event log holds an event where the format does not allow it.",
            "Boot a supported guest image; nothing else may extend RTMR3 before system-ready.";
        EventPayload = "event-payload-invalid", Guest,
            "An event's payload has the wrong form.",
            "Boot a supported guest image.";
        Rtmr3Mismatch = "rtmr3-mismatch", Guest,
            "The event log is not the one that the TD measured.",
            "Send the log that belongs to this quote, complete and unchanged.";
        BootFinished = "boot-finished", Guest,
            "The guest has finished booting: its application controls the log from then on.",
            "Request keys during boot, before system-ready is measured.";
        MrConfigId = "mr-config-id-mismatch", Guest,
            "The TD's configuration register names other code than its event log.",
            "Start the guest with the configuration that was measured.";
        // The OS image.
        ManifestTooLarge = "manifest-too-large", Guest,
            "The OS-image manifest is larger than any manifest.",
            "Send the manifest that was published with the image.";
        ManifestMalformed = "manifest-malformed", Guest,
            "The OS-image manifest cannot be read.",
            "Send the manifest that was published with the image, byte for byte.";
        OsImageMismatch = "os-image-mismatch", Guest,
            "The TD does not run the OS image that the manifest describes.",
            "Boot the image that the manifest was published with, on a host whose machine profile it lists.";
        // The channel.
        BindingMismatch = "binding-mismatch", Evidence,
            "The quote was not made for this session.",
            "Obtain a new quote whose report data is this session's binding.";
        RatlsEvidenceMissing = "ratls-evidence-missing", Evidence,
            "The certificate carries no attestation.",
            "Connect with an RA-TLS certificate.";
        RatlsMalformed = "ratls-evidence-malformed", Evidence,
            "The certificate's attestation cannot be read.",
            "Issue the certificate with a supported tool.";
        RatlsBinding = "ratls-binding-mismatch", Evidence,
            "The certificate's quote was not made for the certificate's key.",
            "Issue a new certificate, with a quote over its own public key.";
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes__should_be_unique_and_lower_case_words() {
        let codes: BTreeSet<_> = DenyCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), DenyCode::ALL.len());
        for code in codes {
            assert!(
                code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{code}"
            );
        }
    }

    #[test]
    fn codes__should_say_what_is_wrong_and_what_fixes_it() {
        for code in DenyCode::ALL {
            assert!(code.message().ends_with('.') && code.fix().ends_with('.'), "{code}");
        }
    }
}
