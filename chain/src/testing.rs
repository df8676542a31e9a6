//! What the unit tests of this crate share: a chain state, a provider that knows it, and an HTTP server.

use alloy::consensus::EMPTY_ROOT_HASH;
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
pub(crate) use world::{World, header};

use crate::trie::HashedBytes;

mod world;

/// A provider that knows one world; honest until its answers are changed.
pub(crate) mod provider {
    use alloy::primitives::KECCAK256_EMPTY;
    use serde_json::{Value, json};

    use super::world::Contract;
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
