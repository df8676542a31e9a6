//! Writes the seeds of the fuzz targets of this crate, from a small chain state.
//!
//! `cargo run -p kms-chain --example fuzz_corpus -- fuzz/corpus`
#![allow(clippy::expect_used, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use alloy::primitives::{Address, B256, U256, hex};
use alloy::rlp;
use alloy::sol_types::SolValue;
use anyhow::Context as _;
use kms_chain::{GrantAt, Question};
use scene::world::header;
use serde_json::{Value, json};

mod scene;

/// In the `trie` target: stands for the hash of the node before.
const LINK: [u8; 32] = [0xEE; 32];

fn main() -> anyhow::Result<()> {
    let root: PathBuf = std::env::args_os().nth(1).context("give the folder of the corpus")?.into();
    let seeds = Seeds { root: &root };
    seeds.headers_and_questions()?;
    seeds.contracts()?;
    seeds.contract_answers()?;
    seeds.tries()?;
    seeds.witnesses()?;
    seeds.rpc_answers()
}

struct Seeds<'a> {
    root: &'a Path,
}

impl Seeds<'_> {
    fn write(&self, target: &str, name: &str, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
        let dir = self.root.join(target);
        std::fs::create_dir_all(&dir)?;
        Ok(std::fs::write(dir.join(name), bytes)?)
    }

    fn headers_and_questions(&self) -> anyhow::Result<()> {
        self.write("header", "osaka", header(B256::repeat_byte(1), 100, 1_800_000_000))?;
        let merge = alloy::consensus::Header { number: 7, base_fee_per_gas: Some(7), ..Default::default() };
        self.write("header", "paris", rlp::encode(merge))?;
        let Question::App(info) = scene::question() else { return Ok(()) };
        self.write("question", "app", Question::App(info.clone()).call_data())?;
        self.write("question", "kms", Question::Kms(info).call_data())
    }

    fn contracts(&self) -> anyhow::Result<()> {
        for (name, code) in [
            ("honest", scene::HONEST),
            ("asks", scene::ASKS_APP),
            ("loops", &hex!("5b5f56")),
            ("reverts", &hex!("620f42405ffd")),
            ("reads_without_end", &hex!("5f5b805450600101600156")),
            ("blockhash", &hex!("60014303405f5260205ff3")),
            ("long_reason", &hex!("60015f526040602052620f4240604052620f42a05ff3")),
            ("no_code", &hex!("ef0102")),
        ] {
            self.write("contract", &format!("app_{name}"), [&[0], code].concat())?;
            self.write("contract", &format!("kms_{name}"), [&[1], code].concat())?;
        }
        Ok(())
    }

    fn contract_answers(&self) -> anyhow::Result<()> {
        for (name, answer) in [("allowed", (true, "")), ("denied", (false, "Compose hash not allowed"))] {
            self.write("contract_answer", name, answer.abi_encode_params())?;
        }
        let revert = [&hex!("08c379a0")[..], &"Device not allowed".abi_encode()].concat();
        self.write("contract_answer", "revert", revert)?;
        self.write("contract_answer", "flag", U256::from(1).abi_encode())
    }

    /// A branch over a leaf, an extension over that, and entries for the independent builder.
    fn tries(&self) -> anyhow::Result<()> {
        let path = [&[0x3b][..], &[0xbb; 30]].concat();
        let leaf = list(&[string(&path), string(&[7; 40])]);
        let mut children = vec![string(&[]); 17];
        children[0xb] = string(&LINK);
        let branch = list(&children);
        let extension = list(&[string(&[0x00, 0xbb]), string(&LINK)]);
        let mut chain = [&[0][..], &[0xbb; 32]].concat();
        for node in [leaf, branch, extension] {
            chain.extend(u16::try_from(node.len())?.to_be_bytes());
            chain.extend(node);
        }
        self.write("trie", "chain", chain)?;
        let entries = (0..24).flat_map(|i: u8| [i, i.wrapping_mul(37), i.wrapping_mul(11), i, i * 9]);
        self.write("trie", "entries", [1].into_iter().chain(entries).collect::<Vec<_>>())
    }

    fn witnesses(&self) -> anyhow::Result<()> {
        let (allowed, denied) =
            (scene::world(scene::HONEST, scene::HONEST), scene::world(scene::HONEST, &[]));
        let latest = scene::witness(&scene::anchor(GrantAt::Latest), std::slice::from_ref(&allowed))?;
        self.write("witness", "latest", latest.encode())?;
        let both = scene::witness(&scene::anchor(GrantAt::LatestAndFinalized), &[allowed, denied])?;
        self.write("witness", "finalized", both.encode())
    }

    fn rpc_answers(&self) -> anyhow::Result<()> {
        let (address, hash) = (Address::repeat_byte(1), B256::repeat_byte(2));
        let slot = json!({ "key": "0x1", "value": "0x2a", "proof": ["0xc0"] });
        let results = [
            json!({ "accessList": [{ "address": address, "storageKeys": [hash] }], "gasUsed": "0x1" }),
            json!({ "address": address, "accountProof": ["0xc0"], "balance": "0x0", "nonce": "0x0",
                "codeHash": hash, "storageHash": hash, "storageProof": [slot] }),
            json!("0x6001"),
            block()?,
        ];
        for (name, result) in ["access_list", "proof", "code", "block"].into_iter().zip(&results) {
            self.write("rpc_answer", name, result.to_string())?;
        }
        let answer = |(id, result)| json!({ "jsonrpc": "2.0", "id": id, "result": result });
        let batch: Vec<Value> = (7..).zip(&results).map(answer).collect();
        self.write("rpc_answer", "batch", Value::Array(batch).to_string())?;
        let error = json!({ "id": 7, "error": { "code": -32000, "message": "no batch" } });
        self.write("rpc_answer", "error", json!([error]).to_string())
    }
}

/// A block as providers send it.
fn block() -> anyhow::Result<Value> {
    let mut bytes = &header(B256::repeat_byte(1), 100, 1_800_000_000)[..];
    let header: alloy::consensus::Header = rlp::Decodable::decode(&mut bytes)?;
    let mut block = serde_json::to_value(&header)?;
    block["hash"] = json!(header.hash_slow());
    Ok(block)
}

fn string(bytes: &[u8]) -> Vec<u8> {
    rlp::encode(bytes)
}

fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let payload_length = items.iter().map(Vec::len).sum();
    let mut out = Vec::new();
    rlp::Header { list: true, payload_length }.encode(&mut out);
    for item in items {
        out.extend(item);
    }
    out
}
