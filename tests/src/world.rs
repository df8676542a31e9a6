//! Everything that a node needs around it, and a node.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use alloy::primitives::hex;
use kms_attestation::ids::{AppId, MrAggregated};
use kms_attestation::ratls::subject_public_key_info;
use kms_proto::v1::{GetNodeInfoRequest, GetNodeInfoResponse};
use kms_simulator::cvm::Cvm;
use serde_json::json;

use crate::chain::Chain;
use crate::guest::{self, compose, compose_hash, instance};
use crate::node::{Node, Signals};
use crate::process::program;
use crate::simulated::Simulated;
use crate::wire::{Wire, granted};

/// How long a node may take to see a new block.
const SEEN: Duration = Duration::from_secs(20);

/// A chain on which the simulated platform's image and the node's guest are allowed.
pub struct World {
    /// The chain.
    pub chain: Chain,
    /// The platform.
    pub simulated: Simulated,
    /// The measurement of every node here.
    pub measurement: MrAggregated,
}

/// An app that is allowed to run its code on host 1.
pub struct App {
    /// Its contract.
    pub id: AppId,
    /// Its code.
    pub compose: Vec<u8>,
}

static SHARED: Mutex<Weak<World>> = Mutex::new(Weak::new());

impl World {
    /// A world for one test: it may break whatever it wants.
    pub fn new() -> Self {
        Self::on(Chain::start())
    }

    /// The same on that chain.
    pub fn on(chain: Chain) -> Self {
        let simulated = Simulated::start();
        let measurement = simulated.node_measurement();
        chain.allow_image(simulated.image().hash());
        chain.allow_node(measurement, simulated.node_device());
        Self { chain, simulated, measurement }
    }

    /// The world that tests share which break nothing but their own apps. Ends with the last one that uses it.
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(world) = shared.upgrade() {
            return world;
        }
        let world = Arc::new(Self::new());
        *shared = Arc::downgrade(&world);
        world
    }

    /// A node that may release keys.
    pub async fn node(&self, settings: &[&str]) -> Node {
        self.node_with(settings, Signals::Usual).await
    }

    /// As [`Self::node`], with other signals.
    pub async fn node_with(&self, settings: &[&str], signals: Signals) -> Node {
        let node = Node::start_with(&self.chain, &self.simulated, settings, signals);
        node.await_serving().await;
        node
    }

    /// A new app, whose code is told apart by the text.
    pub fn app(&self, text: &str) -> App {
        let compose = compose(text);
        let device = self.simulated.host(1).device_id();
        let id = self.chain.deploy_app(compose_hash(&compose), device);
        App { id, compose }
    }

    /// A guest of an app on host 1, about to ask for keys.
    pub fn guest(&self, app: &App) -> Cvm {
        self.guest_on(app, 1)
    }

    /// A guest of an app on that host.
    pub fn guest_on(&self, app: &App, host: usize) -> Cvm {
        let simulated = &self.simulated;
        guest::booted(simulated.host(host), simulated.image(), app.id, &app.compose, instance(0x11))
    }

    /// Runs `kms-client` for the guest behind a socket.
    pub fn client(&self, nodes: &[String], socket: &Path, pins: &Path, more: &[&str]) -> Output {
        let mut command = Command::new(program("kms-client"));
        for node in nodes {
            command.args(["--node", node]);
        }
        command.arg("--pins").arg(pins);
        command.arg("--agent-socket").arg(socket);
        command.arg("--os-image-manifest").arg(self.simulated.manifest());
        command.arg("--insecure-root-certificate").arg(self.simulated.root_certificate());
        command.args(more).output().expect("kms-client runs")
    }

    /// The pins of a node's KMS, with these measurements.
    pub async fn pins(&self, node: &Node, measurements: &[MrAggregated]) -> String {
        let root = info(node).await.root.expect("a root");
        let ca = subject_public_key_info(&root.ca_certificate).expect("a CA certificate");
        json!({
            "root_ca_public_key": hex::encode(ca),
            "root_signer": hex::encode(root.k256_public_key),
            "node_measurements": measurements,
        })
        .to_string()
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// Waits until a node has seen the chain as it is now.
    pub async fn seen_by(&self, node: &Node) {
        seen(&self.chain, node).await;
    }
}

/// Waits until a node has seen a chain as it is now.
pub async fn seen(chain: &Chain, node: &Node) {
    let block = chain.block();
    let end = Instant::now() + SEEN;
    while info(node).await.latest.is_none_or(|head| head.number < block) {
        assert!(Instant::now() < end, "block {block} is not seen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What a node says of itself.
pub async fn info(node: &Node) -> GetNodeInfoResponse {
    let mut wire = Wire::connect(node.address()).await;
    granted(wire.public.get_node_info(GetNodeInfoRequest {}).await).into_inner()
}
