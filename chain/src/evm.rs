//! A view call, executed here over proven state. The only file that knows revm.
//!
//! revm has a new major release every two months: everything that it needs or gives is translated here. The call
//! has a fixed caller (the zero address, as `eth_call` has by default), a fixed amount of gas, no value and no fee, so
//! that no account of a sender or of the block's producer needs a proof. The block's environment comes from the
//! verified header alone. What no header or state proof carries is not made up: the hash of an earlier block
//! is a typed refusal, the blob base fee (which depends on a schedule outside the header) an invalid operation.
//! Called by `replay`. Threat: a contract that anyone may have written.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use alloy::primitives::{Address, B256, Bytes, U256};
use revm::bytecode::opcode::BLOBBASEFEE;
use revm::context::result::{EVMError, ExecutionResult, HaltReason, Output};
use revm::context::{BlockEnv, CfgEnv, Context, JournalTr as _, LocalContextTr as _, TxEnv};
use revm::database_interface::DBErrorMarker;
use revm::handler::{EthFrame, Handler as _, MainnetContext, MainnetEvm, MainnetHandler};
use revm::interpreter::Instruction;
use revm::interpreter::interpreter::EthInterpreter;
use revm::primitives::TxKind;
use revm::primitives::hardfork::SpecId;
use revm::state::{AccountInfo, Bytecode};
use revm::{Database, MainBuilder, MainContext};

use crate::deny::{ChainDeny, ChainDenyCode};
use crate::header::{BlockHeader, Fork};
use crate::state::{MAX_ACCOUNTS, Missing, ProvenState, StateError};

/// The gas of the decisive call: as much as `eth_call` gives with common settings, a fraction of a second of work.
pub const CALL_GAS: u64 = 30_000_000;
/// The gas of a getter that only explains: a proxied mapping read uses about 10,000.
pub const GETTER_GAS: u64 = 200_000;

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallEnd {
    Returned(Bytes),
    Reverted(Bytes),
    OutOfGas,
    Halted(String),
}

/// Where calls are executed: one block of one chain.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    pub(crate) chain_id: u64,
    pub(crate) header: &'a BlockHeader,
}

/// A code that can be executed: its jump destinations are found. With large contracts that is half the work.
#[derive(Clone)]
pub(crate) struct AnalysedCode(Bytecode);

impl AnalysedCode {
    /// Refused with `contract-code-invalid`.
    pub(crate) fn of(code: Bytes) -> Result<Self, ChainDeny> {
        Bytecode::new_raw_checked(code).map(Self).map_err(|error| {
            let expected = "code that can be executed";
            ChainDeny::new(ChainDenyCode::ContractCodeInvalid, error, expected)
        })
    }
}

/// Codes by their hashes, each analysed once.
///
/// Never evidence: a code counts only where the state has it too. All of them follow from the codes' bytes, so that two
/// witnesses that differ in nothing else are equal.
#[derive(Clone, Default)]
pub(crate) struct AnalysedCodes(HashMap<B256, AnalysedCode>);

impl AnalysedCodes {
    /// Whoever calls it has hashed the bytes that were analysed.
    pub(crate) fn insert(&mut self, hash: B256, code: AnalysedCode) {
        self.0.insert(hash, code);
    }
}

impl PartialEq for AnalysedCodes {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for AnalysedCodes {}

impl fmt::Debug for AnalysedCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Executes calls in proven state at one block, one after the other.
pub(crate) struct Machine<'a>(Engine<Db<'a>>);

impl<'a> Machine<'a> {
    pub(crate) fn new(block: Block<'_>, state: ProvenState<'a>, codes: AnalysedCodes) -> Self {
        Self(Engine::new(block, Db { state, codes }))
    }

    /// The state, and what was read of it.
    pub(crate) fn state(&self) -> &ProvenState<'a> {
        &self.0.db().state
    }

    /// The same, to read more.
    pub(crate) fn state_mut(&mut self) -> &mut ProvenState<'a> {
        &mut self.0.db_mut().state
    }

    /// Executes a call and forgets what it changed.
    pub(crate) fn call(&mut self, to: Address, data: Bytes, gas: u64) -> Result<CallEnd, StateError> {
        self.0.call(to, data, gas)
    }
}

/// What calls would read and no proof carries yet, so that it can be fetched in one round. Nothing is decided here: whatever
/// is missing is taken for nothing, and how a call ends is dropped.
pub(crate) fn note_missing(
    block: Block<'_>,
    state: ProvenState<'_>,
    calls: impl IntoIterator<Item = (Address, Bytes, u64)>,
) -> BTreeSet<Missing> {
    let db = Db { state, codes: AnalysedCodes::default() };
    let mut engine = Engine::new(block, Guess { db, missing: BTreeSet::new() });
    for (to, data, gas) in calls {
        drop(engine.call(to, data, gas));
    }
    std::mem::take(&mut engine.db_mut().missing)
}

/// An EVM at one block. Building one costs more than a short call, so that one serves all calls; each finds it as the
/// first one does.
struct Engine<D: Database>(MainnetEvm<MainnetContext<D>>);

impl<D: Database<Error = StateError>> Engine<D> {
    fn new(block: Block<'_>, db: D) -> Self {
        let cfg = CfgEnv::new_with_spec(spec_of(block.header.fork())).with_chain_id(block.chain_id);
        let context = Context::mainnet().with_db(db).with_cfg(cfg).with_block(environment(block.header));
        let mut evm = context.build_mainnet();
        evm.instruction.insert_instruction(BLOBBASEFEE, Instruction::unknown(), 0);
        Self(evm)
    }

    fn db(&self) -> &D {
        &self.0.ctx.journaled_state.database
    }

    fn db_mut(&mut self) -> &mut D {
        &mut self.0.ctx.journaled_state.database
    }

    fn call(&mut self, to: Address, data: Bytes, gas: u64) -> Result<CallEnd, StateError> {
        self.0.ctx.tx = TxEnv { gas_limit: gas, kind: TxKind::Call(to), data, ..TxEnv::default() };
        let mut handler = MainnetHandler::<_, EVMError<StateError>, EthFrame<EthInterpreter>>::default();
        let result = handler.run_system_call(&mut self.0);
        self.forget();
        match result {
            Ok(result) => Ok(end_of(result)),
            Err(EVMError::Database(error)) => Err(error),
            Err(other) => Ok(CallEnd::Halted(other.to_string())),
        }
    }

    /// All that a call leaves behind, however it ended: accounts and slots that were loaded (the next one pays for them
    /// again), changes, transient storage, memory, frames, and an error.
    fn forget(&mut self) {
        let context = &mut self.0.ctx;
        drop(context.journaled_state.finalize());
        context.local.clear();
        context.error = Ok(());
        self.0.frame_stack.clear();
    }
}

const fn spec_of(fork: Fork) -> SpecId {
    match fork {
        Fork::Paris => SpecId::MERGE,
        Fork::Shanghai => SpecId::SHANGHAI,
        Fork::Cancun => SpecId::CANCUN,
        Fork::Osaka => SpecId::OSAKA,
        Fork::Amsterdam => SpecId::AMSTERDAM,
    }
}

fn environment(header: &BlockHeader) -> BlockEnv {
    BlockEnv {
        number: U256::from(header.number()),
        beneficiary: header.coinbase(),
        timestamp: U256::from(header.timestamp()),
        gas_limit: header.gas_limit(),
        basefee: header.base_fee(),
        difficulty: U256::ZERO,
        prevrandao: Some(header.prev_randao()),
        blob_excess_gas_and_price: None,
        slot_num: header.slot_number().unwrap_or_default(),
    }
}

fn end_of(result: ExecutionResult) -> CallEnd {
    match result {
        ExecutionResult::Success { output: Output::Call(bytes) | Output::Create(bytes, _), .. } => {
            CallEnd::Returned(bytes)
        }
        ExecutionResult::Revert { output, .. } => CallEnd::Reverted(output),
        ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. } => CallEnd::OutOfGas,
        ExecutionResult::Halt { reason, .. } => CallEnd::Halted(reason.to_string()),
    }
}

/// The proven state as revm asks for it.
struct Db<'a> {
    state: ProvenState<'a>,
    codes: AnalysedCodes,
}

impl DBErrorMarker for StateError {}

impl Database for Db<'_> {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        let account = self.state.account(address)?;
        Ok(account.map(|account| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            code: None,
            account_id: None,
        }))
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, StateError> {
        // Whatever is known of it, it has to be in evidence, and counts as used.
        let code = self.state.code(code_hash)?;
        if let Some(AnalysedCode(known)) = self.codes.0.get(&code_hash) {
            return Ok(known.clone());
        }
        let code = AnalysedCode::of(code)?;
        self.codes.insert(code_hash, code.clone());
        Ok(code.0)
    }

    fn storage(&mut self, address: Address, index: U256) -> Result<U256, StateError> {
        self.state.slot(address, index)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StateError> {
        let found = format!("a read of the hash of block {number}");
        Err(ChainDeny::new(ChainDenyCode::ContractReadsBlockHash, found, "no use of blockhash").into())
    }
}

/// The same, where what is missing is noted and read as nothing. A type of its own, so that no decision can use it.
struct Guess<'a> {
    db: Db<'a>,
    missing: BTreeSet<Missing>,
}

impl Guess<'_> {
    fn note<T: Default>(&mut self, read: Result<T, StateError>) -> Result<T, StateError> {
        match read {
            Err(StateError::Missing(item)) if self.has_room_for(item) => {
                self.missing.insert(item);
                Ok(T::default())
            }
            other => other,
        }
    }

    /// No more than a decision may read: what a contract asks for beyond that is not worth fetching.
    fn has_room_for(&self, item: Missing) -> bool {
        let is_slot = |item: &Missing| matches!(item, Missing::Slot(..));
        let max = if is_slot(&item) { self.db.state.max_slots() } else { MAX_ACCOUNTS };
        self.missing.iter().filter(|other| is_slot(other) == is_slot(&item)).count() < max
    }
}

impl Database for Guess<'_> {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        let read = self.db.basic(address);
        self.note(read)
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, StateError> {
        let read = self.db.code_by_hash(code_hash);
        self.note(read)
    }

    fn storage(&mut self, address: Address, index: U256) -> Result<U256, StateError> {
        let read = self.db.storage(address, index);
        self.note(read)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StateError> {
        self.db.block_hash(number)
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::hex;

    use super::*;
    use crate::testing::{World, header};
    use crate::trie::HashedBytes;

    const AT: Address = Address::repeat_byte(7);
    const NOW: u64 = 1_800_000_000;

    /// Runs hand-written code that has slot 1 = 42.
    fn run(code: &[u8]) -> Result<CallEnd, StateError> {
        let mut world = World::default();
        world.deploy(AT, code);
        world.store(AT, U256::from(1), U256::from(42));
        let (root, nodes, codes) = world.prove();
        let header = BlockHeader::parse(header(root, 1000, NOW)).unwrap();
        let block = Block { chain_id: 31337, header: &header };
        let state = ProvenState::new(root, &nodes, &codes);
        Machine::new(block, state, AnalysedCodes::default()).call(AT, Bytes::new(), CALL_GAS)
    }

    fn returned(code: &[u8]) -> U256 {
        match run(code).unwrap() {
            CallEnd::Returned(bytes) => U256::from_be_slice(&bytes),
            other => panic!("{other:?}"),
        }
    }

    /// `<op> PUSH0 MSTORE; RETURN(0, 32)`.
    fn word(op: &[u8]) -> Vec<u8> {
        [op, &hex!("5f5260205ff3")].concat()
    }

    #[test]
    fn call__should_read_proven_storage_and_the_verified_block() {
        assert_eq!(returned(&word(&hex!("600154"))), U256::from(42));
        assert_eq!(returned(&word(&hex!("42"))), U256::from(NOW));
        assert_eq!(returned(&word(&hex!("43"))), U256::from(1000));
        assert_eq!(returned(&word(&hex!("46"))), U256::from(31337));
        assert_eq!(returned(&word(&hex!("48"))), U256::from(7));
        assert_eq!(returned(&word(&hex!("33"))), U256::ZERO);
    }

    #[test]
    fn call__should_have_exactly_its_gas() {
        let left = returned(&word(&hex!("5a")));
        assert_eq!(left, U256::from(CALL_GAS - 2));
    }

    #[test]
    fn note_missing__should_name_all_that_does_not_hang_on_another_read() {
        let mut world = World::default();
        // sload(1), sload(2), sload(sload(3)), and the balance of account 9
        world.deploy(AT, &hex!("600154506002545060035454506009315000"));
        world.store(AT, U256::from(1), U256::from(42));
        let (root, nodes, codes) = world.prove();
        let header = BlockHeader::parse(header(root, 1000, NOW)).unwrap();
        let block = Block { chain_id: 31337, header: &header };
        let missed = |nodes: &HashedBytes| {
            note_missing(block, ProvenState::new(root, nodes, &codes), [(AT, Bytes::new(), CALL_GAS)])
        };
        assert_eq!(missed(&nodes), BTreeSet::new());
        assert_eq!(missed(&HashedBytes::default()), BTreeSet::from([Missing::Account(AT)]));
        let mut account_only = nodes.clone();
        account_only.retain(|hash| *hash == root);
        let slots = [0, 1, 2, 3].map(|slot| Missing::Slot(AT, U256::from(slot)));
        assert_eq!(missed(&account_only), BTreeSet::from(slots));
    }

    #[test]
    fn call__should_refuse_what_nothing_proves() {
        // BLOCKHASH(999), and BLOBBASEFEE.
        let Err(StateError::Refused(deny)) = run(&word(&hex!("6103e740"))) else { panic!() };
        assert_eq!(deny.code, ChainDenyCode::ContractReadsBlockHash);
        assert!(matches!(run(&word(&hex!("4a"))), Ok(CallEnd::Halted(_))));
    }

    #[test]
    fn call__should_find_the_machine_as_the_first_one_does_whatever_ran_before() {
        // What is left of the gas after a read that is dearer where nothing is loaded yet; a write, and what is left; a
        // transient write, and what is read back; memory; calls into oneself; and every way to end.
        let codes: [&[u8]; 12] = [
            &word(&hex!("600154505a")),
            &word(&hex!("602b60015560015450 5a")),
            &word(&hex!("60015c60016001 5d")),
            &word(&hex!("5f51 6001620fff0052 59")),
            &word(&hex!("59")),
            &word(&hex!("34156008575f5ffd5b 5f5f5f5f600130 5a f1 505a")),
            &word(&hex!("6103e740")),
            &word(&hex!("6009600955600931505a")),
            &hex!("5b5f56"),
            &hex!("60015c5f5260205ffd"),
            &hex!("fe"),
            &hex!("ef0102"),
        ];
        let at = |index: usize| Address::repeat_byte(u8::try_from(index + 1).unwrap());
        let mut world = World::default();
        for (index, code) in codes.iter().enumerate() {
            world.deploy(at(index), code);
            world.store(at(index), U256::from(1), U256::from(42));
        }
        let (root, nodes, bytes) = world.prove();
        let header = BlockHeader::parse(header(root, 1000, NOW)).unwrap();
        let block = Block { chain_id: 31337, header: &header };
        let machine =
            || Machine::new(block, ProvenState::new(root, &nodes, &bytes), AnalysedCodes::default());
        let call = |machine: &mut Machine<'_>, index| machine.call(at(index), Bytes::new(), CALL_GAS / 10);
        let alone: Vec<_> = (0..codes.len()).map(|index| call(&mut machine(), index)).collect();
        for before in 0..codes.len() {
            for index in 0..codes.len() {
                let mut machine = machine();
                assert_eq!(call(&mut machine, before), alone[before]);
                assert_eq!(call(&mut machine, index), alone[index], "{before} before {index}");
            }
        }
        let mut one = machine();
        for _ in 0..3 {
            let again: Vec<_> = (0..codes.len()).map(|index| call(&mut one, index)).collect();
            assert_eq!(again, alone);
        }
    }

    #[test]
    fn analysed_codes__should_never_stand_in_for_evidence() {
        let mut world = World::default();
        world.deploy(AT, &word(&hex!("600154")));
        world.store(AT, U256::from(1), U256::from(42));
        let (root, nodes, codes) = world.prove();
        let header = BlockHeader::parse(header(root, 1000, NOW)).unwrap();
        let block = Block { chain_id: 31337, header: &header };
        let mut known = AnalysedCodes::default();
        for (hash, code) in codes.iter() {
            known.insert(*hash, AnalysedCode::of(code.clone()).unwrap());
        }
        let none = HashedBytes::default();
        let mut machine = Machine::new(block, ProvenState::new(root, &nodes, &none), known.clone());
        let missed = machine.call(AT, Bytes::new(), CALL_GAS);
        assert_eq!(missed, Err(StateError::Missing(Missing::Code(AT))));
        let mut machine = Machine::new(block, ProvenState::new(root, &nodes, &codes), known);
        assert!(matches!(machine.call(AT, Bytes::new(), CALL_GAS), Ok(CallEnd::Returned(_))));
        assert!(codes.iter().all(|(hash, _)| machine.state().used().contains(hash)));
    }

    #[test]
    fn call__should_end_with_a_type_whatever_the_code_does() {
        assert_eq!(run(&hex!("5b5f56")), Ok(CallEnd::OutOfGas));
        assert_eq!(run(&hex!("5f5ffd")), Ok(CallEnd::Reverted(Bytes::new())));
        assert!(matches!(run(&hex!("fe")), Ok(CallEnd::Halted(_))));
        assert_eq!(run(&hex!("620f42405ffd")), Ok(CallEnd::Reverted(vec![0; 1_000_000].into())));
        let Err(StateError::Refused(deny)) = run(&hex!("ef0102")) else { panic!() };
        assert_eq!(deny.code, ChainDenyCode::ContractCodeInvalid);
    }
}
