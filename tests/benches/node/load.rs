//! The load: clients that ask again as soon as they are answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kms_simulator::cvm::Cvm;
use kms_tests::guest::evidence;
use kms_tests::wire::{ClientCertificate, Wire, granted};

use crate::process::cpu;
use crate::scene::Scene;

/// Releases that are not measured, before a load.
const WARM_UP: usize = 8;

/// What a client does about connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connections {
    /// Keeps one: a challenge and a release, again and again.
    Kept,
    /// Opens one, with a new key, for every release: as guests do.
    Fresh,
}

impl Connections {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Fresh => "fresh",
        }
    }
}

/// So many clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) connections: Connections,
    pub(crate) clients: usize,
}

/// What came of a load.
pub(crate) struct Measured {
    /// How long the node took over each release: connecting, challenge, keys; without the guest's own quote.
    pub(crate) latencies: Vec<Duration>,
    elapsed: Duration,
    cpu: Duration,
}

impl Measured {
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The CPU time of the node's process alone.
    pub(crate) fn cpu_per_release(&self) -> Duration {
        self.cpu / u32::try_from(self.latencies.len()).unwrap()
    }
}

impl Load {
    pub(crate) const fn new(connections: Connections, clients: usize) -> Self {
        Self { connections, clients }
    }

    /// Runs it for so long, and until the last answer.
    pub(crate) async fn run(self, scene: &Scene, window: Duration) -> Measured {
        let (address, pid) = (scene.node.address(), scene.node.process().id());
        let mut kept = Vec::new();
        for _ in 0..self.clients {
            kept.push(match self.connections {
                Connections::Kept => Some(Wire::connect(address).await),
                Connections::Fresh => None,
            });
        }
        let (start, cpu_before) = (Instant::now(), cpu(pid));
        let clients = kept
            .into_iter()
            .map(|wire| tokio::spawn(client(address, wire, Arc::clone(&scene.guest), start + window)));
        let mut latencies = Vec::new();
        for client in clients.collect::<Vec<_>>() {
            latencies.extend(client.await.expect("a client"));
        }
        Measured { latencies, elapsed: start.elapsed(), cpu: cpu(pid).saturating_sub(cpu_before) }
    }
}

/// A few releases, so that nothing that is measured is done for the first time.
pub(crate) async fn warm_up(scene: &Scene) {
    for _ in 0..WARM_UP {
        release_on_a_fresh_one(scene.node.address(), &scene.guest).await;
    }
}

async fn client(address: SocketAddr, kept: Option<Wire>, guest: Arc<Cvm>, end: Instant) -> Vec<Duration> {
    let mut latencies = Vec::new();
    let mut kept = kept;
    while Instant::now() < end {
        latencies.push(match &mut kept {
            Some(wire) => release(wire, &guest).await,
            None => release_on_a_fresh_one(address, &guest).await,
        });
    }
    latencies
}

async fn release_on_a_fresh_one(address: SocketAddr, guest: &Cvm) -> Duration {
    let certificate = ClientCertificate::fresh();
    let start = Instant::now();
    let mut wire = Wire::connect_as(address, &certificate).await;
    start.elapsed() + release(&mut wire, guest).await
}

async fn release(wire: &mut Wire, guest: &Cvm) -> Duration {
    let start = Instant::now();
    let opened = granted(wire.challenge().await);
    let challenged = start.elapsed();
    let evidence = evidence(guest, &wire.ends.app_binding(&opened));
    let start = Instant::now();
    granted(wire.keys(evidence).await);
    challenged + start.elapsed()
}
