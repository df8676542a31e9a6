//! The simulated platform: `kms-simulator up` as a process, with the PCCS and the node's own guest; and its twin in this
//! process, of the same seed and time, from which tests make other guests on the same hosts.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kms_attestation::Quote;
use kms_attestation::identity::mr_aggregated;
use kms_attestation::ids::{DeviceId, MrAggregated, ReportData};
use kms_attestation::platform::{GuestAgent, QuoteProvider as _};
use kms_simulator::host::Host;
use kms_simulator::image::OsImage;
use kms_simulator::platform::Platform;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Process, program};

/// Any seed: the same one makes the same platform.
const SEED: u64 = 7;
/// The node's host, two for apps, and one whose collateral no node has fetched.
const HOSTS: u16 = 4;
/// The host whose collateral is asked for by one test alone.
pub const COLD_HOST: usize = 3;
/// How long the simulator may take to start.
const START: Duration = Duration::from_secs(30);

/// A running simulated platform.
pub struct Simulated {
    folder: TempDir,
    platform: Platform,
    image: OsImage,
    pccs: String,
    _process: Process,
}

impl Simulated {
    /// Starts the process, and makes the twin.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let now = unix_now();
        let mut command = Command::new(program("kms-simulator"));
        command.args(["up", "--seed", &SEED.to_string(), "--now", &now.to_string()]);
        command.args(["--hosts", &HOSTS.to_string(), "--dir"]).arg(folder.path());
        let mut process = Process::start("kms-simulator", &mut command);
        process.await_line(START, |line| line.starts_with("ready").then_some(()));
        let description = std::fs::read(folder.path().join("platform.json")).expect("platform.json");
        let description: Value = serde_json::from_slice(&description).expect("JSON");
        let pccs = description["pccs"]["url"].as_str().expect("a PCCS").to_owned();
        let mut platform = Platform::from_seed(SEED, now).expect("a platform");
        for _ in 1..HOSTS {
            platform.add_host().expect("a host");
        }
        let manifest = std::fs::read(folder.path().join("manifest.json")).expect("a manifest");
        let image = OsImage::from_manifest(&manifest).expect("an image");
        Self { folder, platform, image, pccs, _process: process }
    }

    /// A host of the platform.
    pub fn host(&self, index: usize) -> &Host {
        self.platform.host(index).expect("a host of that number")
    }

    /// The twin of the platform, to be altered.
    pub fn platform(&self) -> Platform {
        self.platform.clone()
    }

    /// The OS image that its guests run.
    pub fn image(&self) -> &OsImage {
        &self.image
    }

    /// Where the PCCS answers.
    pub fn pccs(&self) -> &str {
        &self.pccs
    }

    /// The root of trust, DER, as a file.
    pub fn root_certificate(&self) -> PathBuf {
        self.folder.path().join("root.der")
    }

    /// The OS image's manifest, as a file.
    pub fn manifest(&self) -> PathBuf {
        self.folder.path().join("manifest.json")
    }

    /// The agent of the guest that a node runs in.
    pub fn node_agent(&self) -> PathBuf {
        self.folder.path().join("cvm-0.sock")
    }

    /// The device of that guest.
    pub fn node_device(&self) -> DeviceId {
        self.host(0).device_id()
    }

    /// The measurement of that guest.
    pub fn node_measurement(&self) -> MrAggregated {
        let agent = GuestAgent::new(&self.node_agent());
        let ask = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok::<_, std::io::Error>(runtime.block_on(agent.quote(ReportData::ZERO)))
        };
        // A thread of its own: the caller may be within a runtime.
        let quoted = std::thread::spawn(ask).join().expect("a thread").expect("a runtime").expect("a quote");
        mr_aggregated(Quote::parse(&quoted.quote).expect("a whole quote").td())
    }

    /// What goes wrong at the PCCS from now on.
    pub fn pccs_fault(&self, kind: &str) {
        self.pccs_plan(&json!({ "kind": kind }));
    }

    /// The same, in the words of the simulator's `FaultPlan`.
    pub fn pccs_plan(&self, plan: &Value) {
        crate::http::post(self.pccs_stream(), "/fault", plan);
    }

    /// How often the PCCS was asked, for anything.
    pub fn pccs_asked(&self) -> u64 {
        let counts = crate::http::get(self.pccs_stream(), "/counts");
        let counts: Value = serde_json::from_str(&counts).expect("JSON");
        counts.as_object().expect("counts").values().filter_map(Value::as_u64).sum()
    }

    fn pccs_stream(&self) -> TcpStream {
        TcpStream::connect(self.pccs.trim_start_matches("http://")).expect("the PCCS")
    }

    /// Lets the PCCS take so long for each answer, from now on.
    pub fn pccs_slow(&self, delay: Duration) {
        self.pccs_plan(&json!({ "kind": "slow", "delay_ms": delay.as_millis() }));
    }

    /// What goes wrong at the node's agent from now on.
    pub fn agent_fault(&self, kind: &str) {
        let stream = UnixStream::connect(self.node_agent()).expect("the agent");
        crate::http::post(stream, "/Fault", &json!({ "kind": kind }));
    }
}

/// The machine's clock.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}
