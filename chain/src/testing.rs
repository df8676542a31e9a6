//! A small chain state for tests, its trie built by an independent implementation (`alloy-trie`'s `HashBuilder`).

use std::collections::BTreeMap;

use alloy::consensus::{EMPTY_ROOT_HASH, Header};
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::proof::ProofRetainer;
use alloy_trie::{HashBuilder, KECCAK_EMPTY, Nibbles, TrieAccount};

use crate::trie::HashedBytes;

#[derive(Default, Clone)]
struct Contract {
    code: Vec<u8>,
    slots: BTreeMap<U256, U256>,
}

impl Contract {
    fn storage_root(&self, nodes: &mut HashedBytes) -> B256 {
        let slots = self.slots.iter().filter(|(_, value)| !value.is_zero());
        let slots = slots.map(|(k, v)| (keccak256(B256::from(*k)), alloy::rlp::encode(v))).collect();
        trie(&slots, nodes)
    }
}

/// Contracts and their storage.
#[derive(Default, Clone)]
pub(crate) struct World {
    contracts: BTreeMap<Address, Contract>,
}

impl World {
    pub(crate) fn deploy(&mut self, at: Address, code: &[u8]) {
        self.contracts.entry(at).or_default().code = code.to_vec();
    }

    pub(crate) fn store(&mut self, at: Address, slot: U256, value: U256) {
        self.contracts.entry(at).or_default().slots.insert(slot, value);
    }

    /// The state root, every node of every trie, and every code.
    pub(crate) fn prove(&self) -> (B256, HashedBytes, HashedBytes) {
        let mut nodes = HashedBytes::default();
        let mut codes = HashedBytes::default();
        let mut accounts = BTreeMap::new();
        for (address, contract) in &self.contracts {
            let code_hash = if contract.code.is_empty() {
                KECCAK_EMPTY
            } else {
                codes.insert(Bytes::from(contract.code.clone()))
            };
            let account = TrieAccount {
                nonce: 1,
                balance: U256::from(5),
                storage_root: contract.storage_root(&mut nodes),
                code_hash,
            };
            accounts.insert(keccak256(address), alloy::rlp::encode(account));
        }
        (trie(&accounts, &mut nodes), nodes, codes)
    }
}

/// Builds a trie and keeps all of its nodes.
fn trie(entries: &BTreeMap<B256, Vec<u8>>, nodes: &mut HashedBytes) -> B256 {
    if entries.is_empty() {
        return EMPTY_ROOT_HASH;
    }
    let all: ProofRetainer = entries.keys().map(|key| Nibbles::unpack(*key)).collect();
    let mut builder = HashBuilder::default().with_proof_retainer(all);
    for (key, value) in entries {
        builder.add_leaf(Nibbles::unpack(*key), value);
    }
    let root = builder.root();
    for (_, node) in builder.take_proof_nodes().into_inner() {
        nodes.insert(Bytes::from(node.to_vec()));
    }
    root
}

/// A header of today's form over a state root.
pub(crate) fn header(state_root: B256, number: u64, timestamp: u64) -> Bytes {
    let header = Header {
        state_root,
        number,
        timestamp,
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(7),
        withdrawals_root: Some(EMPTY_ROOT_HASH),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(B256::ZERO),
        ..Header::default()
    };
    alloy::rlp::encode(header).into()
}

/// A provider that knows one world; honest until its answers are changed.
pub(crate) mod provider {
    use alloy::primitives::KECCAK256_EMPTY;
    use serde_json::{Value, json};

    use super::*;

    /// The honest result of one call.
    pub(crate) fn result(world: &World, call: &Value) -> Value {
        let params = &call["params"];
        let address = || params[0].as_str().unwrap().parse::<Address>().unwrap();
        match call["method"].as_str().unwrap() {
            "eth_createAccessList" => json!({ "accessList": access_list(world), "gasUsed": "0x0" }),
            "eth_getCode" => {
                let contract = world.contracts.get(&address());
                json!(Bytes::from(contract.map(|c| c.code.clone()).unwrap_or_default()))
            }
            "eth_getProof" => proof(world, address(), params[1].as_array().unwrap()),
            other => panic!("{other}"),
        }
    }

    fn access_list(world: &World) -> Vec<Value> {
        let keys = |contract: &Contract| contract.slots.keys().map(|k| B256::from(*k)).collect::<Vec<_>>();
        let contracts = world.contracts.iter();
        contracts.map(|(at, contract)| json!({ "address": at, "storageKeys": keys(contract) })).collect()
    }

    /// All nodes stand in the account's proof: where a node belongs follows from its hash.
    fn proof(world: &World, address: Address, keys: &[Value]) -> Value {
        let (_, nodes, _) = world.prove();
        let nodes: Vec<_> = nodes.iter().map(|(_, node)| node.clone()).collect();
        let contract = world.contracts.get(&address);
        let value_of = |key: &Value| {
            let key: U256 = key.as_str().unwrap().parse().unwrap();
            contract.and_then(|contract| contract.slots.get(&key)).copied().unwrap_or_default()
        };
        let slots = keys.iter().map(|key| json!({ "key": key, "value": value_of(key), "proof": [] }));
        let (code_hash, storage_hash) = contract.map_or((KECCAK256_EMPTY, EMPTY_ROOT_HASH), |contract| {
            (keccak256(&contract.code), contract.storage_root(&mut HashedBytes::default()))
        });
        json!({
            "address": address,
            "accountProof": nodes,
            "balance": "0x0",
            "nonce": "0x0",
            "codeHash": code_hash,
            "storageHash": storage_hash,
            "storageProof": slots.collect::<Vec<_>>(),
        })
    }
}

/// An HTTP server on a loopback port, as badly behaved as a test needs it.
pub(crate) mod server {
    use std::time::Duration;

    use serde_json::Value;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    #[derive(Clone)]
    pub(crate) enum Answer {
        Raw(Vec<u8>),
        Status(u16),
        Hang,
        Close,
    }

    pub(crate) struct Server {
        pub(crate) url: String,
    }

    impl Server {
        /// Serves batches.
        pub(crate) async fn start(answer: impl Fn(&[Value]) -> Answer + Send + Sync + 'static) -> Self {
            Self::start_any(move |request| answer(request.as_array().map_or(&[], Vec::as_slice))).await
        }

        /// Serves whatever JSON comes.
        pub(crate) async fn start_any(answer: impl Fn(&Value) -> Answer + Send + Sync + 'static) -> Self {
            let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
            let url = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let request = read_request(&mut stream).await;
                    // A client that has seen enough hangs up.
                    let _ = respond(&mut stream, answer(&request)).await;
                }
            });
            Self { url }
        }
    }

    async fn read_request(stream: &mut TcpStream) -> Value {
        let mut bytes = Vec::new();
        loop {
            let mut chunk = [0; 4096];
            let count = stream.read(&mut chunk).await.unwrap_or(0);
            bytes.extend_from_slice(&chunk[..count]);
            let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
            let body = end.map(|end| serde_json::from_slice(&bytes[end + 4..]));
            match body {
                Some(Ok(request)) => return request,
                _ if count == 0 => return Value::Null,
                _ => {}
            }
        }
    }

    async fn respond(stream: &mut TcpStream, answer: Answer) -> std::io::Result<()> {
        let (status, body) = match answer {
            Answer::Raw(body) => (200, body),
            Answer::Status(status) => (status, Vec::new()),
            Answer::Close => return Ok(()),
            Answer::Hang => {
                tokio::time::sleep(Duration::from_secs(2)).await;
                return Ok(());
            }
        };
        let head = format!(
            "HTTP/1.1 {status} x\r\nlocation: /\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&body).await?;
        stream.shutdown().await
    }
}
