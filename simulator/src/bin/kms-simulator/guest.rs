//! The options that say what the simulated machines are and what runs in their CVMs.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use kms_attestation::ids::{AppId, InstanceId};
use kms_simulator::cvm::{BootStage, Cvm, CvmSpec};
use kms_simulator::host::Host;
use kms_simulator::image::OsImage;
use kms_simulator::pccs::Clock;
use kms_simulator::platform::Platform;

/// The compose file of an app, where none is given: compact, keys sorted, as tools write them.
const COMPOSE: &str = r#"{"docker_compose_file":"services: {}\n","manifest_version":2,"name":"simulated","runner":"docker-compose"}"#;
/// The name of the OS image, where no manifest is given.
const IMAGE: &str = "simulated-os";

#[derive(Args)]
pub(crate) struct Guest {
    /// What all keys are derived from: the same seed and time give the same bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The time to simulate, in Unix seconds [default: the machine's clock]
    #[arg(long)]
    now: Option<u64>,
    /// The app's compose file, whose exact bytes are measured [default: an app without services]
    #[arg(long, value_name = "FILE")]
    compose: Option<PathBuf>,
    /// The app's contract address [default: the first 20 bytes of the compose hash]
    #[arg(long, value_name = "HEX")]
    app_id: Option<AppId>,
    /// The manifest of the OS image that the CVMs run [default: a simulated image]
    #[arg(long, value_name = "FILE")]
    image_manifest: Option<PathBuf>,
}

impl Guest {
    /// The clock that was asked for.
    pub(crate) fn clock(&self) -> Clock {
        self.now.map_or(Clock::System, Clock::Fixed)
    }

    /// A platform with so many hosts.
    pub(crate) fn platform(&self, hosts: u16) -> anyhow::Result<Platform> {
        let mut platform = Platform::from_seed(self.seed, self.clock().now())?;
        for _ in 1..hosts {
            platform.add_host()?;
        }
        Ok(platform)
    }

    /// The OS image.
    pub(crate) fn image(&self) -> anyhow::Result<OsImage> {
        let Some(path) = &self.image_manifest else { return Ok(OsImage::simulated(IMAGE)) };
        let manifest = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        OsImage::from_manifest(&manifest).with_context(|| format!("{} is no manifest", path.display()))
    }

    /// A CVM that has booted to some stage; the number tells apart the deployments of the app.
    pub(crate) fn cvm(
        &self,
        host: &Host,
        image: &OsImage,
        number: u16,
        stage: BootStage,
    ) -> anyhow::Result<Cvm> {
        let compose = match &self.compose {
            Some(path) => std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?,
            None => COMPOSE.into(),
        };
        let mut spec = CvmSpec::new(compose);
        spec.app_id = self.app_id.unwrap_or(spec.app_id);
        let mut instance_id = InstanceId([0x11; 20]);
        instance_id.0.iter_mut().rev().zip(number.to_le_bytes()).for_each(|(byte, value)| *byte = value);
        spec.instance_id = Some(instance_id);
        let mut cvm = Cvm::new(host, image, spec);
        cvm.boot_to(stage);
        Ok(cvm)
    }
}
