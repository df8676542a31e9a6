//! `kms-simulator up`: hosts, a CVM on each with its guest agent, and a PCCS, until a signal.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use kms_simulator::agent::Agent;
use kms_simulator::cvm::BootStage;
use kms_simulator::image::OsImage;
use kms_simulator::pccs::Pccs;
use kms_simulator::platform::Platform;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::guest::Guest;
use crate::write;

/// Run simulated hosts with a CVM on each, their guest agents and a PCCS, until SIGINT or SIGTERM.
///
/// Writes to the folder: root.der (the root of trust to configure), manifest.json (the OS image's),
/// app-compose.json, cvm-<N>.sock (the guest agents), pccs.der (with --pccs-tls) and at last, when all is ready,
/// platform.json with every address and identity.
///
/// Faults: POST {"kind":"expired"} to the PCCS at /fault, {"kind":"slow","delay_ms":500} to an agent at /Fault;
/// {"kind":"none"} ends them; "fmspc" beside "kind" says of which platforms alone. POST {"now":<Unix seconds>} to
/// the PCCS at /clock sets its time; GET /counts counts.
#[derive(Args)]
#[expect(clippy::doc_markdown, reason = "this is the help text, where backticks would show")]
pub(crate) struct Up {
    #[command(flatten)]
    guest: Guest,
    /// How many hosts, each with its own FMSPC and a CVM
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    hosts: u16,
    /// A host, by its number from 0, whose firmware is out of date; repeat it for more
    #[arg(long, value_name = "NUMBER")]
    outdated_host: Vec<usize>,
    /// The folder to write to; it is made where it does not exist
    #[arg(long)]
    dir: PathBuf,
    /// Where the PCCS listens; port 0 takes any that is free
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pccs_addr: SocketAddr,
    /// Serve HTTPS, with the self-signed certificate pccs.der
    #[arg(long)]
    pccs_tls: bool,
}

impl Up {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        // Before anything is ready, so that no signal finds the default action.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let dir = &self.dir;
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let dir = &dir.canonicalize()?;
        remove_old(&dir.join("platform.json"))?;
        let mut platform = self.guest.platform(self.hosts)?;
        for host in &self.outdated_host {
            platform.host_mut(*host)?.outdate();
        }
        let image = self.guest.image()?;
        let agents = self.start_agents(dir, &platform, &image)?;
        let pccs = self.start_pccs(platform.clone()).await?;
        write(dir, "root.der", platform.root_der())?;
        write(dir, "manifest.json", image.manifest())?;
        if let Some(certificate) = pccs.tls_certificate() {
            write(dir, "pccs.der", certificate)?;
        }
        if let Some(agent) = agents.first() {
            write(dir, "app-compose.json", agent.with_cvm(|cvm| cvm.spec.compose.clone()))?;
        }
        let description = describe(dir, &platform, &image, &pccs, &agents);
        write(dir, "platform.json", format!("{description:#}\n"))?;
        println!("ready: {}", dir.join("platform.json").display());
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        Ok(())
    }

    fn start_agents(&self, dir: &Path, platform: &Platform, image: &OsImage) -> anyhow::Result<Vec<Agent>> {
        let start = |(host, number)| {
            let socket = dir.join(format!("cvm-{number}.sock"));
            remove_old(&socket)?;
            Agent::start(socket, self.guest.cvm(host, image, number, BootStage::Measured)?)
        };
        platform.hosts().iter().zip(0..).map(start).collect()
    }

    async fn start_pccs(&self, platform: Platform) -> anyhow::Result<Pccs> {
        let pccs = if self.pccs_tls {
            Pccs::start_tls(self.pccs_addr, platform).await?
        } else {
            Pccs::start(self.pccs_addr, platform).await?
        };
        pccs.set_clock(self.guest.clock());
        Ok(pccs)
    }
}

/// Removes what a run that was killed has left.
fn remove_old(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn describe(dir: &Path, platform: &Platform, image: &OsImage, pccs: &Pccs, agents: &[Agent]) -> Value {
    let hosts = platform.hosts().iter().map(|host| {
        json!({
            "fmspc": host.fmspc(),
            "ppid": hex::encode(&host.pck.ppid),
            "device_id": host.device_id(),
        })
    });
    let cvms = agents.iter().enumerate().map(|(host, agent)| {
        agent.with_cvm(|cvm| {
            json!({
                "host": host,
                "socket": agent.path(),
                "app_id": cvm.spec.app_id,
                "instance_id": cvm.spec.instance_id,
                "compose_hash": cvm.spec.compose_hash(),
                "device_id": cvm.host().device_id(),
            })
        })
    });
    json!({
        "now": platform.now(),
        "root_certificate": dir.join("root.der"),
        "pccs": {
            "url": pccs.url(),
            "certificate": pccs.tls_certificate().map(|_| dir.join("pccs.der")),
        },
        "image": { "manifest": dir.join("manifest.json"), "os_image_hash": image.hash() },
        "hosts": hosts.collect::<Vec<_>>(),
        "cvms": cvms.collect::<Vec<_>>(),
    })
}
