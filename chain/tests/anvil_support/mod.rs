//! A real Ethereum node for one test: anvil, started on a free port and killed when dropped.
//!
//! Blocking and plain HTTP, so that any test can use it. Transactions are sent from anvil's unlocked accounts and mined
//! at once, one block each. Anvil would mine a transaction that reverts, and keep what it reverted with to itself; so each
//! one is tried as a call first, and a revert is an [`RpcError`] with its data, and no block. A missing anvil fails the
//! test and never skips it.
#![allow(dead_code, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use alloy::primitives::{Address, B256, Bytes};
use alloy::rpc::types::{Log, TransactionReceipt};
use alloy::sol_types::{Revert, SolCall, SolError, SolEvent};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Where `make contracts` installs anvil.
const INSTALLED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");

/// Anvil's chain id, which the `dev` head source insists on.
pub(crate) const CHAIN_ID: u64 = 31337;

/// An error answer: a revert, or a request that anvil refuses.
#[derive(Debug)]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    pub(crate) message: String,
    /// What the contract reverted with; empty when the error is no revert.
    pub(crate) data: Bytes,
}

impl RpcError {
    /// The text of a `require` or `revert` with a reason.
    pub(crate) fn reason(&self) -> Option<String> {
        self.custom::<Revert>().map(|revert| revert.reason)
    }

    /// The custom error, if it is of this type.
    pub(crate) fn custom<E: SolError>(&self) -> Option<E> {
        E::abi_decode(&self.data).ok()
    }
}

/// A running anvil.
pub(crate) struct Anvil {
    process: Child,
    port: u16,
    accounts: Vec<Address>,
    /// Held while a transaction is sent: anvil chooses the nonce of one before it has the other in its pool, so that two at
    /// once from one account would get the same.
    sending: Mutex<()>,
}

impl Drop for Anvil {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Anvil {
    /// A fresh chain. One slot per epoch: otherwise `finalized` stays at block 0 for 64 blocks.
    pub(crate) fn start() -> Self {
        Self::start_with(&["--slots-in-an-epoch", "1"])
    }

    /// A fresh chain with these options and no others.
    pub(crate) fn start_with(options: &[&str]) -> Self {
        let mut process = Command::new(executable())
            .args(["--port", "0"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("anvil starts");
        let port = listening_port(&mut process);
        let mut anvil = Self { process, port, accounts: Vec::new(), sending: Mutex::new(()) };
        anvil.accounts = anvil.expect("eth_accounts", &json!([]));
        anvil
    }

    /// Sends the process a signal, by name: `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().expect("kill runs");
        assert!(status.success(), "kill -s {name}");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// One of the ten unlocked accounts.
    pub(crate) fn account(&self, index: usize) -> Address {
        self.accounts[index]
    }

    /// Any JSON-RPC request.
    pub(crate) fn request(&self, method: &str, params: &Value) -> Result<Value, RpcError> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let mut answer: Value = serde_json::from_str(&self.post(&body)).unwrap();
        match answer.get("error") {
            None => Ok(answer["result"].take()),
            Some(error) => Err(RpcError {
                code: error["code"].as_i64().unwrap(),
                message: error["message"].as_str().unwrap().to_owned(),
                data: serde_json::from_value(error["data"].clone()).unwrap_or_default(),
            }),
        }
    }

    /// A request that must succeed.
    pub(crate) fn expect<T: DeserializeOwned>(&self, method: &str, params: &Value) -> T {
        let result = self.request(method, params).unwrap_or_else(|error| panic!("{method}: {error:?}"));
        serde_json::from_value(result).unwrap()
    }

    /// Deploys a contract; `init_code` is its bytecode and the encoded constructor arguments.
    pub(crate) fn deploy(&self, from: Address, init_code: &[u8]) -> Address {
        self.try_deploy(from, init_code).unwrap().contract_address.unwrap()
    }

    /// Deploys a contract whose constructor may revert.
    pub(crate) fn try_deploy(&self, from: Address, init_code: &[u8]) -> Result<TransactionReceipt, RpcError> {
        self.transact(&json!({"from": from, "data": Bytes::copy_from_slice(init_code)}))
    }

    /// Sends a call as a transaction and waits for its block.
    pub(crate) fn send<C: SolCall>(
        &self,
        from: Address,
        to: Address,
        call: &C,
    ) -> Result<TransactionReceipt, RpcError> {
        self.transact(&json!({"from": from, "to": to, "data": Bytes::from(call.abi_encode())}))
    }

    /// A view call at the latest block.
    pub(crate) fn call<C: SolCall>(&self, to: Address, call: &C) -> Result<C::Return, RpcError> {
        self.call_at(&json!("latest"), to, call)
    }

    /// A view call at a block: a number in hex, a tag, or `{"blockHash": ..}`.
    pub(crate) fn call_at<C: SolCall>(
        &self,
        block: &Value,
        to: Address,
        call: &C,
    ) -> Result<C::Return, RpcError> {
        let params = json!([{"to": to, "data": Bytes::from(call.abi_encode())}, block]);
        let output: Bytes = serde_json::from_value(self.request("eth_call", &params)?).unwrap();
        Ok(C::abi_decode_returns(&output).unwrap())
    }

    /// Every log of a contract, oldest first.
    pub(crate) fn logs(&self, address: Address) -> Vec<Log> {
        self.expect("eth_getLogs", &json!([{"address": address, "fromBlock": "0x0"}]))
    }

    pub(crate) fn block_number(&self) -> u64 {
        quantity(&self.expect::<String>("eth_blockNumber", &json!([])))
    }

    pub(crate) fn storage(&self, address: Address, slot: B256) -> B256 {
        self.expect("eth_getStorageAt", &json!([address, slot, "latest"]))
    }

    pub(crate) fn mine(&self, blocks: u64) {
        self.expect::<Value>("anvil_mine", &json!([format!("{blocks:#x}")]));
    }

    /// Moves the chain's clock forward and mines a block at the new time.
    pub(crate) fn increase_time(&self, seconds: u64) {
        self.expect::<Value>("evm_increaseTime", &json!([seconds]));
        self.mine(1);
    }

    /// Any transaction.
    pub(crate) fn transact(&self, transaction: &Value) -> Result<TransactionReceipt, RpcError> {
        self.request("eth_call", &json!([transaction, "latest"]))?;
        let hash = {
            let _sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
            self.request("eth_sendTransaction", &json!([transaction]))?
        };
        loop {
            // Accepted a moment before it is mined.
            let receipt: Option<TransactionReceipt> =
                self.expect("eth_getTransactionReceipt", &json!([hash]));
            if let Some(receipt) = receipt {
                assert!(receipt.status(), "transaction failed in its block: {receipt:?}");
                return Ok(receipt);
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// One HTTP/1.1 exchange on a connection of its own: the answer ends where the stream does.
    fn post(&self, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        body.to_owned()
    }
}

/// The events of one type that a transaction emitted from one contract.
pub(crate) fn events<E: SolEvent>(receipt: &TransactionReceipt, address: Address) -> Vec<E> {
    receipt
        .logs()
        .iter()
        .filter(|log| log.address() == address)
        .filter_map(|log| E::decode_log(&log.inner).ok())
        .map(|log| log.data)
        .collect()
}

/// `ANVIL`, or what `make contracts` installed.
fn executable() -> PathBuf {
    let path = std::env::var_os("ANVIL").map_or_else(|| PathBuf::from(INSTALLED), PathBuf::from);
    assert!(path.is_file(), "no anvil at {}: run `make contracts`, or set ANVIL", path.display());
    path
}

/// Anvil names the port that it got at the end of its greeting; what it logs afterwards is read and dropped, so that it
/// never waits for a reader. (With `--silent` it would not name the port.)
fn listening_port(process: &mut Child) -> u16 {
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        line.strip_prefix("Listening on ").and_then(|address| address.rsplit(':').next()?.parse().ok())
    });
    std::thread::spawn(move || lines.for_each(drop));
    port.expect("anvil names its port")
}

fn quantity(hex: &str) -> u64 {
    u64::from_str_radix(hex.trim_start_matches("0x"), 16).unwrap()
}
