//! The live path: gathers a witness from a provider, then lets the pure replay decide.
//!
//! ```text
//! before    replay over what is remembered of the app; where nothing is missing, that was all
//! round 1   eth_createAccessList for the call and the getters, at each head      a hint, never believed
//! round 2   eth_getProof for every account named, eth_getCode beside it          one batch
//! then      replay; where something is missing: fetch that, and again            at most 8 rounds in all
//! ```
//!
//! Of an app that was read before it is known what to ask for: then round 1 falls away, and codes are not sent again.
//! Without any hint an app behind a proxy takes five rounds: where something is missing, the calls are tried with nothing in
//! its place, and all that they would read is fetched in one round. Only reads that hang on one another take a round each.
//!
//! Blocks are named by hash in every request, so that a reorganisation between rounds is an error, never a mixture.
//! An answer's values are compared with what its own proof shows only to find out liars; none of them is used.
//! Never decides: the decision is that of [`replay()`](crate::replay()), over a witness without slack. Threat: a lying RPC provider.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, B256, U256, keccak256};
use alloy_trie::KECCAK_EMPTY;
use serde_json::{Value, json};

use crate::anchor::{Anchor, HeadEvidence};
use crate::answers::{AccountProof, SlotProof, read_code};
use crate::deny::{ChainDeny, ChainDenyCode};
use crate::evm::{Block, note_missing};
use crate::header::BlockHeader;
use crate::kms_info::{self, KmsInfo, MAX_INFO_SLOTS, prune_kms_info, replay_kms_info};
use crate::question::Question;
use crate::replay::{Decision, ReplayError, prune_noting};
use crate::rpc::{Rpc, RpcCall, RpcResult};
use crate::state::{Footprint, MAX_SLOTS, Missing, ProvenState, StateError};
use crate::witness::{MAX_WITNESS_BYTES, Witness};

mod memory;
mod probe;

use memory::Known;
pub(crate) use memory::ReadMemory;
use probe::{Probe, Wanted, info_probes, probes, take_hint, to_fetch};

/// The most rounds of fetching for one decision. An honest access list makes it two.
pub const MAX_ROUNDS: u32 = 8;

/// A decision with its evidence, and what it cost. Only a read makes one, and nothing can change it: whoever holds one
/// knows that a replay of this witness gives this decision, and need not replay it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    decision: Decision,
    witness: Witness,
    rounds: u32,
}

impl Reading {
    /// What the chain says.
    #[must_use]
    pub const fn decision(&self) -> &Decision {
        &self.decision
    }

    /// The decision, if it was made under that anchor; otherwise refused with `trust-anchor-mismatch`.
    pub fn decision_under(&self, anchor: &Anchor) -> Result<&Decision, ChainDeny> {
        if self.witness.anchor == anchor.digest() {
            return Ok(&self.decision);
        }
        Err(ChainDeny::new(ChainDenyCode::TrustAnchorMismatch, self.witness.anchor, anchor.digest()))
    }

    /// Why that is so.
    #[must_use]
    pub const fn witness(&self) -> &Witness {
        &self.witness
    }

    /// The sequential rounds of requests.
    #[must_use]
    pub const fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Decision and witness.
    #[must_use]
    pub fn into_parts(self) -> (Decision, Witness) {
        (self.decision, self.witness)
    }
}

/// The root public keys as the contract publishes them, with the evidence, and what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InfoReading {
    /// What the chain says.
    pub info: KmsInfo,
    /// Why that is so.
    pub witness: Witness,
    /// The sequential rounds of requests.
    pub rounds: u32,
}

/// Asks the chain. Refused with a code of class `Provider`, `Proof` or `Head`, never of class `Contract`: what a contract does
/// wrong is a decision, with a witness that shows it.
pub async fn read(
    rpc: &Rpc,
    anchor: &Anchor,
    question: &Question,
    latest: HeadEvidence,
    finalized: Option<HeadEvidence>,
    clock: u64,
) -> Result<Reading, ChainDeny> {
    let witness = Witness::new(anchor, question, latest, finalized, clock);
    read_with(rpc, anchor, question, witness, &ReadMemory::default()).await
}

/// The same for a witness that proves nothing yet, with what earlier readings have shown.
pub(crate) async fn read_with(
    rpc: &Rpc,
    anchor: &Anchor,
    question: &Question,
    witness: Witness,
    memory: &ReadMemory,
) -> Result<Reading, ChainDeny> {
    let probes = probes(question, anchor.contract());
    let Known { nodes, codes, contracts, footprint } = memory.recall(question, witness.clock);
    let witness = Witness { nodes, codes, ..witness };
    let gathering = Gathering { rpc, anchor, witness, probes, contracts, max_slots: MAX_SLOTS, rounds: 0 };
    let app = matches!(question, Question::App(_)).then_some(question.boot_info().appId);
    let Gathered { found: (decision, footprint), witness, rounds } =
        // On the heap: several readings may be under way in one caller, each some kilobytes.
        Box::pin(gathering.complete(app, footprint, prune_noting)).await?;
    if rounds > 0 {
        memory.note(question, &witness, footprint);
    }
    Ok(Reading { decision, witness, rounds })
}

/// Reads `kmsInfo()`, proven. Refused as [`read`] is, and with `kms-info-unusable`, `contract-missing` or
/// `contract-state-limit`.
pub async fn read_kms_info(
    rpc: &Rpc,
    anchor: &Anchor,
    latest: HeadEvidence,
    finalized: Option<HeadEvidence>,
    clock: u64,
) -> Result<InfoReading, ChainDeny> {
    let witness = Witness::of_call(anchor, kms_info::call_data(), latest, finalized, clock);
    let (probes, contracts) = (info_probes(anchor.contract()), BTreeSet::new());
    let gathering =
        Gathering { rpc, anchor, witness, probes, contracts, max_slots: MAX_INFO_SLOTS, rounds: 0 };
    let Gathered { witness, rounds, .. } = gathering.complete(None, None, prune_kms_info).await?;
    Ok(InfoReading { info: replay_kms_info(anchor, &witness)?, witness, rounds })
}

struct Gathering<'a> {
    rpc: &'a Rpc,
    anchor: &'a Anchor,
    witness: Witness,
    probes: Vec<Probe>,
    /// Whose code is there already, unless it has changed: then the replay misses it.
    contracts: BTreeSet<Address>,
    max_slots: usize,
    rounds: u32,
}

/// What is found over complete evidence, the evidence, and the rounds that it took.
struct Gathered<T> {
    found: T,
    witness: Witness,
    rounds: u32,
}

/// One request of a batch, with what its answer is checked against.
enum Fetch {
    Proof { block: B256, root: B256, address: Address, slots: Vec<U256> },
    Code { root: B256, address: Address, block: B256 },
}

impl Fetch {
    fn call(&self) -> RpcCall {
        match self {
            Self::Proof { block, address, slots, .. } => {
                let keys: Vec<B256> = slots.iter().map(|slot| B256::from(*slot)).collect();
                RpcCall { method: "eth_getProof", params: json!([address, keys, at(*block)]) }
            }
            Self::Code { block, address, .. } => {
                RpcCall { method: "eth_getCode", params: json!([address, at(*block)]) }
            }
        }
    }
}

/// A block by its hash (EIP-1898).
fn at(block: B256) -> Value {
    json!({ "blockHash": block })
}

impl Gathering<'_> {
    /// Fetches until nothing is missing, and gives the evidence without slack. `footprint` is what was read the last time.
    async fn complete<T>(
        mut self,
        app: Option<Address>,
        mut footprint: Option<Footprint>,
        prune: fn(&Anchor, &mut Witness) -> Result<T, ReplayError>,
    ) -> Result<Gathered<T>, ChainDeny> {
        if footprint.is_none() {
            let hints = self.hints(app).await;
            self.fetch(&hints).await?;
        }
        loop {
            match prune(self.anchor, &mut self.witness) {
                Ok(found) => return Ok(Gathered { found, witness: self.witness, rounds: self.rounds }),
                Err(ReplayError::Missing { item, block }) => match footprint.take() {
                    Some(footprint) => self.fetch_everywhere(&footprint).await?,
                    None => self.fetch_missing(item, block).await?,
                },
                Err(ReplayError::Refused(deny)) => return Err(deny),
            }
        }
    }

    /// The heads to read at.
    fn blocks(&self) -> impl Iterator<Item = &BlockHeader> {
        [Some(&self.witness.latest), self.witness.finalized.as_ref()]
            .into_iter()
            .flatten()
            .map(|head| &head.header)
    }

    async fn round(&mut self, calls: &[RpcCall]) -> Result<Vec<RpcResult>, ChainDeny> {
        if self.rounds >= MAX_ROUNDS {
            let expected = format!("at most {MAX_ROUNDS} rounds");
            return Err(ChainDeny::new(ChainDenyCode::RoundsExhausted, "state still missing", expected));
        }
        self.rounds += 1;
        Ok(self.rpc.batch(calls).await?)
    }

    /// What the provider says that the calls will touch. Where it says nothing, the contracts themselves.
    async fn hints(&mut self, app: Option<Address>) -> Vec<(B256, Wanted)> {
        let kms = self.anchor.contract();
        let blocks: Vec<B256> = self.blocks().map(BlockHeader::hash).collect();
        let calls: Vec<RpcCall> = blocks
            .iter()
            .flat_map(|block| self.probes.iter().map(|probe| probe.access_list(*block)))
            .collect();
        // A contract can make this answer huge or slow: then there is no hint. A provider that is broken fails next.
        let mut results = self.round(&calls).await.unwrap_or_default().into_iter();
        let mut wanted = Vec::new();
        for block in blocks {
            let mut here = Wanted::from([(kms, BTreeSet::new())]);
            if let Some(app) = app {
                here.entry(app).or_default();
            }
            for list in results.by_ref().take(self.probes.len()).flatten() {
                take_hint(&mut here, list, self.max_slots);
            }
            wanted.push((block, here));
        }
        wanted
    }

    async fn fetch(&mut self, wanted: &[(B256, Wanted)]) -> Result<(), ChainDeny> {
        let root_of =
            |block: &B256| self.blocks().find(|header| header.hash() == *block).map(BlockHeader::state_root);
        let mut fetches = Vec::new();
        for (block, items) in wanted {
            let Some(root) = root_of(block) else { continue };
            for (address, slots) in items {
                let (block, address, slots) = (*block, *address, slots.iter().copied().collect());
                fetches.push(Fetch::Proof { block, root, address, slots });
                if !self.contracts.contains(&address) {
                    fetches.push(Fetch::Code { block, root, address });
                }
            }
        }
        self.run(fetches).await
    }

    /// Fetches the same at each head.
    async fn fetch_everywhere(&mut self, wanted: &Wanted) -> Result<(), ChainDeny> {
        let wanted: Vec<_> = self.blocks().map(|header| (header.hash(), wanted.clone())).collect();
        self.fetch(&wanted).await
    }

    /// Fetches what the replay misses, and with it whatever else the calls would read.
    async fn fetch_missing(&mut self, item: Missing, block: B256) -> Result<(), ChainDeny> {
        self.contracts.clear();
        let mut wanted: BTreeMap<B256, BTreeSet<Missing>> =
            self.blocks().map(|header| (header.hash(), self.missing_at(header))).collect();
        wanted.entry(block).or_default().insert(item);
        let wanted: Vec<_> = wanted.into_iter().map(|(block, items)| (block, to_fetch(&items))).collect();
        self.fetch(&wanted).await
    }

    fn missing_at(&self, header: &BlockHeader) -> BTreeSet<Missing> {
        let Witness { chain_id, nodes, codes, .. } = &self.witness;
        let block = Block { chain_id: *chain_id, header };
        let state = ProvenState::new(header.state_root(), nodes, codes).with_max_slots(self.max_slots);
        note_missing(
            block,
            state,
            self.probes.iter().map(|Probe { to, data, gas }| (*to, data.clone(), *gas)),
        )
    }

    async fn run(&mut self, fetches: Vec<Fetch>) -> Result<(), ChainDeny> {
        let calls: Vec<RpcCall> = fetches.iter().map(Fetch::call).collect();
        let results = self.round(&calls).await?;
        // Proofs stand before the code that they vouch for.
        for (fetch, result) in fetches.iter().zip(results) {
            let result = result?;
            match fetch {
                Fetch::Proof { root, address, slots, .. } => {
                    self.take_proof(*root, *address, slots, result)?;
                }
                Fetch::Code { root, address, .. } => self.take_code(*root, *address, result)?,
            }
            let bytes = self.witness.evidence_bytes();
            if bytes > MAX_WITNESS_BYTES {
                let expected = format!("at most {MAX_WITNESS_BYTES} bytes");
                return Err(ChainDeny::new(ChainDenyCode::WitnessTooLarge, bytes, expected));
            }
        }
        Ok(())
    }

    fn take_proof(
        &mut self,
        root: B256,
        address: Address,
        slots: &[U256],
        result: Value,
    ) -> Result<(), ChainDeny> {
        let proof = AccountProof::read(result)?;
        let keys: Option<Vec<U256>> = proof.storage_proof.iter().map(SlotProof::key).collect();
        if proof.address != address || keys.as_deref() != Some(slots) {
            let found = format!("a proof about {}", proof.address);
            let expected = format!("{address} and the slots asked for");
            return Err(ChainDeny::new(ChainDenyCode::ProofWrongAccount, found, expected));
        }
        let of_slots = proof.storage_proof.iter().flat_map(|slot| &slot.proof);
        for node in proof.account_proof.iter().chain(of_slots) {
            self.witness.add_node(node.clone());
        }
        self.check_proof(root, &proof)
    }

    /// Without the bounds of a decision: what is fetched for two heads at once may be more than is read at either, and a
    /// refusal by a bound here would blame the contract without a witness.
    fn state(&self, root: B256) -> ProvenState<'_> {
        ProvenState::new(root, &self.witness.nodes, &self.witness.codes).with_max_slots(usize::MAX)
    }

    /// Refuses a proof that does not show what it was asked for, or shows something else than the answer claims.
    fn check_proof(&self, root: B256, proof: &AccountProof) -> Result<(), ChainDeny> {
        let mut state = self.state(root);
        let account =
            state.account(proof.address).map_err(|error| incomplete(error, proof.claims_no_account()))?;
        if !proof.agrees(account.as_ref()) {
            return Err(contradiction(Missing::Account(proof.address)));
        }
        for slot in &proof.storage_proof {
            let key = slot.key().unwrap_or_default();
            let value =
                state.slot(proof.address, key).map_err(|error| incomplete(error, slot.value.is_zero()))?;
            if value != slot.value {
                return Err(contradiction(Missing::Slot(proof.address, key)));
            }
        }
        Ok(())
    }

    fn take_code(&mut self, root: B256, address: Address, result: Value) -> Result<(), ChainDeny> {
        let code = read_code(result)?;
        let mut state = self.state(root);
        let expected = state.code_hash(address).map_err(|error| incomplete(error, false))?;
        let expected = expected.unwrap_or(KECCAK_EMPTY);
        let found = keccak256(&code);
        if found != expected {
            return Err(ChainDeny::new(ChainDenyCode::CodeMismatch, found, expected));
        }
        if !code.is_empty() {
            self.witness.add_code(code);
        }
        Ok(())
    }
}

fn incomplete(error: StateError, claimed_absent: bool) -> ChainDeny {
    match error {
        StateError::Refused(deny) => deny,
        StateError::Missing(item) => {
            let code =
                if claimed_absent { ChainDenyCode::ProofTruncated } else { ChainDenyCode::ProofNodeMissing };
            ChainDeny::new(code, format_args!("an incomplete proof of {item}"), "every node on the way")
        }
    }
}

fn contradiction(item: Missing) -> ChainDeny {
    let found = format!("another value of {item} than its proof shows");
    ChainDeny::new(ChainDenyCode::ProofValueMismatch, found, "the proven value")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use alloy::primitives::hex;

    use super::*;
    use crate::abi::AppBootInfo;
    use crate::anchor::{DEV_CHAIN_ID, Freshness, GrantAt, HeadTrust};
    use crate::header::BlockHeader;
    use crate::replay::replay;
    use crate::rpc::{RpcLimits, Transport};
    use crate::testing::server::{Answer, Server};
    use crate::testing::{World, header, provider};

    const KMS: Address = Address::repeat_byte(0xaa);
    const APP: Address = Address::repeat_byte(0xbb);
    const NOW: u64 = 1_800_000_000;
    /// Long call data: `(sload(0), "")`. Short call data, a getter: `sload(argument)`.
    const HONEST: &[u8] = &hex!("3661010010601257600435545f5260205ff3 5b5f545f5260406020526060 5ff3");

    fn world() -> World {
        let mut world = World::default();
        for at in [KMS, APP] {
            world.deploy(at, HONEST);
        }
        world.store(KMS, U256::ZERO, U256::from(1));
        (1..20_u8).for_each(|slot| world.store(KMS, U256::from(slot), U256::from(1)));
        world
    }

    type Change = fn(&Value, &mut Value);

    /// Reads from a provider whose results are changed on the way.
    async fn read_from(world: World, change: Change) -> Result<Reading, ChainDeny> {
        let (root, ..) = world.prove();
        let world = Mutex::new(world);
        let server = Server::start(move |calls| {
            let world = world.lock().unwrap();
            let answers = calls.iter().map(|call| {
                let mut result = provider::result(&world, call);
                change(call, &mut result);
                json!({ "jsonrpc": "2.0", "id": call["id"], "result": result })
            });
            Answer::Raw(answers.collect::<Value>().to_string().into_bytes())
        })
        .await;
        let limits = RpcLimits { request: Duration::from_secs(5), ..RpcLimits::default() };
        let rpc = Rpc::new(&server.url, Transport::Secure, limits).unwrap();
        let anchor =
            Anchor::new(DEV_CHAIN_ID, KMS, HeadTrust::Dev, GrantAt::Latest, Freshness::default()).unwrap();
        let header = BlockHeader::parse(header(root, 100, NOW)).unwrap();
        let latest = HeadEvidence { header, vouchers: BTreeSet::new() };
        let info = AppBootInfo { appId: APP, composeHash: B256::repeat_byte(9), ..AppBootInfo::default() };
        read(&rpc, &anchor, &Question::App(info), latest, None, NOW).await
    }

    async fn refused_with(change: Change) -> ChainDenyCode {
        read_from(world(), change).await.unwrap_err().code
    }

    fn is(call: &Value, method: &str) -> bool {
        call["method"] == method
    }

    #[tokio::test]
    async fn read__should_decide_from_a_witness_that_replays_anywhere() {
        let reading = read_from(world(), |_, _| ()).await.unwrap();
        assert!(reading.decision().allowed);
        assert_eq!(reading.rounds(), 2);
        let bytes = reading.witness().encode();
        let anchor =
            Anchor::new(DEV_CHAIN_ID, KMS, HeadTrust::Dev, GrantAt::Latest, Freshness::default()).unwrap();
        assert_eq!(replay(&anchor, &Witness::decode(&bytes).unwrap()), Ok(reading.decision().clone()));
    }

    #[tokio::test]
    async fn read__should_find_what_a_useless_hint_leaves_out() {
        let no_hint: Change = |call, result| {
            if is(call, "eth_createAccessList") {
                *result = json!("no such method");
            }
        };
        let reading = read_from(world(), no_hint).await.unwrap();
        assert!(reading.decision().allowed && reading.rounds() <= MAX_ROUNDS, "{}", reading.rounds());
    }

    #[tokio::test]
    async fn read__should_refuse_each_lie_with_its_own_code() {
        let altered_value: Change = |call, result| {
            if is(call, "eth_getProof") && result["storageProof"][0].is_object() {
                result["storageProof"][0]["value"] = json!("0x7");
            }
        };
        assert_eq!(refused_with(altered_value).await, ChainDenyCode::ProofValueMismatch);
        let altered_node: Change = |call, result| {
            if is(call, "eth_getProof") {
                result["accountProof"] = json!(["0xc0"]);
            }
        };
        assert_eq!(refused_with(altered_node).await, ChainDenyCode::ProofNodeMissing);
        let truncated_exclusion: Change = |call, result| {
            if is(call, "eth_getProof") {
                result["accountProof"] = json!([]);
                result["codeHash"] = json!(B256::ZERO);
                result["storageHash"] = json!(B256::ZERO);
            }
        };
        assert_eq!(refused_with(truncated_exclusion).await, ChainDenyCode::ProofTruncated);
        let other_account: Change = |call, result| {
            if is(call, "eth_getProof") {
                result["address"] = json!(Address::ZERO);
            }
        };
        assert_eq!(refused_with(other_account).await, ChainDenyCode::ProofWrongAccount);
        let other_code: Change = |call, result| {
            if is(call, "eth_getCode") {
                *result = json!("0x600160005260206000f3");
            }
        };
        assert_eq!(refused_with(other_code).await, ChainDenyCode::CodeMismatch);
        let no_proof: Change = |call, result| {
            if is(call, "eth_getProof") {
                *result = Value::Null;
            }
        };
        assert_eq!(refused_with(no_proof).await, ChainDenyCode::RpcAnswerInvalid);
    }

    /// A provider of a world that may change, and a reader's memory.
    struct Remembering {
        world: Arc<Mutex<World>>,
        rpc: Rpc,
        anchor: Anchor,
        memory: ReadMemory,
    }

    impl Remembering {
        async fn new() -> Self {
            let world = Arc::new(Mutex::new(world()));
            let state = Arc::clone(&world);
            let server = Server::start(move |calls| {
                let world = state.lock().unwrap();
                let answers = calls.iter().map(|call| {
                    json!({ "jsonrpc": "2.0", "id": call["id"], "result": provider::result(&world, call) })
                });
                Answer::Raw(answers.collect::<Value>().to_string().into_bytes())
            })
            .await;
            let rpc = Rpc::new(&server.url, Transport::Secure, RpcLimits::default()).unwrap();
            let anchor =
                Anchor::new(DEV_CHAIN_ID, KMS, HeadTrust::Dev, GrantAt::Latest, Freshness::default())
                    .unwrap();
            Self { world, rpc, anchor, memory: ReadMemory::default() }
        }

        /// Reads at the world as it is, and checks that the witness alone gives the same decision.
        async fn read(&self, app: Address, clock: u64) -> Reading {
            let (root, ..) = self.world.lock().unwrap().prove();
            let header = BlockHeader::parse(header(root, 100, NOW)).unwrap();
            let latest = HeadEvidence { header, vouchers: BTreeSet::new() };
            let info =
                AppBootInfo { appId: app, composeHash: B256::repeat_byte(9), ..AppBootInfo::default() };
            let question = Question::App(info);
            let witness = Witness::new(&self.anchor, &question, latest, None, clock);
            let reading = read_with(&self.rpc, &self.anchor, &question, witness, &self.memory).await.unwrap();
            assert_eq!(replay(&self.anchor, reading.witness()).as_ref(), Ok(reading.decision()));
            reading
        }

        fn change(&self, change: impl FnOnce(&mut World)) {
            change(&mut self.world.lock().unwrap());
        }
    }

    #[tokio::test]
    async fn read__should_ask_for_nothing_that_it_knows_but_ask_again_before_long() {
        let reader = Remembering::new().await;
        let first = reader.read(APP, NOW).await;
        let again = reader.read(APP, NOW + 4).await;
        assert_eq!((first.rounds(), again.rounds()), (2, 0));
        assert_eq!(first.witness().nodes, again.witness().nodes);
        assert_eq!(reader.read(APP, NOW + 5).await.rounds(), 1, "a provider that is gone must show");
        assert_eq!(reader.read(APP, NOW + 9).await.rounds(), 0);
        assert_eq!(reader.read(APP, NOW).await.rounds(), 1, "a clock that went back");
    }

    #[tokio::test]
    async fn read__should_decide_by_the_head_whatever_it_remembers() {
        let reader = Remembering::new().await;
        assert!(reader.read(APP, NOW).await.decision().allowed);
        reader.change(|world| world.store(KMS, U256::ZERO, U256::ZERO));
        let revoked = reader.read(APP, NOW).await;
        assert_eq!((revoked.decision().allowed, revoked.rounds()), (false, 1));
        reader.change(|world| world.store(KMS, U256::ZERO, U256::from(1)));
        assert!(reader.read(APP, NOW).await.decision().allowed);
        // Another code at the same address: the remembered one is not what the head names.
        reader.change(|world| world.deploy(KMS, &hex!("60015f5260406020526060 5ff3")));
        let upgraded = reader.read(APP, NOW).await;
        assert!(upgraded.decision().allowed && upgraded.rounds() > 1);
    }

    #[tokio::test]
    async fn read__should_tell_apps_apart_and_share_what_they_share() {
        let reader = Remembering::new().await;
        let other = Address::repeat_byte(0xcc);
        reader.change(|world| world.deploy(other, HONEST));
        let (one, two) = (reader.read(APP, NOW).await, reader.read(other, NOW).await);
        assert_eq!([&one, &two].map(|reading| reading.decision().question.boot_info().appId), [APP, other]);
        assert_eq!(
            (reader.read(APP, NOW).await, reader.read(other, NOW).await.rounds()),
            (Reading { rounds: 0, ..one }, 0)
        );
    }

    /// A contract that calls the app and then allows: `staticcall(app); return (true, "")`.
    fn asking(app: Address) -> Vec<u8> {
        [&hex!("5f5f5f5f73")[..], app.as_slice(), &hex!("5afa5060015f52604060205260605ff3")].concat()
    }

    /// Reads so many slots from `1000 * block number` on.
    fn reads_slots(count: u16) -> Vec<u8> {
        let [high, low] = count.to_be_bytes();
        hex!("5f5b80436103e8020154506001018061")
            .into_iter()
            .chain([high, low])
            .chain(hex!("1160015700"))
            .collect()
    }

    /// Reads the balances of so many accounts, from account 4096 on.
    fn reads_accounts(count: u8) -> Vec<u8> {
        [&hex!("5f5b8061100001315060010180")[..], &[0x60, count], &hex!("1160015700")].concat()
    }

    impl Remembering {
        /// Reads at two heads, a hundred blocks apart, of the world as it is.
        async fn read_at_both(&self, clock: u64) -> Result<Reading, ChainDeny> {
            let (root, ..) = self.world.lock().unwrap().prove();
            let head = |number| HeadEvidence {
                header: BlockHeader::parse(header(root, number, NOW)).unwrap(),
                vouchers: BTreeSet::new(),
            };
            let grant_at = GrantAt::LatestAndFinalized;
            let anchor =
                Anchor::new(DEV_CHAIN_ID, KMS, HeadTrust::Dev, grant_at, Freshness::default()).unwrap();
            let info =
                AppBootInfo { appId: APP, composeHash: B256::repeat_byte(9), ..AppBootInfo::default() };
            let question = Question::App(info);
            let witness = Witness::new(&anchor, &question, head(200), Some(head(100)), clock);
            let reading = read_with(&self.rpc, &anchor, &question, witness, &self.memory).await?;
            assert_eq!(replay(&anchor, reading.witness()).as_ref(), Ok(reading.decision()));
            Ok(reading)
        }

        async fn hostile(app: &[u8]) -> Self {
            let reader = Self::new().await;
            reader.change(|world| {
                world.deploy(KMS, &asking(APP));
                world.deploy(APP, app);
            });
            reader
        }
    }

    #[tokio::test]
    async fn read__should_show_what_a_hostile_app_reads_and_never_blame_it_without_a_witness() {
        // At each head it may read what it reads; at both together it is more than one decision may.
        let reader = Remembering::hostile(&reads_slots(300)).await;
        for clock in [NOW, NOW + 5, NOW + 10] {
            let reading = reader.read_at_both(clock).await.unwrap();
            assert!(reading.decision().allowed, "{:?}", reading.decision().denial);
        }
    }

    #[tokio::test]
    async fn read__should_deny_an_app_that_reads_too_much_with_a_witness_of_it() {
        for hostile in [reads_slots(600), reads_accounts(90)] {
            let reader = Remembering::hostile(&hostile).await;
            for clock in [NOW, NOW + 5] {
                let reading = reader.read_at_both(clock).await.unwrap();
                let code = reading.decision().denial.as_ref().map(|denial| denial.code);
                assert_eq!(code, Some(ChainDenyCode::ContractStateLimit));
            }
        }
    }
}
