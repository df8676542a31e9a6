//! From a configuration to a node: everything that can fail at the start fails here, with a code and a way out.
//!
//! The order matters. The process is hardened before a secret exists, and the first quote is there before the port is open.
//! The first heads, and whether this node may release anything, are found out while it already answers `Public`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;

use governor::{Quota, RateLimiter};
use kms_attestation::Verifier;
use kms_attestation::identity::mr_aggregated;
use kms_attestation::ids::RootEpoch;
use kms_attestation::pccs::{
    CachePolicy, CollateralCache, CollateralClient, CollateralStore, FetchLimits, Source, SystemClock,
};
use kms_attestation::platform::Platform;
use kms_attestation::quote::Quote;
use kms_chain::{Anchor, ContractReader, Rpc, RpcLimits};
use kms_ledger::note::LogKey;
use kms_ledger::record::RootOrigin;
use kms_ledger::serve::Blobs;
use kms_ledger::store::{Store, StoreFault, StoreKeys, StoreOptions};
use kms_verdict::Judge;
use tokio::net::TcpListener;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::config::ledger::Auditors;
use crate::config::{Config, RootSource};
use crate::hardening::{Hardened, HardeningError};
use crate::keys::{CertificateDeny, KeyError, RootKeys, RootSecret};
use crate::metrics::{Measured, Metrics};
use crate::node::certificate::{Issuer, NodeCertificate};
use crate::node::history::History;
use crate::node::{Node, Quotas, Standing, Workers};
use crate::record::{Books, KeptLog, LogIdentity, Recorder, Stamp};
use crate::refusal::Refused;
use crate::serve::{CertificateTerms, Listeners, LogListener, ServeLimits};
use crate::server::auditors_tls;
use crate::witnesses::{Guarded, Rounds, Witnesses};
use kms_client::secret::Secret;

/// The largest OS-image manifest that is read, in bytes.
const MAX_MANIFEST_BYTES: u64 = kms_attestation::image::MAX_MANIFEST_BYTES as u64;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The process cannot be made safe for secrets.
    #[error(transparent)]
    Hardening(#[from] HardeningError),
    /// A file or folder cannot be used.
    #[error("start-file: cannot {what} {path}: {error}; check the path and its permissions")]
    File {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: String,
        /// The system's word for it.
        error: std::io::Error,
    },
    /// The root file does not hold a root secret.
    #[error(
        "start-root: {path} does not hold 64 hexadecimal digits readable by its owner alone; restore it, or remove it to bootstrap anew"
    )]
    Root {
        /// Where.
        path: String,
    },
    /// A key cannot be derived.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What the configuration says of certificates cannot be.
    #[error(transparent)]
    Certificate(#[from] CertificateDeny),
    /// The record of decisions cannot be opened.
    #[error("start-record: the record of decisions: {0}")]
    Record(#[from] StoreFault),
    /// The configuration was loaded, and yet something in it cannot be used.
    #[error("start-config: {0}; run `kms-node config check`")]
    Config(String),
    /// The CAs of auditors cannot be used.
    #[error(
        "start-auditors: {path}, from ledger.auditors.client_ca_file: {fault}; give CA certificates in PEM"
    )]
    Auditors {
        /// Where.
        path: String,
        /// What is wrong.
        fault: String,
    },
    /// A port cannot be opened.
    #[error(
        "start-listen: cannot listen at {address}, from {key}: {error}; free the port, or choose another"
    )]
    Listen {
        /// The key of the configuration.
        key: &'static str,
        /// Where.
        address: SocketAddr,
        /// The system's word for it.
        error: std::io::Error,
    },
    /// No quote, or no certificate.
    #[error("{0}")]
    Refused(Refused),
}

/// A node, and how it serves.
pub struct Assembled {
    /// The node.
    pub node: Arc<Node>,
    /// Its log of decisions.
    pub ledger: KeptLog,
    /// Its limits.
    pub limits: ServeLimits,
    /// What its certificates say.
    pub terms: CertificateTerms,
}

/// Puts a node together. It records through the door to its log that `door` makes.
pub async fn assemble(
    config: &Config,
    hardened: &Hardened,
    door: impl FnOnce(Arc<Store>) -> Arc<dyn Recorder>,
) -> Result<Assembled, StartError> {
    let state = &config.node.state_dir;
    fs::create_dir_all(state).map_err(file("make the folder", state))?;
    let (root_origin, root) = root_secret(&config.root, hardened)?;
    let root = root.keys()?;
    let os_image_manifest = os_image_manifest(config)?;
    let certificate_policy = config.certificates.policy()?;
    let terms = config.certificates.terms(config.listen.server_names.clone());
    let platform = platform(config).await?;
    let collateral = collateral(config)?;
    let anchor = config.anchor().map_err(unusable)?;
    let chain = contract_reader(config, anchor.clone())?;
    let judge = judge(config, anchor)?;
    let issuer =
        Issuer { root: &root, policy: &certificate_policy, names: &terms.names, lifetime: terms.lifetime };
    let now = collateral.now();
    let certificate = issuer.issue(&platform, now).await.map_err(StartError::Refused)?;
    let stamp = stamp(config, &root, &certificate)?;
    let OpenLog { log, store, witnesses, rounds } = open_log(config, &root, &platform, &collateral).await?;
    let history = state.join("platforms.json");
    let (limits, cores) = (&config.limits, available_parallelism().unwrap_or(NonZeroUsize::MIN));
    let metrics = Arc::<Metrics>::default();
    let guarded = Guarded::new(door(Arc::clone(&store)), Arc::clone(&witnesses));
    let node = Node {
        judge: Arc::new(judge),
        certificate_policy,
        collateral,
        chain,
        history: History::open(&history).map_err(file("read", &history))?,
        recorder: Measured::new(Arc::new(guarded), Arc::clone(&metrics)),
        stamp,
        books: Arc::new(Books::new(now, Arc::clone(&metrics))),
        identities: config.ledger.identities,
        log,
        root,
        platform,
        os_image_manifest,
        certificates: watch::Sender::new(Arc::new(certificate)),
        standing: Standing::unknown(),
        workers: Workers::new(limits.work(cores)),
        quotas: Quotas::new(limits.releases),
        fresh_quotes: RateLimiter::direct(Quota::per_minute(limits.fresh_quotes_per_minute)),
        nonce_lifetime: limits.nonce_lifetime,
        insecure_settings: config.insecure_settings().into_iter().map(str::to_owned).collect(),
        metrics,
        witnesses,
    };
    // A log that a witness contradicts is not continued, not even with this start: the node says why, and waits for a person.
    if node.witnesses.contradiction().is_none() {
        node.record_start(root_origin).await?;
    }
    let ledger = KeptLog { store, keep_evidence: config.ledger.keep_evidence, rounds };
    Ok(Assembled { node: Arc::new(node), ledger, limits: limits.serve, terms })
}

/// What every record of this node says.
fn stamp(config: &Config, root: &RootKeys, own: &NodeCertificate) -> Result<Stamp, StartError> {
    let quote = Quote::parse(&own.quote().quote).map_err(|why| StartError::Refused(why.lift()))?;
    let (policy, measurement) = (config.policy_document().to_json(), mr_aggregated(quote.td()));
    Ok(Stamp::new(&config.node.name, policy, root.epoch(), measurement))
}

/// The log, and those who watch it.
struct OpenLog {
    log: LogIdentity,
    store: Arc<Store>,
    witnesses: Arc<Witnesses>,
    rounds: Option<Rounds>,
}

/// Opens the log, and asks its witnesses whether it is the one that they know, before anything is added to it.
async fn open_log(
    config: &Config,
    root: &RootKeys,
    platform: &Platform,
    collateral: &CollateralCache,
) -> Result<OpenLog, StartError> {
    let (name, origin) = (&config.node.name, log_origin(config));
    let (signer, journal) = (root.node_log_key(name)?, root.node_journal_key(name)?);
    let log = LogIdentity::attest(platform, origin.clone(), &signer).await.map_err(StartError::Refused)?;
    let folder = log_folder(&config.ledger.folder, &config.root, &log.public_key);
    let keys = StoreKeys { signer: Box::new(signer), journal };
    let (store, opened) = Store::open(&folder, keys, store_options(config, origin))?;
    tracing::info!(?opened, "the log of decisions");
    let store = Arc::new(store);
    let terms = config.ledger.witnesses.as_ref();
    let witnesses = Arc::new(Witnesses::new(terms, opened.size));
    let Some(terms) = terms else { return Ok(OpenLog { log, store, witnesses, rounds: None }) };
    let key = LogKey::new(log.origin.parse().map_err(unusable)?, log.public_key);
    let rounds = Rounds::new(terms, Arc::clone(&store), &key, Arc::clone(&witnesses));
    let mut rounds = rounds.map_err(unusable)?;
    rounds.first(|| collateral.now()).await;
    Ok(OpenLog { log, store, witnesses, rounds: Some(rounds) })
}

/// The log's name: which node of which KMS.
fn log_origin(config: &Config) -> String {
    format!("{}/onchain-kms/{}/{:#x}", config.node.name, config.chain.chain_id, config.chain.contract)
}

/// Where the log is. A log belongs to its key: a root that is made at each start begins a log of its own, beside the others.
fn log_folder(folder: &Path, root: &RootSource, key: &[u8; 32]) -> PathBuf {
    match root {
        RootSource::Generate => folder.join(hex::encode(key)),
        RootSource::InsecureFile(_) => folder.to_owned(),
    }
}

fn store_options(config: &Config, origin: String) -> StoreOptions {
    let ledger = &config.ledger;
    let (reserve_bytes, publish_every) = (ledger.reserve_bytes, ledger.publish_every);
    StoreOptions { origin, reserve_bytes, publish_every, ..StoreOptions::default() }
}

/// Opens a node's ports.
pub async fn bind(config: &Config, node: &Node) -> Result<Listeners, StartError> {
    let services = listen("listen.address", config.listen.address).await?;
    let metrics = match config.metrics.address {
        Some(address) => Some(listen("metrics.address", address).await?),
        None => None,
    };
    let mut log = Vec::new();
    if let Some(address) = config.ledger.address {
        let listener = listen("ledger.address", address).await?;
        log.push(LogListener { listener, tls: None, blobs: config.ledger.serve_evidence });
    }
    if let Some(Auditors { address, client_ca_file }) = &config.ledger.auditors {
        let tls = auditors_tls(client_ca_file, node.certificates.subscribe());
        let path = client_ca_file.display().to_string();
        let tls = tls.map_err(|fault| StartError::Auditors { path, fault: fault.to_string() })?;
        let listener = listen("ledger.auditors.address", *address).await?;
        log.push(LogListener { listener, tls: Some(tls), blobs: Blobs::Served });
    }
    Ok(Listeners { services, metrics, log })
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen { key, address, error })
}

fn file(what: &'static str, path: &Path) -> impl Fn(std::io::Error) -> StartError {
    let path = path.display().to_string();
    move |error| StartError::File { what, path: path.clone(), error }
}

fn unusable(what: impl std::fmt::Display) -> StartError {
    StartError::Config(what.to_string())
}

fn judge(config: &Config, anchor: Anchor) -> Result<Judge, StartError> {
    let trust = config.attestation.root_of_trust().map_err(unusable)?;
    Ok(Judge::new(Verifier::new(trust), config.policy.clone(), anchor))
}

async fn platform(config: &Config) -> Result<Platform, StartError> {
    let platform = Platform::detect(&config.node.platform).await;
    platform.map_err(|error| unusable(format_args!("{}; {}", error.found(), error.fix())))
}

fn os_image_manifest(config: &Config) -> Result<Vec<u8>, StartError> {
    let path = &config.node.os_image_manifest;
    read_bounded(path).map_err(file("read", path))
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    fs::File::open(path)?.take(MAX_MANIFEST_BYTES).read_to_end(&mut content)?;
    Ok(content)
}

fn collateral(config: &Config) -> Result<CollateralCache, StartError> {
    let attestation = &config.attestation;
    let root = Arc::new(attestation.root_of_trust().map_err(unusable)?);
    let sources =
        attestation.pccs.iter().map(Source::http).collect::<Result<Vec<_>, _>>().map_err(unusable)?;
    let client = CollateralClient::new(root, sources, &[], FetchLimits::default()).map_err(unusable)?;
    let store = CollateralStore::new(config.node.state_dir.join("collateral"));
    let policy = CachePolicy { set: attestation.collateral_set, ..CachePolicy::default() };
    Ok(CollateralCache::open(client, policy, Some(store), Box::new(SystemClock)))
}

fn contract_reader(config: &Config, anchor: Anchor) -> Result<ContractReader, StartError> {
    let chain = &config.chain;
    let client =
        |url: &crate::config::RpcUrl| url.client(chain.transport, RpcLimits::default()).map(Arc::new);
    let rpcs: Vec<Arc<Rpc>> =
        chain.providers.urls().iter().map(client).collect::<Result<_, _>>().map_err(unusable)?;
    ContractReader::spawn(anchor, rpcs, chain.confirmations, chain.timing).map_err(unusable)
}

fn root_secret(source: &RootSource, hardened: &Hardened) -> Result<(RootOrigin, RootSecret), StartError> {
    match source {
        RootSource::Generate => Ok((RootOrigin::Generated, RootSecret::generate(RootEpoch(0), hardened)?)),
        RootSource::InsecureFile(path) => Ok((RootOrigin::InsecureFile, insecure_root_file(path, hardened)?)),
    }
}

/// A root secret in a file: for development. Made where there is none; refused where others may read it.
fn insecure_root_file(path: &Path, hardened: &Hardened) -> Result<RootSecret, StartError> {
    use std::os::unix::fs::PermissionsExt as _;
    let refused = || StartError::Root { path: path.display().to_string() };
    if !path.exists() {
        let root = RootSecret::generate(RootEpoch(0), hardened)?;
        let text = Zeroizing::new(hex::encode(root.expose_for_transfer()));
        let file_written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let written =
            file_written.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
        written.map_err(file("write", path))?;
        return Ok(root);
    }
    let mode = fs::metadata(path).map_err(file("read", path))?.permissions().mode();
    let text = Zeroizing::new(fs::read_to_string(path).map_err(file("read", path))?);
    let secret =
        Secret::<32>::try_fill(|bytes| hex::decode_to_slice(text.trim(), bytes).map_err(|_| refused()))?;
    if mode & 0o077 != 0 {
        return Err(refused());
    }
    Ok(RootSecret::from_secret(RootEpoch(0), secret, hardened)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_folder__should_be_a_logs_own_where_its_root_is_made_anew_at_each_start() {
        let (folder, key) = (Path::new("/ledger"), [0xab; 32]);
        let own = PathBuf::from("/ledger").join("ab".repeat(32));
        assert_eq!(log_folder(folder, &RootSource::Generate, &key), own);
        let file = RootSource::InsecureFile("root.hex".into());
        assert_eq!(log_folder(folder, &file, &key), folder);
    }
}
