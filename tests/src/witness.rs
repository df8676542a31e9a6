//! A witness as a process, and what may stand in its place on the network.
//!
//! A witness's address and key are known before it runs, as those of a witness elsewhere are: a node is configured with them,
//! and its log's key, which the witness needs, is known only once the node has started.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use kms_ledger::SignedCheckpoint;
use kms_ledger::note::{LogKey, WitnessKey};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::process::{Process, program};
use crate::wire::random;

/// How long a witness may take to start.
const START: Duration = Duration::from_secs(20);
/// The port of every witness: each has an address of this machine to itself.
const PORT: u16 = 8432;

/// A witness, which runs or does not.
pub struct Witness {
    name: String,
    key: WitnessKey,
    address: SocketAddr,
    folder: TempDir,
    process: Option<Process>,
}

impl Witness {
    /// A witness that does not run yet.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let seed = random();
        let path = folder.path().join("key");
        fs::write(&path, hex::encode(seed)).expect("a key file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a key");
        let public = pair.public_key().as_ref().try_into().expect("32 bytes");
        let address = free_address();
        let name = format!("witness.test/{}", address.ip());
        let key = WitnessKey::new(name.parse().expect("a name"), public);
        Self { name, key, address, folder, process: None }
    }

    /// Its key.
    pub fn key(&self) -> &WitnessKey {
        &self.key
    }

    /// Where it listens when it runs.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts it, as the witness of this log, on what it remembers.
    pub fn start(&mut self, log: &LogKey) {
        let mut command = Command::new(program("kmsctl"));
        command.args(["audit", "witness", "--listen", &self.address.to_string(), "--name", &self.name]);
        command.arg("--key-file").arg(self.folder.path().join("key"));
        command.arg("--state").arg(self.folder.path().join("state")).args(["--log", &log.to_string()]);
        let mut process = Process::start("kmsctl audit witness", &mut command);
        let expected = format!("witness {} on {}", self.key, self.address);
        process.await_line(START, |line| (line == expected).then_some(()));
        self.process = Some(process);
    }

    /// What it has seen last of a log, as its folder says.
    pub fn remembered(&self, log: &LogKey) -> Option<SignedCheckpoint> {
        let files = fs::read_dir(self.folder.path().join("state")).ok()?;
        let mut paths = files.map(|file| file.expect("a file").path());
        let path = paths.find(|path| path.extension().is_some_and(|end| end == "checkpoint"))?;
        Some(SignedCheckpoint::open(&fs::read(path).ok()?, log).expect("a checkpoint of this log"))
    }

    /// Kills it. It has its memory on disk.
    pub fn kill(&mut self) {
        self.process.take().expect("a witness that runs").kill();
    }
}

impl Default for Witness {
    fn default() -> Self {
        Self::new()
    }
}

/// The node's setting for these witnesses, each at an address.
pub fn setting_at<'a>(witnesses: impl IntoIterator<Item = (&'a Witness, SocketAddr)>) -> String {
    let one = |(witness, address): (&Witness, SocketAddr)| {
        format!(r#"{{ url = "http://{address}/", key = "{}" }}"#, witness.key)
    };
    let all: Vec<_> = witnesses.into_iter().map(one).collect();
    format!("ledger.witnesses=[{}]", all.join(", "))
}

/// The node's setting for these witnesses, each where it listens.
pub fn setting<'a>(witnesses: impl IntoIterator<Item = &'a Witness>) -> String {
    setting_at(witnesses.into_iter().map(|witness| (witness, witness.address)))
}

/// An address of this machine that nobody else has: the process's own, and a number in it.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    SocketAddr::from((Ipv4Addr::new(127, high | 0x80, low, number), PORT))
}

/// What stands between a node and a witness, or in its place.
#[derive(Debug, Clone, Copy)]
pub enum Between {
    /// Takes connections, and never answers.
    Silent,
    /// Answers everything with these bytes.
    Says(&'static str),
    /// Passes everything on to there, after a while.
    Delay(SocketAddr, Duration),
}

/// A server of that kind at an address, until it is dropped.
pub struct Obstacle(JoinHandle<()>);

impl Obstacle {
    /// Listens there.
    pub async fn start(address: SocketAddr, kind: Between) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free address");
        Self(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(attend(stream, kind));
            }
        }))
    }
}

impl Drop for Obstacle {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn attend(mut stream: TcpStream, kind: Between) {
    match kind {
        Between::Silent => drop(stream.read_to_end(&mut Vec::new()).await),
        Between::Says(answer) => {
            // One read is the whole of a small request.
            drop(stream.read(&mut [0; 16 * 1024]).await);
            drop(stream.write_all(answer.as_bytes()).await);
        }
        Between::Delay(to, pause) => {
            tokio::time::sleep(pause).await;
            if let Ok(mut other) = TcpStream::connect(to).await {
                drop(copy_bidirectional(&mut stream, &mut other).await);
            }
        }
    }
}
