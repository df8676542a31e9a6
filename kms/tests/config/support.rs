//! A small configuration that is complete, and ways to change it.

use kms_node::config::{Config, ConfigErrors, FaultCode};

/// The documented example.
pub(crate) const EXAMPLE: &str = include_str!("../../kms.example.toml");

/// What must be given, and nothing else.
pub(crate) const MINIMAL: &str = r#"
[root]
generate = true
[node]
name = "kms-1.example"
os_image_manifest = "/etc/kms-node/os-image.json"
[chain]
chain_id = 1
contract = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
rpc = ["https://rpc-a.example", "https://rpc-b.example", "https://rpc-c.example"]
quorum = 2
"#;

pub(crate) const NO_ENVIRONMENT: [(String, String); 0] = [];

pub(crate) fn parse(file: &str) -> Result<Config, ConfigErrors> {
    with_flags(file, &[])
}

pub(crate) fn with_flags(file: &str, flags: &[&str]) -> Result<Config, ConfigErrors> {
    let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    Config::parse("kms.toml", file.as_bytes(), NO_ENVIRONMENT, &flags)
}

pub(crate) fn with_environment(file: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Config::parse("kms.toml", file.as_bytes(), environment.iter().copied(), &[])
}

/// Each fault by its code and key.
pub(crate) fn faults(outcome: Result<Config, ConfigErrors>) -> Vec<(FaultCode, String)> {
    let errors = outcome.expect_err("a fault");
    errors.faults().iter().map(|fault| (fault.code, fault.key.clone())).collect()
}
