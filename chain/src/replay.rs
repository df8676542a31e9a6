//! The decision: a pure function of a trust anchor and a witness.
//!
//! The node that decides and the auditor who checks call the same [`replay()`]; the live path only gathers the witness.
//! `DstackKms` is asked at each head that policy demands, over state that proofs carry, and getters read in the
//! same state explain the answer. No clock, no network, no randomness.
//!
//! A contract that misbehaves is a proven denial, for it says so in a state that is proven. Evidence that is
//! incomplete, superfluous or about something else is no decision at all. Threats: all those of the crate.

use std::collections::HashSet;

use alloy::primitives::{Address, B256, Bytes};
use alloy::sol_types::SolCall;
use kms_attestation::refusal::{DenyClass, sanitise};
use serde::Serialize;

use crate::abi::{
    Answer, allowAnyDeviceCall, allowedComposeHashesCall, allowedDeviceIdsCall, allowedOsImagesCall,
    kmsAllowedAggregatedMrsCall, kmsAllowedDeviceIdsCall, read_answer, read_flag, registeredAppsCall,
    requireTcbUpToDateCall, revert_text,
};
use crate::anchor::{Anchor, GrantAt, HeadEvidence, Level, VerifiedHead};
use crate::deny::{ChainDeny, ChainDenyCode};
use crate::evm::{Block, CALL_GAS, CallEnd, GETTER_GAS, Machine};
use crate::question::Question;
use crate::state::{Footprint, MAX_SLOTS, Missing, ProvenState, StateError};
use crate::witness::{MAX_WITNESS_BYTES, Witness};

/// Why there is no decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The witness lacks something that the decision reads.
    #[error("{item} is not proven at block {block}")]
    Missing {
        /// What is lacking.
        item: Missing,
        /// The hash of the block at which it is read.
        block: B256,
    },
    /// The witness proves nothing under this anchor.
    #[error(transparent)]
    Refused(#[from] ChainDeny),
}

impl ReplayError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> ChainDenyCode {
        match self {
            Self::Missing { item: Missing::Code(_), .. } => ChainDenyCode::CodeMissing,
            Self::Missing { .. } => ChainDenyCode::ProofNodeMissing,
            Self::Refused(deny) => deny.code,
        }
    }
}

impl From<ReplayError> for ChainDeny {
    fn from(error: ReplayError) -> Self {
        let code = error.code();
        match error {
            ReplayError::Refused(deny) => deny,
            ReplayError::Missing { item, .. } => Self::new(code, item, "a proof of it"),
        }
    }
}

/// A block, as a decision names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BlockRef {
    /// The height.
    pub number: u64,
    /// The hash.
    pub hash: B256,
    /// Unix seconds.
    pub timestamp: u64,
}

impl BlockRef {
    pub(crate) fn of(head: &VerifiedHead) -> Self {
        let header = head.header();
        Self { number: header.number(), hash: header.hash(), timestamp: header.timestamp() }
    }
}

/// What the getters say at the latest head, to explain the answer. None where a contract has no such getter, or does
/// not answer it properly. Explains, never decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The app is registered with the KMS contract.
    pub app_registered: Option<bool>,
    /// The OS image is allowed.
    pub os_image_allowed: Option<bool>,
    /// The app's contract allows the code.
    pub compose_hash_allowed: Option<bool>,
    /// The app's contract lists the device.
    pub device_allowed: Option<bool>,
    /// The app's contract allows any device.
    pub any_device_allowed: Option<bool>,
    /// The app's contract demands an up-to-date platform. Older contracts have no such rule.
    pub tcb_required: Option<bool>,
    /// The KMS contract lists the aggregated measurement, where a KMS node is asked about.
    pub kms_mr_allowed: Option<bool>,
    /// The KMS contract lists the device, where a KMS node is asked about.
    pub kms_device_allowed: Option<bool>,
}

/// What the chain says, proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What was asked.
    pub question: Question,
    /// Whether it is allowed at every head that policy demands.
    pub allowed: bool,
    /// Why not.
    pub denial: Option<ChainDeny>,
    /// The contract's own reason: at most 256 characters, sanitised. An outsider's text: for people, never to match.
    pub reason: String,
    /// What the getters say.
    pub explanation: Explanation,
    /// The latest head.
    pub latest: BlockRef,
    /// The finalized head, where policy demands it.
    pub finalized: Option<BlockRef>,
    /// The clock that the heads were judged by, in Unix seconds.
    pub clock: u64,
}

/// Decides. Refused where the witness is incomplete, about something else, or holds more than the decision uses.
pub fn replay(anchor: &Anchor, witness: &Witness) -> Result<Decision, ReplayError> {
    let (decision, Uses { hashes, .. }) = decide(anchor, witness)?;
    check_slack(witness, &hashes)?;
    Ok(decision)
}

/// Refuses a witness that holds more than was used of it.
pub(crate) fn check_slack(witness: &Witness, used: &HashSet<B256>) -> Result<(), ChainDeny> {
    let unused = witness.nodes.iter().chain(witness.codes.iter()).filter(|(hash, _)| !used.contains(*hash));
    match unused.count() {
        0 => Ok(()),
        count => {
            let found = format!("{count} nodes or codes that are not used");
            Err(ChainDeny::new(ChainDenyCode::WitnessSlack, found, "none"))
        }
    }
}

/// Leaves in a witness only what its decision uses: what a provider sent and nobody asked for ends here.
///
/// The decision is the one that [`replay()`] gives for the witness as it is left: a decision looks for nodes and codes by
/// their hash alone, and whatever it found is still there.
pub fn prune(anchor: &Anchor, witness: &mut Witness) -> Result<Decision, ReplayError> {
    prune_noting(anchor, witness).map(|(decision, _)| decision)
}

/// Drops what was not used.
pub(crate) fn keep_used(witness: &mut Witness, used: &HashSet<B256>) {
    witness.nodes.retain(|hash| used.contains(hash));
    witness.codes.retain(|hash| used.contains(hash));
}

/// The same, and what the decision read.
pub(crate) fn prune_noting(
    anchor: &Anchor,
    witness: &mut Witness,
) -> Result<(Decision, Footprint), ReplayError> {
    let (decision, Uses { hashes, footprint }) = decide(anchor, witness)?;
    keep_used(witness, &hashes);
    Ok((decision, footprint))
}

/// What a decision used of its witness.
#[derive(Default)]
struct Uses {
    /// Of nodes and codes.
    hashes: HashSet<B256>,
    /// At all heads together.
    footprint: Footprint,
}

/// The decision, and what it used.
fn decide(anchor: &Anchor, witness: &Witness) -> Result<(Decision, Uses), ReplayError> {
    check_subject(anchor, witness)?;
    let question = Question::parse(&witness.call)?;
    let (latest, finalized) = authenticate(anchor, witness)?;
    let mut used = Uses::default();
    let (mut verdict, explanation) = at_head(witness, &latest, &question, true, &mut used)?;
    if let (Some(head), true) = (&finalized, verdict.denial.is_none()) {
        let (final_verdict, _) = at_head(witness, head, &question, false, &mut used)?;
        verdict = not_yet(final_verdict);
    }
    let decision = Decision {
        allowed: verdict.denial.is_none(),
        denial: verdict.denial,
        reason: verdict.reason,
        explanation,
        latest: BlockRef::of(&latest),
        finalized: finalized.as_ref().map(BlockRef::of),
        clock: witness.clock,
        question,
    };
    Ok((decision, used))
}

pub(crate) fn check_subject(anchor: &Anchor, witness: &Witness) -> Result<(), ChainDeny> {
    if witness.chain_id != anchor.chain_id() {
        let found = format!("chain id {}", witness.chain_id);
        return Err(ChainDeny::new(ChainDenyCode::ChainIdMismatch, found, anchor.chain_id()));
    }
    if witness.contract != anchor.contract() {
        return Err(ChainDeny::new(ChainDenyCode::ContractMismatch, witness.contract, anchor.contract()));
    }
    if witness.anchor != anchor.digest() {
        return Err(ChainDeny::new(ChainDenyCode::TrustAnchorMismatch, witness.anchor, anchor.digest()));
    }
    if witness.evidence_bytes() > MAX_WITNESS_BYTES {
        let expected = format!("at most {MAX_WITNESS_BYTES} bytes");
        return Err(ChainDeny::new(ChainDenyCode::WitnessTooLarge, witness.evidence_bytes(), expected));
    }
    Ok(())
}

pub(crate) fn authenticate(
    anchor: &Anchor,
    witness: &Witness,
) -> Result<(VerifiedHead, Option<VerifiedHead>), ChainDeny> {
    let latest = anchor.authenticate(Level::Latest, &witness.latest, witness.clock)?;
    match (anchor.grant_at(), &witness.finalized) {
        (GrantAt::Latest, None) => Ok((latest, None)),
        (GrantAt::LatestAndFinalized, Some(evidence)) => {
            check_order(&latest, evidence)?;
            let finalized = anchor.authenticate(Level::Finalized, evidence, witness.clock)?;
            Ok((latest, Some(finalized)))
        }
        (grant_at, finalized) => {
            let found = format!("a finalized head: {}", finalized.is_some());
            Err(ChainDeny::new(ChainDenyCode::HeadMissing, found, format!("what {grant_at:?} needs")))
        }
    }
}

fn check_order(latest: &VerifiedHead, finalized: &HeadEvidence) -> Result<(), ChainDeny> {
    let (top, below) = (latest.header().number(), finalized.header.number());
    if below <= top {
        return Ok(());
    }
    Err(ChainDeny::new(
        ChainDenyCode::HeadsOutOfOrder,
        format!("finalized {below}"),
        format!("at most {top}"),
    ))
}

/// What the contract says at one head.
struct AtHead {
    denial: Option<ChainDeny>,
    reason: String,
}

impl AtHead {
    fn denied(code: ChainDenyCode, found: impl std::fmt::Display, expected: &str) -> Self {
        Self { denial: Some(ChainDeny::new(code, found, expected)), reason: String::new() }
    }
}

/// A grant that the latest head has and the finalized one does not.
fn not_yet(at_finalized: AtHead) -> AtHead {
    let denial = at_finalized.denial.map(|deny| {
        ChainDeny::new(ChainDenyCode::GrantNotFinal, deny.found, "allowed at the finalized block too")
    });
    AtHead { denial, ..at_finalized }
}

fn at_head(
    witness: &Witness,
    head: &VerifiedHead,
    question: &Question,
    explain: bool,
    used: &mut Uses,
) -> Result<(AtHead, Explanation), ReplayError> {
    let mut caller = Caller::new(witness, head, MAX_SLOTS);
    let verdict = caller.verdict(witness.call.clone())?;
    let explanation = if explain { caller.explain(question)? } else { Explanation::default() };
    used.hashes.extend(caller.used());
    for (address, slots) in caller.machine.state().footprint() {
        used.footprint.entry(address).or_default().extend(slots);
    }
    Ok((verdict, explanation))
}

/// Calls at one head.
pub(crate) struct Caller<'a> {
    block: B256,
    machine: Machine<'a>,
    kms: Address,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(witness: &'a Witness, head: &VerifiedHead, max_slots: usize) -> Self {
        let header = head.header();
        let block = Block { chain_id: witness.chain_id, header };
        let state = ProvenState::new(header.state_root(), &witness.nodes, &witness.codes);
        let machine = Machine::new(block, state.with_max_slots(max_slots), witness.analysed.clone());
        Self { block: header.hash(), machine, kms: witness.contract }
    }

    /// The hashes of what the calls so far relied on.
    pub(crate) fn used(&self) -> &HashSet<B256> {
        self.machine.state().used()
    }

    /// Refuses an address without code with `contract-missing`.
    pub(crate) fn expect_kms(&mut self) -> Result<Result<(), ChainDeny>, ReplayError> {
        let found = self.code_hash(self.kms)?;
        let missing = || ChainDeny::new(ChainDenyCode::ContractMissing, self.kms, "a DstackKms contract");
        Ok(found.map(drop).ok_or_else(missing))
    }

    /// Calls `DstackKms` itself, with all the gas of a decision.
    pub(crate) fn call_kms(&mut self, call: Bytes) -> Result<Result<CallEnd, ChainDeny>, ReplayError> {
        self.call(self.kms, call, CALL_GAS)
    }

    fn verdict(&mut self, call: Bytes) -> Result<AtHead, ReplayError> {
        if let Err(denial) = self.expect_kms()? {
            return Ok(AtHead { denial: Some(denial), reason: String::new() });
        }
        match self.call_kms(call)? {
            Ok(CallEnd::Returned(answer)) => Ok(judge(&answer)),
            Ok(end) => Ok(no_answer(&end)),
            Err(denial) => Ok(AtHead { denial: Some(denial), reason: String::new() }),
        }
    }

    /// A call's end, or the contract's fault that no further evidence would mend.
    fn call(
        &mut self,
        to: Address,
        data: Bytes,
        gas: u64,
    ) -> Result<Result<CallEnd, ChainDeny>, ReplayError> {
        match self.machine.call(to, data, gas) {
            Ok(end) => Ok(Ok(end)),
            Err(StateError::Refused(deny)) if deny.code.class() == DenyClass::Contract => Ok(Err(deny)),
            Err(error) => Err(self.lift(error)),
        }
    }

    fn code_hash(&mut self, address: Address) -> Result<Option<B256>, ReplayError> {
        self.machine.state_mut().code_hash(address).map_err(|error| self.lift(error))
    }

    fn lift(&self, error: StateError) -> ReplayError {
        match error {
            StateError::Missing(item) => ReplayError::Missing { item, block: self.block },
            StateError::Refused(deny) => ReplayError::Refused(deny),
        }
    }

    fn explain(&mut self, question: &Question) -> Result<Explanation, ReplayError> {
        let info = question.boot_info();
        let kms = self.kms;
        let os_image_allowed = self.flag(kms, &allowedOsImagesCall { osImageHash: info.osImageHash })?;
        if let Question::Kms(_) = question {
            let mr = kmsAllowedAggregatedMrsCall { mrAggregated: info.mrAggregated };
            return Ok(Explanation {
                os_image_allowed,
                kms_mr_allowed: self.flag(kms, &mr)?,
                kms_device_allowed: self.flag(kms, &kmsAllowedDeviceIdsCall { deviceId: info.deviceId })?,
                ..Explanation::default()
            });
        }
        let app = info.appId;
        let compose = allowedComposeHashesCall { composeHash: info.composeHash };
        Ok(Explanation {
            os_image_allowed,
            app_registered: self.flag(kms, &registeredAppsCall { appId: app })?,
            compose_hash_allowed: self.flag(app, &compose)?,
            device_allowed: self.flag(app, &allowedDeviceIdsCall { deviceId: info.deviceId })?,
            any_device_allowed: self.flag(app, &allowAnyDeviceCall {})?,
            tcb_required: self.flag(app, &requireTcbUpToDateCall {})?,
            ..Explanation::default()
        })
    }

    /// A getter's answer; none unless it is exactly a boolean.
    fn flag(&mut self, at: Address, call: &impl SolCall) -> Result<Option<bool>, ReplayError> {
        if self.code_hash_if_in_bounds(at)?.is_none() {
            return Ok(None);
        }
        match self.call(at, call.abi_encode().into(), GETTER_GAS)? {
            Ok(CallEnd::Returned(answer)) => Ok(read_flag(&answer)),
            _ => Ok(None),
        }
    }

    /// Where the decisive call used up the bounds, the getters have nothing left to read.
    fn code_hash_if_in_bounds(&mut self, at: Address) -> Result<Option<B256>, ReplayError> {
        match self.code_hash(at) {
            Err(ReplayError::Refused(deny)) if deny.code.class() == DenyClass::Contract => Ok(None),
            other => other,
        }
    }
}

fn judge(answer: &[u8]) -> AtHead {
    match read_answer(answer) {
        Ok(Answer { allowed: true, reason }) => AtHead { denial: None, reason },
        Ok(Answer { allowed: false, reason }) => {
            let denial =
                ChainDeny::quoting(ChainDenyCode::ContractDenied, &reason, "allowed by the contract");
            AtHead { denial: Some(denial), reason }
        }
        Err(denial) => AtHead { denial: Some(denial), reason: String::new() },
    }
}

fn no_answer(end: &CallEnd) -> AtHead {
    let expected = "an answer of isAppAllowed";
    match end {
        CallEnd::Reverted(data) => {
            let mut refused = AtHead::denied(ChainDenyCode::ContractReverted, revert_text(data), expected);
            refused.reason = revert_text(data);
            refused
        }
        CallEnd::OutOfGas => AtHead::denied(ChainDenyCode::ContractOutOfGas, "out of gas", expected),
        CallEnd::Halted(why) => AtHead::denied(ChainDenyCode::ContractHalted, sanitise(why), expected),
        CallEnd::Returned(answer) => judge(answer),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::{Duration, Instant};

    use alloy::primitives::{U256, hex};

    use super::*;
    use crate::abi::AppBootInfo;
    use crate::anchor::{DEV_CHAIN_ID, Freshness, HeadTrust};
    use crate::header::BlockHeader;
    use crate::testing::{World, header};

    const KMS: Address = Address::repeat_byte(0xaa);
    const APP: Address = Address::repeat_byte(0xbb);
    const NOW: u64 = 1_800_000_000;
    /// Long call data: `(sload(0), "")`. Short call data, a getter: `sload(argument)`.
    const HONEST: &[u8] = &hex!("3661010010601257600435545f5260205ff3 5b5f545f5260406020526060 5ff3");

    fn anchor(grant_at: GrantAt) -> Anchor {
        Anchor::new(DEV_CHAIN_ID, KMS, HeadTrust::Dev, grant_at, Freshness::default()).unwrap()
    }

    fn info() -> AppBootInfo {
        AppBootInfo {
            appId: APP,
            composeHash: B256::repeat_byte(1),
            deviceId: B256::repeat_byte(2),
            osImageHash: B256::repeat_byte(3),
            ..AppBootInfo::default()
        }
    }

    fn world(kms_code: &[u8], allowed: u8) -> World {
        let mut world = World::default();
        world.deploy(KMS, kms_code);
        world.deploy(APP, HONEST);
        world.store(KMS, U256::ZERO, U256::from(allowed));
        world.store(KMS, U256::from_be_bytes([3; 32]), U256::from(1));
        world.store(APP, U256::from_be_bytes([1; 32]), U256::from(1));
        world.store(APP, U256::from_be_bytes([2; 32]), U256::from(2));
        world
    }

    fn head(root: B256, number: u64, timestamp: u64) -> HeadEvidence {
        let header = BlockHeader::parse(header(root, number, timestamp)).unwrap();
        HeadEvidence { header, vouchers: BTreeSet::new() }
    }

    fn witness_of(worlds: &[World], question: &Question) -> (Anchor, Witness) {
        let grant_at = if worlds.len() == 1 { GrantAt::Latest } else { GrantAt::LatestAndFinalized };
        let anchor = anchor(grant_at);
        let proofs: Vec<_> = worlds.iter().map(World::prove).collect();
        let finalized = proofs.get(1).map(|(root, ..)| head(*root, 90, NOW - 900));
        let mut witness = Witness::new(&anchor, question, head(proofs[0].0, 100, NOW - 10), finalized, NOW);
        for (_, nodes, codes) in proofs {
            nodes.iter().for_each(|(_, node)| witness.add_node(node.clone()));
            for (_, code) in codes.iter() {
                witness.add_code(code.clone());
            }
        }
        prune(&anchor, &mut witness).unwrap();
        (anchor, witness)
    }

    fn decide_with(kms_code: &[u8]) -> Decision {
        let (anchor, witness) = witness_of(&[world(kms_code, 1)], &Question::App(info()));
        replay(&anchor, &witness).unwrap()
    }

    fn code_of(decision: &Decision) -> Option<ChainDenyCode> {
        assert_eq!(decision.allowed, decision.denial.is_none());
        decision.denial.as_ref().map(|deny| deny.code)
    }

    #[test]
    fn replay__should_allow_what_the_contract_allows_and_explain_it() {
        let decision = decide_with(HONEST);
        assert!(decision.allowed && decision.reason.is_empty());
        assert_eq!(decision.latest.number, 100);
        let explanation = decision.explanation;
        assert_eq!(explanation.os_image_allowed, Some(true));
        assert_eq!(explanation.compose_hash_allowed, Some(true));
        assert_eq!(explanation.app_registered, Some(false));
        assert_eq!(explanation.any_device_allowed, Some(false));
        // The device's slot holds 2, which is no boolean.
        assert_eq!(explanation.device_allowed, None);
        assert_eq!(explanation.kms_mr_allowed, None);
    }

    #[test]
    fn replay__should_deny_what_the_contract_denies() {
        for question in [Question::App(info()), Question::Kms(info())] {
            let (anchor, witness) = witness_of(&[world(HONEST, 0)], &question);
            let decision = replay(&anchor, &witness).unwrap();
            assert_eq!(code_of(&decision), Some(ChainDenyCode::ContractDenied));
            assert_eq!(decision.question, question);
            assert_eq!(decision.explanation.kms_mr_allowed.is_some(), matches!(question, Question::Kms(_)));
        }
    }

    #[test]
    fn replay__should_demand_the_grant_at_both_heads_and_let_a_revocation_count_at_once() {
        let code = |latest, finalized| {
            let worlds = [world(HONEST, latest), world(HONEST, finalized)];
            let (anchor, witness) = witness_of(&worlds, &Question::App(info()));
            let decision = replay(&anchor, &witness).unwrap();
            assert_eq!(decision.finalized.unwrap().number, 90);
            code_of(&decision)
        };
        assert_eq!(code(1, 1), None);
        assert_eq!(code(1, 0), Some(ChainDenyCode::GrantNotFinal));
        assert_eq!(code(0, 1), Some(ChainDenyCode::ContractDenied));
    }

    #[test]
    fn replay__should_deny_with_a_type_whatever_a_contract_does() {
        let started = Instant::now();
        // Returns true with a reason of 1 MB: length word, then zeros.
        let long_reason = hex!("60015f526040602052620f4240604052620f42a05ff3").to_vec();
        for (code, expected) in [
            (hex!("5b5f56").to_vec(), ChainDenyCode::ContractOutOfGas),
            (hex!("620f42405ffd").to_vec(), ChainDenyCode::ContractReverted),
            (hex!("fe").to_vec(), ChainDenyCode::ContractHalted),
            (hex!("00").to_vec(), ChainDenyCode::ContractAnswerMalformed),
            (hex!("60025f5260405ff3").to_vec(), ChainDenyCode::ContractAnswerMalformed),
            // (2, ""): two is no boolean.
            (hex!("60025f5260406020526060 5ff3").to_vec(), ChainDenyCode::ContractAnswerMalformed),
            (long_reason, ChainDenyCode::ContractAnswerTooLarge),
            // The hash of the parent block.
            (hex!("60014303405f5260205ff3").to_vec(), ChainDenyCode::ContractReadsBlockHash),
            (hex!("ef0102").to_vec(), ChainDenyCode::ContractCodeInvalid),
            (vec![], ChainDenyCode::ContractMissing),
        ] {
            let decision = decide_with(&code);
            assert_eq!(code_of(&decision), Some(expected), "{code:02x?}");
            assert!(decision.reason.len() <= 256);
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }

    #[test]
    fn replay__should_give_a_contract_the_time_of_the_verified_block() {
        // Allowed if TIMESTAMP is that of the head: (timestamp == NOW - 10, "").
        let code = [
            &hex!("42 63")[..],
            &u32::try_from(NOW - 10).unwrap().to_be_bytes(),
            &hex!("14 5f52 6040602052 60605ff3"),
        ]
        .concat();
        assert!(decide_with(&code).allowed);
    }

    #[test]
    fn replay__should_bound_what_a_contract_reads() {
        // i = 0; loop { sload(i); i += 1 }
        let decision = {
            let mut world = world(&hex!("5f5b805450600101600156"), 1);
            world.store(KMS, U256::ZERO, U256::ZERO);
            world.store(KMS, U256::from_be_bytes([3; 32]), U256::ZERO);
            let (anchor, witness) = witness_of(&[world], &Question::App(info()));
            replay(&anchor, &witness).unwrap()
        };
        assert_eq!(code_of(&decision), Some(ChainDenyCode::ContractStateLimit));
    }

    #[test]
    fn witness__should_decide_the_same_after_a_round_trip() {
        let worlds = [world(HONEST, 1), world(HONEST, 1)];
        let (anchor, witness) = witness_of(&worlds, &Question::App(info()));
        let bytes = witness.encode();
        let read = Witness::decode_recorded(&bytes, witness.digest()).unwrap();
        assert_eq!(read.encode(), bytes);
        assert_eq!(replay(&anchor, &read), replay(&anchor, &witness));
    }

    #[test]
    fn witness__should_never_give_the_same_decision_with_any_byte_changed() {
        let (anchor, witness) = witness_of(&[world(HONEST, 1)], &Question::App(info()));
        let bytes = witness.encode();
        let decision = replay(&anchor, &witness).unwrap();
        // The clock, the call data and the header with their lengths.
        let named_by_decision = 61..69 + 4 + witness.call.len() + 4 + witness.latest.header.rlp().len();
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                let recorded = Witness::decode_recorded(&changed, witness.digest());
                assert_eq!(recorded.unwrap_err().code, ChainDenyCode::WitnessDigestMismatch);
                // Without it: another clock, question or block is another decision and says so, all else is refused.
                let found = Witness::decode(&changed).map(|witness| replay(&anchor, &witness));
                if let Ok(Ok(other)) = found {
                    assert!(other != decision && named_by_decision.contains(&at), "byte {at}");
                }
            }
        }
    }

    #[test]
    fn witness__should_be_refused_with_slack_or_out_of_order() {
        let (anchor, witness) = witness_of(&[world(HONEST, 1)], &Question::App(info()));
        let mut more = witness.clone();
        more.add_node(vec![0xc0].into());
        assert_eq!(replay(&anchor, &more).unwrap_err().code(), ChainDenyCode::WitnessSlack);
        let mut longer = witness.encode();
        longer.push(0);
        assert_eq!(Witness::decode(&longer).unwrap_err().code, ChainDenyCode::WitnessNotCanonical);
    }

    #[test]
    fn replay__should_name_each_item_that_a_witness_lacks() {
        let (anchor, witness) = witness_of(&[world(HONEST, 1)], &Question::App(info()));
        for (gone, _) in witness.nodes.iter().chain(witness.codes.iter()) {
            let mut less = witness.clone();
            less.nodes.retain(|hash| hash != gone);
            less.codes.retain(|hash| hash != gone);
            let refused = replay(&anchor, &less).unwrap_err();
            assert!(matches!(refused, ReplayError::Missing { .. }), "{refused:?}");
        }
    }

    #[test]
    fn replay__should_refuse_a_witness_about_something_else() {
        let (anchor, witness) = witness_of(&[world(HONEST, 1)], &Question::App(info()));
        let code = |change: &dyn Fn(&mut Witness)| {
            let mut other = witness.clone();
            change(&mut other);
            replay(&anchor, &other).unwrap_err().code()
        };
        assert_eq!(code(&|w| w.chain_id = 1), ChainDenyCode::ChainIdMismatch);
        assert_eq!(code(&|w| w.contract = APP), ChainDenyCode::ContractMismatch);
        assert_eq!(code(&|w| w.anchor = B256::ZERO), ChainDenyCode::TrustAnchorMismatch);
        assert_eq!(code(&|w| w.clock = NOW + 1000), ChainDenyCode::HeadStale);
        assert_eq!(code(&|w| w.clock = NOW - 1000), ChainDenyCode::HeadFromFuture);
        assert_eq!(code(&|w| w.finalized = Some(w.latest.clone())), ChainDenyCode::HeadMissing);
        assert_eq!(code(&|w| w.call = Bytes::new()), ChainDenyCode::QuestionMalformed);
        let voucher = BTreeSet::from(["rpc.example".to_owned()]);
        assert_eq!(code(&|w| w.latest.vouchers.clone_from(&voucher)), ChainDenyCode::HeadUnauthenticated);
    }
}
