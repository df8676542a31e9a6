//! `kmsctl app` and `kmsctl kms` against a real chain: each command's effect, what is refused, and what a provider that
//! lies, limits or fails makes of it.

mod check;
mod deploy;
mod governance;
mod keys;
mod providers;
mod relay;
mod status;
mod writes;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use alloy::primitives::{Address, B256, Bytes};
use alloy::sol_types::{SolCall, SolConstructor as _};
use kms_chain::bindings::{DstackApp, DstackKms, ERC1967Proxy};
use serde_json::Value;
use tempfile::TempDir;

use crate::anvil_support::Anvil;
use crate::run::{Run, kmsctl};

/// The keys of anvil's first accounts: those of the well-known test mnemonic.
const KEYS: [&str; 4] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
];
const GOVERNOR: usize = 0;
const OWNER: usize = 1;
const STRANGER: usize = 2;

fn word(byte: u8) -> B256 {
    B256::repeat_byte(byte)
}

fn text<T: ToString + Copy>(value: T) -> String {
    value.to_string()
}

/// A chain with a KMS contract, and keys.
struct World {
    anvil: Anvil,
    folder: TempDir,
    kms: Address,
}

impl World {
    fn new() -> Self {
        let anvil = Anvil::start();
        let governor = anvil.account(GOVERNOR);
        let app = anvil.deploy(governor, &DstackApp::BYTECODE);
        let kms = kms_behind_proxy(&anvil, governor, app);
        Self { anvil, folder: TempDir::new().unwrap(), kms }
    }

    fn account(&self, index: usize) -> Address {
        self.anvil.account(index)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file of its own with these permissions.
    fn secret(&self, name: &str, content: &str, mode: u32) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    }

    fn key(&self, index: usize) -> Vec<String> {
        let file = self.secret(&format!("key{index}"), KEYS[index], 0o600);
        vec!["--private-key-file".to_owned(), file]
    }

    /// An app of OWNER that allows code 1 on device 1.
    fn app(&self) -> Address {
        let call = DstackKms::deployAndRegisterApp_1Call {
            initialOwner: self.account(OWNER),
            disableUpgrades: false,
            requireTcbUpToDate: false,
            allowAnyDevice: false,
            initialDeviceId: word(1),
            initialComposeHash: word(1),
        };
        let receipt = self.anvil.send(self.account(STRANGER), self.kms, &call).unwrap();
        let events: Vec<DstackKms::AppDeployedViaFactory> = crate::anvil_support::events(&receipt, self.kms);
        events[0].appId
    }

    /// Runs a command against the chain's own node, with JSON output.
    fn run(&self, words: &[&str], more: &[String]) -> Run {
        run_at(&self.anvil.url(), words, more)
    }

    /// Runs a command on the app, signed by that account.
    fn on_app(&self, app: Address, key: usize, words: &[&str]) -> Run {
        let more = [self.key(key), vec!["--app".to_owned(), text(app)]].concat();
        self.run(&[&["app"], words].concat(), &more)
    }

    /// Runs a command on the KMS contract, signed by that account.
    fn on_kms(&self, key: usize, words: &[&str]) -> Run {
        let more = [self.key(key), vec!["--kms".to_owned(), text(self.kms)]].concat();
        self.run(&[&["kms"], words].concat(), &more)
    }

    fn call<C: SolCall>(&self, to: Address, call: &C) -> C::Return {
        self.anvil.call(to, call).unwrap()
    }
}

/// Runs a command against a provider, with JSON output.
fn run_at(url: &str, words: &[&str], more: &[String]) -> Run {
    let words = words.iter().map(|word| (*word).to_owned());
    let rpc = ["--rpc", url, "--json"].map(str::to_owned);
    kmsctl(words.chain(more.iter().cloned()).chain(rpc))
}

fn kms_behind_proxy(anvil: &Anvil, governor: Address, app_implementation: Address) -> Address {
    let implementation = anvil.deploy(governor, &DstackKms::BYTECODE);
    let initialize =
        DstackKms::initializeCall { initialOwner: governor, appImplementation_: app_implementation };
    let arguments =
        ERC1967Proxy::constructorCall { implementation, _data: initialize.abi_encode().into() }.abi_encode();
    anvil.deploy(governor, &[&ERC1967Proxy::BYTECODE[..], &arguments].concat())
}

#[test]
fn help__should_have_an_example_for_each_command_and_fit_a_terminal() {
    for group in ["app", "kms"] {
        let list = kmsctl([group, "--help"]).exits(0).stdout;
        let commands = list.lines().filter_map(|line| line.strip_prefix("  ")?.split_once("  "));
        let commands = commands.map(|(name, _)| name).filter(|name| !name.is_empty() && *name != "help");
        for command in commands.filter(|name| !name.starts_with('-')) {
            let help = kmsctl([group, command, "--help"]).exits(0).stdout;
            assert!(help.contains(&format!("Example:\n  kmsctl {group} {command} ")), "{help}");
            let example = help.split("Example:").nth(1).unwrap();
            assert!(example.lines().all(|line| line.len() <= 80), "{example}");
        }
    }
}

/// The code of an error in JSON output.
fn error_code(run: &Run) -> String {
    run.json()["error"]["code"].as_str().unwrap().to_owned()
}

fn address(value: &Value) -> Address {
    value.as_str().unwrap().parse().unwrap()
}

fn bytes(value: &Value) -> Bytes {
    value.as_str().unwrap().parse().unwrap()
}
