//! An app's CA. Its certificate says what may be issued below it, whatever a faulty node would sign.

use kms_attestation::ids::AppId;
use kms_attestation::ratls::{app_id_extension, usage, usage_extension};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, GeneralSubtree, IsCa, Issuer, KeyUsagePurpose,
    NameConstraints,
};

use super::certificate::{self, Certified, Validity};
use super::deny::{CertificateCode, CertificateDeny};
use super::name::DnsName;
use super::policy::CertificatePolicy;
use super::request::LeafRequest;
use super::root::RootCa;
use crate::keys::error::KeyError;
use crate::keys::p256_key::P256Key;

/// The CA of one app.
pub struct AppCa {
    app_id: AppId,
    key: P256Key,
    params: CertificateParams,
    certificate: Certified,
}

impl AppCa {
    pub(in crate::keys) fn issue(
        key: P256Key,
        root: &RootCa,
        app_id: AppId,
        policy: &CertificatePolicy,
        now: u64,
    ) -> Result<Self, KeyError> {
        let subject = format!("KMS app CA {app_id}");
        let failed = || KeyError::certificate(&subject, now);
        let names = DnsName::of_app(&app_id, policy.zone()).map_err(|_| failed())?;
        let validity = Validity::starting(now, policy.app_ca_lifetime(), RootCa::validity());
        let mut params = certificate::params(&subject, validity, &key)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(only_below(&names));
        let app_id_ext = app_id_extension(&app_id).map_err(|_| failed())?;
        let usage_ext = usage_extension(usage::APP_CA).map_err(|_| failed())?;
        certificate::extend(&mut params, [app_id_ext, usage_ext]);
        let der = params.signed_by(&key, &root.issuer()).map_err(|_| failed())?.der().to_vec();
        Ok(Self { app_id, key, params, certificate: Certified { der, validity } })
    }

    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certified {
        &self.certificate
    }

    /// The public key, SubjectPublicKeyInfo in DER: the same on every node and in every certificate.
    #[must_use]
    pub fn spki_der(&self) -> Vec<u8> {
        self.key.spki_der()
    }

    /// A leaf certificate for the app: within the policy, or a refusal that says what it would have granted.
    pub fn issue_leaf(
        &self,
        request: &LeafRequest,
        policy: &CertificatePolicy,
        now: u64,
    ) -> Result<Certified, CertificateDeny> {
        policy.check_leaf(&self.app_id, request)?;
        let ca = self.certificate.validity;
        if now >= ca.not_after {
            let found = format_args!("a CA that ended at {} (Unix seconds)", ca.not_after);
            return Err(CertificateDeny::new(
                CertificateCode::IssuerExpired,
                found,
                format_args!("one that is valid at {now}"),
            ));
        }
        let subject = format!("KMS app {}", self.app_id);
        let failed = KeyError::certificate(&subject, now);
        let validity = Validity::starting(now, request.lifetime, ca);
        let mut params = certificate::params(&subject, validity, &request.public_key)?;
        certificate::leaf(&mut params, &request.names, request.usages.iter().copied(), &failed)?;
        let app_id = app_id_extension(&self.app_id).map_err(|_| failed.clone())?;
        let usage = usage_extension(usage::APP_CUSTOM).map_err(|_| failed.clone())?;
        certificate::extend(&mut params, [app_id, usage]);
        let issuer = Issuer::from_params(&self.params, &self.key);
        let der = params.signed_by(&request.public_key, &issuer).map_err(|_| failed)?.der().to_vec();
        Ok(Certified { der, validity })
    }
}

/// DNS names below that name, and no IP address at all.
fn only_below(names: &DnsName) -> NameConstraints {
    NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(names.to_string())],
        excluded_subtrees: vec![
            GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])),
            GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])),
        ],
    }
}
