//! What was issued to an app: the certificate's own words, held to what the app, the time and the policy give.

use kms_attestation::hash::sha256;
use kms_attestation::ids::AppId;
use kms_attestation::time::rfc3339;
use kms_ledger::issued::{Deviation, IssuedLeaf, Terms};
use kms_ledger::record::{Decision, Subject};
use kms_verdict::PolicyDocument;

use super::super::describe::printable;
use super::super::select;
use super::Explained;
use crate::row::{Mark, row};

impl Explained<'_> {
    /// A section of its own; none where nothing was issued, or the evidence of it is not here.
    pub(super) fn issued(&self, decision: &Decision) -> String {
        if decision.subject != Subject::AppCertificate {
            return String::new();
        }
        let body = match self.leaf(decision) {
            None => return String::new(),
            Some(Ok(leaf)) => self.leaf_rows(&leaf),
            Some(Err(Deviation { part, found, expected })) => {
                let text = format!("{part}: {}, and not {}", printable(&found), printable(&expected));
                row(self.style, Mark::Wrong, "", &text)
            }
        };
        self.section("What was issued", &body)
    }

    fn leaf(&self, decision: &Decision) -> Option<Result<IssuedLeaf, Deviation>> {
        let certificate = self.archive.blob(&decision.evidence.certificate?).ok()?;
        let policy = PolicyDocument::parse(&self.archive.blob(&self.record.node.policy).ok()?).ok()?;
        let app_id: AppId = select::identity(self.archive, self.record).ok()??.app_id;
        let terms = Terms { app_id, time: self.record.time, policy: &policy.certificates };
        Some(IssuedLeaf::check(&certificate, &terms))
    }

    fn leaf_rows(&self, leaf: &IssuedLeaf) -> String {
        let (first, last) = leaf.validity;
        [
            ("names", leaf.names.join(", ")),
            ("valid", format!("from {} to {}", rfc3339(first), rfc3339(last))),
            ("usable as", leaf.usages.join(", ")),
            ("key", format!("SHA-256 of SPKI {}", hex::encode(sha256(&[&leaf.spki])))),
        ]
        .iter()
        .map(|(label, text)| self.fine(label, text))
        .collect()
    }
}
