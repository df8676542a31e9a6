//! Why a certificate is not issued, in the form of every refusal.

use kms_attestation::refusal::Refusal;

use crate::keys::error::KeyError;

kms_attestation::deny_codes! {
    /// Why a certificate is not issued.
    pub enum CertificateCode {
        Request = "certificate-request", Request,
            "The request cannot be granted as a whole.",
            "Send a PKCS #10 request with DNS names and TLS usages alone, signed by its own P-256 key.";
        PublicKey = "certificate-public-key", Request,
            "The public key is of another kind than certificates here have.",
            "Make a P-256 key, and send its SubjectPublicKeyInfo in DER.";
        Name = "certificate-name", Request,
            "A name is not a DNS name that a certificate may hold.",
            "Ask for DNS names in lower case, without wildcards, and for no IP address.";
        NameOutside = "certificate-name-outside", Request,
            "A name is not one of the app's.",
            "Ask for the app's name or names below it.";
        NameReserved = "certificate-name-reserved", Node,
            "A name of the node lies among those of apps.",
            "Give the node a name outside the apps' zone.";
        NameCount = "certificate-name-count", Request,
            "There are no names, or too many.",
            "Ask for one to sixteen names; split what is more.";
        Usage = "certificate-usage", Request,
            "A usage is not one that policy grants.",
            "Ask for granted usages only.";
        Lifetime = "certificate-lifetime", Request,
            "The validity is too short or too long.",
            "Ask for a validity within the bounds.";
        IssuerExpired = "certificate-issuer-expired", Request,
            "The certificate of the app's CA has ended.",
            "Request the app's keys anew: the CA comes with them.";
        NotMade = "certificate-not-made", Node,
            "The certificate could not be made.",
            "Check the node's clock; if it is right, report this: it should not happen.";
    }
}

/// Why a certificate is not issued.
pub type CertificateDeny = Refusal<CertificateCode>;

impl From<KeyError> for CertificateDeny {
    fn from(error: KeyError) -> Self {
        Self::new(CertificateCode::NotMade, error, "a certificate")
    }
}

/// A request that is refused for what it is or asks for.
pub(super) fn request(found: &str) -> CertificateDeny {
    CertificateDeny::new(
        CertificateCode::Request,
        found,
        "DNS names and TLS usages, signed by the request's own key",
    )
}

/// A public key of another kind.
pub(super) fn public_key() -> CertificateDeny {
    CertificateDeny::new(CertificateCode::PublicKey, "something else", "a P-256 point on its curve")
}
