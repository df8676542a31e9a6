//! What the contracts said to a decision's question, executed again from its witness, and what would have to be allowed.

use kms_attestation::time::rfc3339;
use kms_chain::{Decision as ChainDecision, Explanation, Witness};
use kms_ledger::record::Decision;
use kms_verdict::PolicyDocument;

use super::super::describe::printable;
use super::{Explained, detail};
use crate::row::{Mark, row};

impl Explained<'_> {
    /// What the contracts said, from the witness itself.
    pub(super) fn chain(&self, decision: &Decision) -> Option<ChainDecision> {
        let witness = self.archive.blob(&decision.evidence.witness?).ok()?;
        let policy = self.archive.blob(&self.record.node.policy).ok()?;
        let anchor = PolicyDocument::parse(&policy).ok()?.anchor().ok()?;
        kms_chain::replay(&anchor, &Witness::decode(&witness).ok()?).ok()
    }

    pub(super) fn chain_text(&self, chain: Option<&ChainDecision>) -> String {
        let Some(chain) = chain else {
            return self.stated("", "It was not asked, or gave no answer that proves anything.");
        };
        let latest = chain.latest;
        let block = format!("{} of {}, {}", latest.number, rfc3339(latest.timestamp), latest.hash);
        let mut text = row(self.style, self.proven(), "block", &block);
        if let Some(finalized) = chain.finalized {
            text += &row(
                self.style,
                self.proven(),
                "finalized",
                &format!("{}, {}", finalized.number, finalized.hash),
            );
        }
        let info = chain.question.boot_info();
        text += &row(
            self.style,
            self.proven(),
            "platform",
            &format!("{}, as Intel says", printable(&info.tcbStatus)),
        );
        text += &row(self.style, self.proven(), "OS image", &hex::encode(info.osImageHash));
        text += &flags(&chain.explanation)
            .iter()
            .map(|(mark, text)| row(self.style, *mark, "", text))
            .collect::<String>();
        if !chain.reason.is_empty() {
            text += &self.stated("its words", &format!("\"{}\"", printable(&chain.reason)));
        }
        text
    }
}

/// What the getters say, and how it is said where they say no.
fn rows(explanation: &Explanation) -> [(Option<bool>, &'static str, &'static str); 7] {
    [
        (explanation.app_registered, "the app is registered with the KMS", "kmsctl kms register-app"),
        (explanation.os_image_allowed, "the OS image is allowed", "kmsctl kms add-os-image"),
        (explanation.compose_hash_allowed, "the app allows this code", "kmsctl app add-compose-hash"),
        (explanation.device_allowed, "the app lists this device", "kmsctl app add-device"),
        (explanation.any_device_allowed, "the app allows any device", ""),
        (explanation.kms_mr_allowed, "the KMS lists this measurement", "kmsctl kms add-mr"),
        (explanation.kms_device_allowed, "the KMS lists this device", "kmsctl kms add-device"),
    ]
}

fn flags(explanation: &Explanation) -> Vec<(Mark, String)> {
    let said = rows(explanation).into_iter().filter_map(|(said, what, _)| {
        let (mark, word) = if said? { (Mark::Fine, "yes") } else { (Mark::Stated, "no") };
        Some((mark, format!("{what}: {word}")))
    });
    said.collect()
}

/// What to allow, where a getter says no.
pub(super) fn missing(explanation: &Explanation) -> String {
    let any_device = explanation.any_device_allowed == Some(true);
    rows(explanation)
        .into_iter()
        .filter(|(said, what, how)| {
            *said == Some(false) && !how.is_empty() && !(any_device && what.contains("lists this device"))
        })
        .map(|(_, what, how)| detail("", &format!("not so: {what}; {how}")))
        .collect()
}
