//! The test harness itself: anvil starts, mines, finalises, reports reverts, and is gone when dropped.
#![allow(non_snake_case, missing_docs, clippy::unwrap_used)]

mod anvil_support;

use std::net::TcpStream;

use alloy::sol;
use alloy::sol_types::SolCall as _;
use anvil_support::{Anvil, CHAIN_ID};
use serde_json::{Value, json};

sol! {
    function any() external returns (uint256 value);
}

/// Init code that deploys `runtime`.
fn init_code(runtime: &[u8]) -> Vec<u8> {
    // PUSH1 len, DUP1, PUSH1 9, PUSH0, CODECOPY, PUSH0, RETURN
    let mut code = vec![0x60, u8::try_from(runtime.len()).unwrap(), 0x80, 0x60, 9, 0x5f, 0x39, 0x5f, 0xf3];
    code.extend_from_slice(runtime);
    code
}

#[test]
fn anvil__should_finalise_mined_blocks_and_keep_its_clock() {
    let anvil = Anvil::start();
    let chain: String = anvil.expect("eth_chainId", &json!([]));
    assert_eq!(chain, format!("{CHAIN_ID:#x}"));

    let before: Value = anvil.expect("eth_getBlockByNumber", &json!(["latest", false]));
    anvil.mine(5);
    anvil.increase_time(3600);

    assert_eq!(anvil.block_number(), 6);
    let after: Value = anvil.expect("eth_getBlockByNumber", &json!(["latest", false]));
    assert!(time(&after) >= time(&before) + 3600);
    let finalized: Value = anvil.expect("eth_getBlockByNumber", &json!(["finalized", false]));
    assert_ne!(finalized["number"], "0x0");
}

fn time(block: &Value) -> u64 {
    u64::from_str_radix(block["timestamp"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

#[test]
fn anvil__should_deploy_and_call() {
    let anvil = Anvil::start();
    // PUSH1 7, PUSH0, MSTORE, PUSH1 32, PUSH0, RETURN
    let contract = anvil.deploy(anvil.account(0), &init_code(&[0x60, 7, 0x5f, 0x52, 0x60, 32, 0x5f, 0xf3]));
    assert_eq!(anvil.call(contract, &anyCall {}).unwrap().to::<u64>(), 7);
    assert_eq!(anvil.send(anvil.account(1), contract, &anyCall {}).unwrap().from, anvil.account(1));
    assert!(anvil.logs(contract).is_empty());
}

#[test]
fn anvil__should_report_revert_data_without_a_block() {
    let anvil = Anvil::start();
    // Reverts with the call's own selector: CALLDATASIZE, PUSH0, PUSH0, CALLDATACOPY, CALLDATASIZE, PUSH0, REVERT
    let contract = anvil.deploy(anvil.account(0), &init_code(&[0x36, 0x5f, 0x5f, 0x37, 0x36, 0x5f, 0xfd]));
    let height = anvil.block_number();
    for error in [
        anvil.send(anvil.account(0), contract, &anyCall {}).unwrap_err(),
        anvil.call(contract, &anyCall {}).unwrap_err(),
    ] {
        assert_eq!(error.data.as_ref(), anyCall::SELECTOR);
        assert_eq!(error.reason(), None);
    }
    assert_eq!(anvil.block_number(), height);
}

#[test]
fn anvil__should_be_gone_when_dropped() {
    let anvil = Anvil::start();
    let port = anvil.port();
    drop(anvil);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}
