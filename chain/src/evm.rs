//! A view call, executed here over proven state. The only file that knows revm.
//!
//! revm has a new major release every two months: everything that it needs or gives is translated here. The call
//! has a fixed caller (the zero address, as `eth_call` has by default), a fixed amount of gas, no value and no fee, so
//! that no account of a sender or of the block's producer needs a proof. The block's environment comes from the
//! verified header alone. What no header or state proof carries is not made up: the hash of an earlier block
//! is a typed refusal, the blob base fee (which depends on a schedule outside the header) an invalid operation.
//! Called by `replay`. Threat: a contract that anyone may have written.

use std::collections::{BTreeSet, HashMap};

use alloy::primitives::{Address, B256, Bytes, U256};
use revm::bytecode::opcode::BLOBBASEFEE;
use revm::context::result::{EVMError, ExecutionResult, HaltReason, Output};
use revm::context::{BlockEnv, CfgEnv, Context, TxEnv};
use revm::database_interface::DBErrorMarker;
use revm::handler::{EthFrame, Handler, MainnetHandler};
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

/// Codes with their jump destinations, found once for all calls at a head: with large contracts that is half the work.
#[derive(Default)]
pub(crate) struct AnalysedCodes(HashMap<B256, Bytecode>);

/// Executes a call and forgets what it changed.
pub(crate) fn view_call(
    block: Block<'_>,
    state: &mut ProvenState<'_>,
    codes: &mut AnalysedCodes,
    to: Address,
    data: Bytes,
    gas: u64,
) -> Result<CallEnd, StateError> {
    execute(block, Db { state, codes }, to, data, gas)
}

/// Adds what a call would read and no proof carries yet, so that it can be fetched in one round. Nothing is decided
/// here: whatever is missing is taken for nothing, and how the call ends is dropped.
pub(crate) fn note_missing(
    block: Block<'_>,
    state: &mut ProvenState<'_>,
    missing: &mut BTreeSet<Missing>,
    to: Address,
    data: Bytes,
    gas: u64,
) {
    let codes = &mut AnalysedCodes::default();
    drop(execute(block, Guess { db: Db { state, codes }, missing }, to, data, gas));
}

fn execute<D: Database<Error = StateError>>(
    block: Block<'_>,
    db: D,
    to: Address,
    data: Bytes,
    gas: u64,
) -> Result<CallEnd, StateError> {
    let tx = TxEnv { gas_limit: gas, kind: TxKind::Call(to), data, ..TxEnv::default() };
    let cfg = CfgEnv::new_with_spec(spec_of(block.header.fork())).with_chain_id(block.chain_id);
    let context =
        Context::mainnet().with_db(db).with_cfg(cfg).with_block(environment(block.header)).with_tx(tx);
    let mut evm = context.build_mainnet();
    evm.instruction.insert_instruction(BLOBBASEFEE, Instruction::unknown(), 0);
    let mut handler = MainnetHandler::<_, EVMError<StateError>, EthFrame<EthInterpreter>>::default();
    match handler.run_system_call(&mut evm) {
        Ok(result) => Ok(end_of(result)),
        Err(EVMError::Database(error)) => Err(error),
        Err(other) => Ok(CallEnd::Halted(other.to_string())),
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
struct Db<'a, 'b> {
    state: &'a mut ProvenState<'b>,
    codes: &'a mut AnalysedCodes,
}

impl DBErrorMarker for StateError {}

impl Database for Db<'_, '_> {
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
        if let Some(known) = self.codes.0.get(&code_hash) {
            return Ok(known.clone());
        }
        let code = Bytecode::new_raw_checked(self.state.code(code_hash)?).map_err(|error| {
            let expected = "code that can be executed";
            ChainDeny::new(ChainDenyCode::ContractCodeInvalid, error, expected)
        })?;
        self.codes.0.insert(code_hash, code.clone());
        Ok(code)
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
struct Guess<'a, 'b> {
    db: Db<'a, 'b>,
    missing: &'a mut BTreeSet<Missing>,
}

impl Guess<'_, '_> {
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

impl Database for Guess<'_, '_> {
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
        let mut state = ProvenState::new(root, &nodes, &codes);
        let (block, mut codes) = (Block { chain_id: 31337, header: &header }, AnalysedCodes::default());
        view_call(block, &mut state, &mut codes, AT, Bytes::new(), CALL_GAS)
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
    fn view_call__should_read_proven_storage_and_the_verified_block() {
        assert_eq!(returned(&word(&hex!("600154"))), U256::from(42));
        assert_eq!(returned(&word(&hex!("42"))), U256::from(NOW));
        assert_eq!(returned(&word(&hex!("43"))), U256::from(1000));
        assert_eq!(returned(&word(&hex!("46"))), U256::from(31337));
        assert_eq!(returned(&word(&hex!("48"))), U256::from(7));
        assert_eq!(returned(&word(&hex!("33"))), U256::ZERO);
    }

    #[test]
    fn view_call__should_have_exactly_its_gas() {
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
            let mut state = ProvenState::new(root, nodes, &codes);
            let mut missing = BTreeSet::new();
            note_missing(block, &mut state, &mut missing, AT, Bytes::new(), CALL_GAS);
            missing
        };
        assert_eq!(missed(&nodes), BTreeSet::new());
        assert_eq!(missed(&HashedBytes::default()), BTreeSet::from([Missing::Account(AT)]));
        let mut account_only = nodes.clone();
        account_only.retain(|hash| *hash == root);
        let slots = [0, 1, 2, 3].map(|slot| Missing::Slot(AT, U256::from(slot)));
        assert_eq!(missed(&account_only), BTreeSet::from(slots));
    }

    #[test]
    fn view_call__should_refuse_what_nothing_proves() {
        // BLOCKHASH(999), and BLOBBASEFEE.
        let Err(StateError::Refused(deny)) = run(&word(&hex!("6103e740"))) else { panic!() };
        assert_eq!(deny.code, ChainDenyCode::ContractReadsBlockHash);
        assert!(matches!(run(&word(&hex!("4a"))), Ok(CallEnd::Halted(_))));
    }

    #[test]
    fn view_call__should_end_with_a_type_whatever_the_code_does() {
        assert_eq!(run(&hex!("5b5f56")), Ok(CallEnd::OutOfGas));
        assert_eq!(run(&hex!("5f5ffd")), Ok(CallEnd::Reverted(Bytes::new())));
        assert!(matches!(run(&hex!("fe")), Ok(CallEnd::Halted(_))));
        assert_eq!(run(&hex!("620f42405ffd")), Ok(CallEnd::Reverted(vec![0; 1_000_000].into())));
        let Err(StateError::Refused(deny)) = run(&hex!("ef0102")) else { panic!() };
        assert_eq!(deny.code, ChainDenyCode::ContractCodeInvalid);
    }
}
