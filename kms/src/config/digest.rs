//! From a configuration to the policy document, whose form `kms_verdict::policy_document` owns.
//!
//! What only says how the node is run (addresses, paths, limits, logging, timing, URLs but for their hosts) is not in it.
//! Threat: an operator who widens what is accepted without anyone seeing it.

use kms_attestation::pccs::EvaluationSet;
use kms_verdict::DecisionPolicy;
use kms_verdict::policy_document::{
    AttestationTerms, CertificateTerms, ChainTerms, CollateralSet, LogTerms, PolicyDocument, PolicyVersion,
};

use super::attestation::Attestation;
use super::certificates::Certificates;
use super::chain::Chain;
use super::witnesses::Witnesses;

/// The document of a configuration's parts.
pub(super) fn document(
    decision: &DecisionPolicy,
    attestation: &Attestation,
    chain: &Chain,
    certificates: &Certificates,
    witnesses: Option<&Witnesses>,
) -> PolicyDocument {
    PolicyDocument {
        attestation: AttestationTerms {
            collateral_set: match attestation.collateral_set {
                EvaluationSet::Standard => CollateralSet::Standard,
                EvaluationSet::Early => CollateralSet::Early,
                EvaluationSet::Number(number) => CollateralSet::Number(number),
            },
            root_key_id: attestation.root_key_id,
        },
        certificates: CertificateTerms {
            app_ca_lifetime_s: certificates.app_ca_lifetime.secs(),
            leaf_max_lifetime_s: certificates.leaf_max_lifetime.secs(),
            node_lifetime_s: certificates.node_lifetime.secs(),
            zone: certificates.zone.as_str().to_owned(),
        },
        chain: ChainTerms {
            chain_id: chain.chain_id,
            confirmations: chain.confirmations,
            contract: chain.contract,
            freshness: chain.freshness,
            grant_at: chain.grant_at,
            heads: chain.providers.trust(),
        },
        decision: decision.clone(),
        log: witnesses.map(|witnesses| LogTerms {
            quorum: witnesses.quorum as u64,
            stop_without_witnesses_s: witnesses.stop_after.map(|stop| stop.as_secs()),
            witnesses: witnesses.each.iter().map(|witness| witness.key.to_string()).collect(),
        }),
        version: PolicyVersion::V1,
    }
}
