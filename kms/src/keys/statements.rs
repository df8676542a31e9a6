//! What the root says in public about an app's keys: the endorsement of its signing key and its CA's certificate.
//!
//! Both are the same for every release to the app but for the certificate's dates, and cost more than all the secrets of a
//! release together: so they are remembered for a while. Owns that memory and its bounds. No secret is in it, nor anything
//! that a secret could be found by: what it holds is sent to guests, who show it to anyone. Called by [`super::AppKeys`].
//! Threats: many apps that would fill it; a certificate that ends early because it was remembered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kms_attestation::ids::AppId;
use kms_client::signature::RecoverableSignature;

use super::app::AppSigningKey;
use super::ca::CertificatePolicy;
use super::error::KeyError;
use super::root::RootKeys;

/// The most apps that are remembered, at less than 2 KiB each; then all are forgotten.
const MAX_APPS: usize = 1024;
/// The longest that a certificate is given out again, in seconds.
const MAX_AGE: u64 = 3600;
/// The part of a certificate's validity that may be over when it is given out.
const MAX_PART: u64 = 100;

/// What the root says of an app.
pub struct AppStatements {
    /// The root signer's word that the signing key is this app's.
    pub endorsement: RecoverableSignature,
    /// The certificate of the app's CA, in DER.
    pub ca_certificate: Vec<u8>,
}

/// Statements that were made a short while ago.
#[derive(Default)]
pub(super) struct StatementMemory(Mutex<HashMap<AppId, Made>>);

struct Made {
    policy: CertificatePolicy,
    /// In Unix seconds.
    at: u64,
    statements: Arc<AppStatements>,
}

impl Made {
    fn serves(&self, policy: &CertificatePolicy, now: u64) -> bool {
        let max_age = MAX_AGE.min(policy.app_ca_lifetime().secs() / MAX_PART);
        self.policy == *policy && now.checked_sub(self.at).is_some_and(|age| age <= max_age)
    }
}

impl StatementMemory {
    /// The statements that serve at `now`, in Unix seconds; made where there are none.
    pub(super) fn of(
        &self,
        root: &RootKeys,
        app_id: AppId,
        policy: &CertificatePolicy,
        now: u64,
    ) -> Result<Arc<AppStatements>, KeyError> {
        // Nothing panics while it holds the lock.
        let made = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made().get(&app_id).filter(|made| made.serves(policy, now)) {
            return Ok(Arc::clone(&made.statements));
        }
        let statements = Arc::new(AppStatements::make(root, app_id, policy, now)?);
        let mut made = made();
        if made.len() >= MAX_APPS && !made.contains_key(&app_id) {
            made.clear();
        }
        let (policy, kept) = (policy.clone(), Arc::clone(&statements));
        made.insert(app_id, Made { policy, at: now, statements: kept });
        Ok(statements)
    }
}

impl AppStatements {
    fn make(root: &RootKeys, app_id: AppId, policy: &CertificatePolicy, now: u64) -> Result<Self, KeyError> {
        let public_key = AppSigningKey::derive(root, app_id)?.public_key()?;
        Ok(Self {
            endorsement: root.root_signer().endorse_app_key(app_id, public_key)?,
            ca_certificate: root.app_ca(app_id, policy, now)?.certificate().der.clone(),
        })
    }
}
