//! A KMS node as a process: its configuration, its folder, its record of decisions.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::chain::Chain;
use crate::log::{self, Entry};
use crate::process::{Process, program};
use crate::simulated::Simulated;
use crate::wire::{ClientCertificate, Wire};

/// How long a node may take to listen, and to be allowed.
const START: Duration = Duration::from_secs(30);
/// Settings that make tests faster, or leave out what is not their subject.
const DEFAULTS: [&str; 5] = [
    "chain.poll_every_ms=200",
    "ledger.publish_every_ms=20",
    "limits.releases_per_app_per_minute=100000",
    "limits.releases_per_device_per_minute=100000",
    "limits.fresh_quotes_per_minute=600",
];

/// What is not done before a node starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signals {
    /// As the system has them.
    Usual,
    /// Without death by a file that may not grow (SIGXFSZ): so that a limit on file sizes is like a full disk.
    FileLimitIsAnError,
}

/// A node.
pub struct Node {
    folder: TempDir,
    state: PathBuf,
    settings: Vec<String>,
    run: Run,
    address: SocketAddr,
    process: Process,
}

/// What is started as a node, and how.
#[derive(Debug, Clone)]
struct Run {
    program: PathBuf,
    signals: Signals,
}

impl Run {
    fn node(signals: Signals) -> Self {
        Self { program: program("kms-node"), signals }
    }

    fn process(&self, folder: &Path, settings: &[String]) -> Process {
        let mut command = match self.signals {
            Signals::Usual => Command::new(&self.program),
            Signals::FileLimitIsAnError => {
                // What a shell ignores, the program that takes its place ignores.
                let mut shell = Command::new("sh");
                shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(&self.program);
                shell
            }
        };
        command.args(["run", "--config"]).arg(folder.join("kms.toml"));
        for setting in settings {
            command.args(["--set", setting]);
        }
        Process::start("kms-node", &mut command)
    }
}

impl Node {
    /// Starts a node and waits until it listens; settings are `section.key=value`.
    pub fn start(chain: &Chain, simulated: &Simulated, settings: &[&str]) -> Self {
        Self::start_with(chain, simulated, settings, Signals::Usual)
    }

    /// As [`Self::start`], with other signals.
    pub fn start_with(chain: &Chain, simulated: &Simulated, settings: &[&str], signals: Signals) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        Self::start_in(folder, state, chain, simulated, settings, Run::node(signals))
    }

    /// As [`Self::start`], with another program that takes the same arguments.
    pub fn start_program(program: PathBuf, chain: &Chain, simulated: &Simulated, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        let run = Run { program, signals: Signals::Usual };
        Self::start_in(folder, state, chain, simulated, settings, run)
    }

    /// As [`Self::start`], with all that the node writes in that folder, its record among it.
    pub fn start_on(state: &Path, chain: &Chain, simulated: &Simulated, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::start_in(folder, state.to_owned(), chain, simulated, settings, Run::node(Signals::Usual))
    }

    fn start_in(
        folder: TempDir,
        state: PathBuf,
        chain: &Chain,
        simulated: &Simulated,
        settings: &[&str],
        run: Run,
    ) -> Self {
        write_configuration(folder.path(), &state, chain, simulated);
        let settings = with_defaults(settings);
        let mut process = run.process(folder.path(), &settings);
        let address = process.await_line(START, listening);
        Self { folder, state, settings, run, address, process }
    }

    /// Starts a node that cannot start; its exit code and its words.
    pub fn fail_to_start(chain: &Chain, simulated: &Simulated, settings: &[&str]) -> (ExitStatus, String) {
        let folder = tempfile::tempdir().expect("a folder");
        write_configuration(folder.path(), &folder.path().join("state"), chain, simulated);
        Run::node(Signals::Usual).process(folder.path(), &with_defaults(settings)).await_end(START)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its metrics are, if they are served.
    pub fn metrics(&self) -> SocketAddr {
        let said = self.process.said();
        let address = said.lines().find_map(|line| address_in(line, "serving metrics"));
        address.expect("a node with metrics.address")
    }

    /// Where its log of decisions is served, if it is.
    pub fn log_address(&self) -> SocketAddr {
        let said = self.process.said();
        let address = said.lines().find_map(|line| address_in(line, "serving the log of decisions"));
        address.expect("a node with ledger.address")
    }

    /// Where its log and evidence are served to auditors, if they are.
    pub fn auditors_address(&self) -> SocketAddr {
        let said = self.process.said();
        let address = said.lines().find_map(|line| address_in(line, "serving auditors"));
        address.expect("a node with ledger.auditors")
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The file of its root secret.
    pub fn root_file(&self) -> PathBuf {
        self.folder.path().join("root.hex")
    }

    /// The folder of its log of decisions.
    pub fn ledger_folder(&self) -> PathBuf {
        self.state.join("ledger")
    }

    /// What it remembers of platforms.
    pub fn history_file(&self) -> PathBuf {
        self.state.join("platforms.json")
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again where it was, on what it left behind. Killed before, if it still runs.
    pub fn restart(&mut self) {
        self.process.kill();
        let mut settings = self.settings.clone();
        settings.push(format!("listen.address={}", self.address));
        self.process = self.run.process(self.folder.path(), &settings);
        self.process.await_line(START, listening);
    }

    /// Starts it again where it was, though it cannot start; its exit code and its words.
    pub fn fail_to_restart(&mut self) -> (ExitStatus, String) {
        self.process.kill();
        self.run.process(self.folder.path(), &self.settings).await_end(START)
    }

    /// Asks it to stop; its exit code.
    pub fn stop(&mut self) -> ExitStatus {
        self.tell_to_stop();
        self.await_stop()
    }

    /// Asks it to stop, and does not wait.
    pub fn tell_to_stop(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Waits until it has stopped; its exit code.
    pub fn await_stop(&mut self) -> ExitStatus {
        self.process.await_end(START).0
    }

    /// Lets no file of the process grow beyond so many bytes; none takes the limit away. Like a full disk where the node
    /// was started with [`Signals::FileLimitIsAnError`].
    pub fn limit_files(&self, bytes: Option<u64>) {
        let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let arguments = [format!("--pid={}", self.process.id()), format!("--fsize={limit}:")];
        let done = Command::new("prlimit").args(arguments).status().expect("prlimit (util-linux) runs");
        assert!(done.success(), "prlimit");
    }

    /// Every entry of its log, in order: starts and standings too.
    pub fn log(&self) -> Vec<Entry> {
        log::read(&self.ledger_folder().join("log"), self.address)
    }

    /// Every decision about an app, in order: its leaf hash, and what it says in JSON.
    pub fn decisions(&self) -> Vec<([u8; 32], Value)> {
        let entries = self.log();
        let decisions = entries.iter().filter_map(|entry| Some((entry.leaf_hash, entry.decision()?)));
        decisions.filter(|(_, decision)| decision["subject"] != "node").collect()
    }

    /// The decisions by which something was released.
    pub fn releases(&self) -> usize {
        self.decisions().iter().filter(|(_, decision)| decision["outcome"]["verdict"] == "allow").count()
    }

    /// Waits until health says that it may release keys.
    pub async fn await_serving(&self) {
        let end = Instant::now() + START;
        while self.health().await != Some(ServingStatus::Serving) {
            assert!(Instant::now() < end, "not serving; the node said:\n{}", self.process.said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What health says of the `Boot` service; nothing where it does not answer.
    pub async fn health(&self) -> Option<ServingStatus> {
        let wire = Wire::try_connect(self.address, &ClientCertificate::None).await.ok()?;
        let mut health = HealthClient::new(wire.channel());
        let service = "onchainkms.v1.Boot".to_owned();
        let answer = health.check(HealthCheckRequest { service }).await.ok()?.into_inner();
        Some(match answer.status {
            1 => ServingStatus::Serving,
            2 => ServingStatus::NotServing,
            _ => ServingStatus::Unknown,
        })
    }
}

/// The settings, and the defaults that they do not replace.
fn with_defaults(settings: &[&str]) -> Vec<String> {
    let key = |text: &str| text.split('=').next().map(str::to_owned);
    let kept = DEFAULTS.iter().filter(|text| settings.iter().all(|setting| key(setting) != key(text)));
    kept.chain(settings).map(|&text| text.to_owned()).collect()
}

/// The address, from the line of the log that tells it.
fn listening(line: &str) -> Option<SocketAddr> {
    address_in(line, "serving")
}

fn address_in(line: &str, message: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = &line["fields"];
    (fields["message"] == message).then(|| fields["address"].as_str()?.parse().ok())?
}

fn write_configuration(folder: &Path, state: &Path, chain: &Chain, simulated: &Simulated) {
    let text = |path: &Path| path.display().to_string();
    let configuration = format!(
        r#"
[listen]
address = "127.0.0.1:0"

[root]
insecure_root_file = "{root}"

[node]
name = "node.test"
state_dir = "{state}"
os_image_manifest = "{manifest}"
agent_socket = "{agent}"
insecure_no_memory_lock = true

[attestation]
insecure_root_certificate = "{certificate}"

[[attestation.pccs]]
url = "{pccs}"
kind = "pccs"

[chain]
chain_id = 31337
contract = "{contract:#x}"
insecure_dev_chain = true
rpc = ["{rpc}"]
"#,
        root = text(&folder.join("root.hex")),
        state = text(state),
        manifest = text(&simulated.manifest()),
        agent = text(&simulated.node_agent()),
        certificate = text(&simulated.root_certificate()),
        pccs = simulated.pccs(),
        contract = chain.kms(),
        rpc = chain.url(),
    );
    fs::write(folder.join("kms.toml"), configuration).expect("a configuration");
}
