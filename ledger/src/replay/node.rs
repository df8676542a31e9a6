//! Whether the node itself was allowed, decided again: by its own certificate's quote, and by what the chain said.

use std::sync::Arc;

use kms_attestation::ids::MrAggregated;
use kms_attestation::ratls::{RatlsCertificate, report_data_for_spki};
use kms_attestation::{CheckedCollateral, DenyReason};
use kms_verdict::{AttestedNode, Circumstances, Judge, NodeEvidence};

use super::outcome::Replayed;
use super::{Case, denied, refused};
use crate::record::{Decision, Outcome, Who};

impl Case<'_> {
    pub(super) fn node(self, decision: &Decision) -> Result<Replayed, Replayed> {
        let (policy, evidence) = (self.policy()?, &decision.evidence);
        let judge = &policy.judge;
        if evidence.collateral.is_none() {
            return self.for_want_of_collateral(decision);
        }
        let certificate = self.need("certificate", evidence.certificate)?;
        let manifest = self.need("OS-image manifest", evidence.os_image_manifest)?;
        let collateral = self.replayer.collateral(self.archive, evidence.collateral)?;
        let circumstances =
            Circumstances { now: self.record.time, out_of_date_since: decision.out_of_date_since };
        let node = match authenticate(judge, &certificate, &manifest, collateral, circumstances) {
            Ok(node) => node,
            Err(reason) => return self.compare(decision, Who::Unknown, refused(reason)),
        };
        let question = node.question();
        let (found, stated) =
            (MrAggregated(question.boot_info().mrAggregated.0), self.record.node.measurement);
        if found != stated {
            return Err(Replayed::different("node.measurement", stated, found));
        }
        let Some(witness) = evidence.witness else {
            return self.without_witness(decision, Who::Unknown);
        };
        let outcome = match self.witness(witness)? {
            Err(deny) => denied(&deny.lift()),
            Ok(witness) => match node.conclude_from(judge.anchor(), &witness) {
                Ok(said) => Outcome::allow(decision.subject, &said),
                Err(deny) => denied(&deny.lift()),
            },
        };
        self.compare(decision, Who::Unknown, outcome)
    }
}

fn authenticate(
    judge: &Judge,
    certificate: &[u8],
    manifest: &[u8],
    collateral: Result<Arc<CheckedCollateral>, DenyReason>,
    circumstances: Circumstances,
) -> Result<AttestedNode, DenyReason> {
    let certificate = RatlsCertificate::parse(certificate)?;
    let evidence = NodeEvidence {
        quote: &certificate.quote,
        os_image_manifest: manifest,
        report_data: report_data_for_spki(&certificate.spki),
    };
    judge.authenticate_node(&evidence, &*collateral?, circumstances)
}
