//! A node with all that it needs around it, and a guest that may have keys.

use std::env::current_exe;
use std::path::PathBuf;
use std::sync::Arc;

use kms_simulator::cvm::Cvm;
use kms_tests::node::Node;
use kms_tests::process::program;
use kms_tests::world::World;

use crate::process::may_lock_memory;
use crate::provider::Provider;

/// A node and its surroundings.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) node: Node,
    /// Asks for keys in every release: an app is released to again and again, as when its instances boot.
    pub(crate) guest: Arc<Cvm>,
    /// How the node holds its memory, in words.
    pub(crate) memory: &'static str,
    _provider: Provider,
}

impl Scene {
    /// A node on a chain with so many further apps.
    pub(crate) async fn new(further_apps: u32) -> Self {
        Self::of(program("kms-node"), further_apps).await
    }

    /// A node that records nothing.
    pub(crate) async fn without_log() -> Self {
        Self::of(current_exe().expect("this program's own path"), 0).await
    }

    async fn of(program: PathBuf, further_apps: u32) -> Self {
        let world = World::new();
        let app = world.app("bench");
        world.chain.assume_registered(further_apps);
        world.chain.seconds_between_blocks(0);
        world.chain.mine(1);
        let provider = Provider::before(&world.chain.url()).await;
        let rpc = format!("chain.rpc=['{}']", provider.url());
        let locked = may_lock_memory();
        let lock = format!("node.insecure_no_memory_lock={}", !locked);
        let settings = ["chain.poll_every_ms=1000", &rpc, &lock];
        let node = Node::start_program(program, &world.chain, &world.simulated, &settings);
        node.await_serving().await;
        let guest = Arc::new(world.guest(&app));
        let memory = if locked { "all of it locked" } else { "not locked: this user may not" };
        let scene = Self { world, node, guest, memory, _provider: provider };
        scene.settle().await;
        scene
    }

    /// A new block, which the node has seen, and about which the provider has been asked. There are no others while a load
    /// runs: the time that anvil takes to prove the state of a block is not the node's.
    pub(crate) async fn settle(&self) {
        self.world.chain.mine(1);
        self.world.seen_by(&self.node).await;
        crate::load::warm_up(self).await;
    }
}
