//! The node's configuration: read once at the start, whole and checked, or refused with every fault at once.
//!
//! ```text
//! kms.toml ─▶ environment ─▶ flags      one tree of values; later wins (layers, tree)
//!                  │
//!                  ▼
//!   sections take their keys (reader); what is left over is unknown; then what keys mean together
//!                  │
//!                  ▼
//!   Config ─▶ anchor, policy document and digest, insecure settings, report        or ConfigErrors
//! ```
//!
//! No default weakens security. What does is spelled `insecure_*`, is listed by [`Config::insecure_settings`], and stands
//! in the node's info. A secret never stands in a configuration; a provider's URL may hold a key, and is shown by
//! [`RpcUrl`] with its scheme and host alone. Syntax is the one thing that hides other faults: what the keys of a file
//! say that cannot be parsed is not known.
//!
//! Called by `main` at the start and by `kms-node config check`. Reads the file and, where one is configured, another
//! root of trust's certificate. Never reads the environment itself, never connects, never writes. Threats: a typing error
//! that silently leaves a default, a weaker setting that nobody notices, a credential in a log.

pub mod attestation;
pub mod certificates;
pub mod chain;
mod digest;
mod fault;
mod layers;
pub mod ledger;
pub mod limits;
pub mod listen;
pub mod log;
pub mod metrics;
pub mod node;
mod origin;
mod policy;
mod reader;
mod report;
pub mod root;
mod rpc_url;
mod tree;
mod value;
pub mod witnesses;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use kms_attestation::Policy;
use kms_chain::{Anchor, ChainDeny, Freshness};
use kms_verdict::DecisionPolicy;
use kms_verdict::policy::PhaseRule;

pub use attestation::Attestation;
pub use certificates::Certificates;
pub use chain::{Chain, Providers};
pub use fault::{ConfigErrors, ConfigFault, FaultCode, MAX_FAULTS};
pub use kms_verdict::policy_document::{POLICY_VERSION, PolicyDigest, PolicyDocument};
pub use layers::{ENVIRONMENT_PREFIX, MAX_FILE_BYTES, MAX_OVERRIDE_BYTES};
pub use ledger::Ledger;
pub use limits::Limits;
pub use listen::Listen;
pub use log::Log;
pub use metrics::Metrics;
pub use node::Node;
pub use origin::Origin;
pub use reader::Setting;
pub use report::check_report;
pub use root::RootSource;
pub use rpc_url::RpcUrl;
pub use value::Bounds;
pub use witnesses::Witnesses;

use fault::Faults;
use reader::{Reader, Section};
use tree::Table;

/// The configuration of a node. Only [`Config::load`] and [`Config::parse`] make one.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Where the node is reached.
    pub listen: Listen,
    /// Where the root secret comes from.
    pub root: RootSource,
    /// Which node this is.
    pub node: Node,
    /// What quotes are verified against.
    pub attestation: Attestation,
    /// What is accepted.
    pub policy: DecisionPolicy,
    /// Which contract is asked.
    pub chain: Chain,
    /// How much of everything.
    pub limits: Limits,
    /// Where decisions are recorded.
    pub ledger: Ledger,
    /// Where it is measured.
    pub metrics: Metrics,
    /// What certificates may say.
    pub certificates: Certificates,
    /// What the node says while it runs.
    pub log: Log,
    settings: Vec<Setting>,
}

impl Config {
    /// Reads a configuration: the file, if there is one, under the environment, under the flags (`section.key=value`).
    pub fn load<K, V>(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (K, V)>,
        overrides: &[String],
    ) -> Result<Self, ConfigErrors>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let mut faults = Faults::default();
        let tree = path.map(|path| layers::read_file(path, &mut faults)).unwrap_or_default();
        Self::assemble(tree, environment, overrides, faults)
    }

    /// As [`Self::load`], with a file that was read; `name` stands in faults.
    pub fn parse<K, V>(
        name: &str,
        file: &[u8],
        environment: impl IntoIterator<Item = (K, V)>,
        overrides: &[String],
    ) -> Result<Self, ConfigErrors>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let mut faults = Faults::default();
        let tree = layers::parse_file(&name.into(), file, &mut faults);
        Self::assemble(tree, environment, overrides, faults)
    }

    fn assemble<K, V>(
        mut tree: Table,
        environment: impl IntoIterator<Item = (K, V)>,
        overrides: &[String],
        mut faults: Faults,
    ) -> Result<Self, ConfigErrors>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let parsed = faults.is_empty();
        layers::apply_environment(&mut tree, environment, &mut faults);
        layers::apply_flags(&mut tree, overrides, &mut faults);
        let mut reader = Reader { faults, settings: Vec::new() };
        let config = if parsed { reader.read(tree, Self::read) } else { None };
        check_across_sections(&mut reader);
        let Reader { faults, settings } = reader;
        match (config, faults.into_errors()) {
            (Some(config), None) => Ok(Self { settings, ..config }),
            (_, Some(errors)) => Err(errors),
            (None, None) => Err(ConfigErrors::unexplained()),
        }
    }

    fn read(root: &mut Section<'_>) -> Option<Self> {
        let listen = root.section("listen", Listen::read);
        let source = root.section("root", RootSource::read);
        let node = root.section("node", Node::read);
        let attestation = root.section("attestation", Attestation::read);
        let policy = root.section("policy", policy::read);
        let chain = root.section("chain", Chain::read);
        let limits = root.section("limits", Limits::read);
        let state_dir =
            node.as_ref().map_or(PathBuf::from(node::DEFAULT_STATE_DIR), |node| node.state_dir.clone());
        let ledger = root.section("ledger", |section| Ledger::read(section, &state_dir));
        let metrics = root.section("metrics", Metrics::read);
        let certificates = root.section("certificates", Certificates::read);
        if let Some(certificates) = &certificates {
            check_names(root, &listen, certificates);
        }
        let log = root.section("log", Log::read);
        let (root, node, attestation) = (source?, node?, attestation?);
        let (policy, chain, certificates, settings) = (policy?, chain?, certificates?, Vec::new());
        Some(Self {
            listen,
            root,
            node,
            attestation,
            policy,
            chain,
            limits,
            ledger,
            metrics,
            certificates,
            log,
            settings,
        })
    }

    /// What is believed of the chain. Refused with the chain's own reason where it would authenticate nothing; a
    /// configuration that was loaded is never refused here.
    pub fn anchor(&self) -> Result<Anchor, ChainDeny> {
        self.chain.anchor()
    }

    /// What this node decides by: evidence to keep beside the records, as its canonical JSON.
    #[must_use]
    pub fn policy_document(&self) -> PolicyDocument {
        let witnesses = self.ledger.witnesses.as_ref();
        digest::document(&self.policy, &self.attestation, &self.chain, &self.certificates, witnesses)
    }

    /// SHA-256 of [`Self::policy_document`].
    #[must_use]
    pub fn policy_digest(&self) -> PolicyDigest {
        self.policy_document().digest()
    }

    /// Every key that there is, with what counts for it and where that was given. Without credentials.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The `insecure_*` keys that are on. Empty in production.
    #[must_use]
    pub fn insecure_settings(&self) -> Vec<&str> {
        self.settings.iter().filter(|setting| setting.is_insecure()).map(|setting| &*setting.key).collect()
    }

    /// The keys of policy and freshness by which more is accepted than by default. They are a choice, not a weakness of
    /// the node, and stand in the policy digest.
    #[must_use]
    pub fn widened_settings(&self) -> Vec<&'static str> {
        let (policy, default) = (&self.policy.platform, Policy::default());
        let (fresh, usual) = (self.chain.freshness, Freshness::default());
        let too_few = |watched: &Witnesses| watched.quorum < watched.each.len();
        let all = [
            ("ledger.witness_quorum", self.ledger.witnesses.as_ref().is_some_and(too_few)),
            ("policy.boot_phase", self.policy.boot_phase != PhaseRule::default()),
            (
                "policy.platform.accepted_tcb_statuses",
                policy.accepted_tcb_statuses.iter().any(|it| !default.accepted_tcb_statuses.contains(it)),
            ),
            ("policy.platform.grace_secs", policy.grace_secs > default.grace_secs),
            (
                "policy.platform.max_collateral_age_secs",
                policy.max_collateral_age_secs > default.max_collateral_age_secs,
            ),
            (
                "policy.platform.max_root_crl_age_secs",
                policy.max_root_crl_age_secs > default.max_root_crl_age_secs,
            ),
            ("chain.latest_max_age_s", fresh.latest_max_age > usual.latest_max_age),
            ("chain.finalized_max_age_s", fresh.finalized_max_age > usual.finalized_max_age),
            ("chain.max_future_s", fresh.max_future > usual.max_future),
        ];
        all.into_iter().filter(|(_, wider)| *wider).map(|(key, _)| key).collect()
    }
}

/// A node must not be mistaken for an app.
fn check_names(root: &mut Section<'_>, listen: &Listen, certificates: &Certificates) {
    let within = listen.server_names.iter().find(|name| name.is_within(&certificates.zone));
    if let Some(name) = within {
        let expected = format!("names outside of the apps' zone {}", certificates.zone);
        root.fault(FaultCode::Conflict, "listen.server_names", format!("\"{name}\""), &expected);
    }
}

/// What switches of different sections mean together, whatever else is wrong.
fn check_across_sections(reader: &mut Reader) {
    let on = |key| reader.settings.iter().any(|setting| setting.key == key && setting.is_insecure());
    if on("chain.insecure_dev_chain") && !on("attestation.insecure_root_certificate") {
        let expected = "false: heads that nobody vouches for do not go with Intel's root of trust";
        reader.fault(FaultCode::Conflict, "chain.insecure_dev_chain", "true", expected);
    }
}
