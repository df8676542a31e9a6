//! A simulated CVM: a TD of some OS image on a host, with the RTMR3 event log that a dstack guest measures.
//!
//! ```text
//! system-preparing | app-id | compose-hash | init-script-hash* | gpu-policy-hash? | instance-id | boot-mr-done
//!     -- keys are requested here --
//! os-image-hash | key-provider | storage-fs | system-ready
//!     -- the app controls the log from here on --
//! ```
//!
//! RTMR3 of its quotes is always the fold of its log. A test that wants them to differ alters the
//! [`QuoteSpec`] that [`Cvm::quote_spec`] gives, or the log after it was written.

use kms_attestation::event_log::{EventLog, RuntimeEvent};
use kms_attestation::hash::sha256;
use kms_attestation::ids::{AppId, ComposeHash, InstanceId, Measurement, OsImageHash, ReportData};
use serde_json::json;

use crate::host::Host;
use crate::image::OsImage;
use crate::quote::QuoteSpec;

/// What runs in a CVM.
#[derive(Debug, Clone)]
pub struct CvmSpec {
    /// The application: the address of its contract.
    pub app_id: AppId,
    /// The exact bytes of `app-compose.json`.
    pub compose: Vec<u8>,
    /// The deployment, or none where the compose file says `no_instance_id`.
    pub instance_id: Option<InstanceId>,
    /// Init scripts, of which the hashes are measured.
    pub init_scripts: Vec<Vec<u8>>,
    /// What newer guests measure about GPUs.
    pub gpu_policy_hash: Option<[u8; 32]>,
    /// Who gave the disk key, as measured: JSON with `name` and `id`.
    pub key_provider: Vec<u8>,
    /// The file system of the disk, as measured.
    pub storage_fs: String,
    /// Which of the image's machine profiles the CVM has.
    pub profile: usize,
    /// What its quotes say beside the registers and report data that the CVM sets itself.
    pub quote: QuoteSpec,
}

impl CvmSpec {
    /// A CVM of that compose file, without a contract: its app id is the beginning of the compose hash.
    #[must_use]
    pub fn new(compose: impl Into<Vec<u8>>) -> Self {
        let compose = compose.into();
        let mut app_id = AppId::ZERO;
        app_id.0.iter_mut().zip(sha256(&[&compose])).for_each(|(byte, value)| *byte = value);
        Self {
            app_id,
            compose,
            instance_id: Some(InstanceId([0x11; 20])),
            init_scripts: Vec::new(),
            gpu_policy_hash: None,
            key_provider: br#"{"name":"kms","id":"3059301306072a8648ce3d020106082a8648ce3d030107"}"#.to_vec(),
            storage_fs: "zfs".to_owned(),
            profile: 0,
            quote: QuoteSpec::default(),
        }
    }

    /// The hash of the compose file.
    #[must_use]
    pub fn compose_hash(&self) -> ComposeHash {
        ComposeHash(sha256(&[&self.compose]))
    }
}

/// How far a CVM has booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BootStage {
    /// The guest has begun to measure: nothing but `system-preparing`.
    Preparing,
    /// The identity is measured: `boot-mr-done`. Keys are requested here.
    Measured,
    /// The disk is there: `storage-fs`.
    Mounted,
    /// The app runs: `system-ready`.
    Ready,
}

/// A simulated CVM.
#[derive(Debug, Clone)]
pub struct Cvm {
    /// What runs in it.
    pub spec: CvmSpec,
    host: Host,
    image: OsImage,
    stage: Option<BootStage>,
    events: Vec<RuntimeEvent>,
}

impl Cvm {
    /// A CVM that has measured nothing yet.
    #[must_use]
    pub fn new(host: &Host, image: &OsImage, spec: CvmSpec) -> Self {
        Self { spec, host: host.clone(), image: image.clone(), stage: None, events: Vec::new() }
    }

    /// A CVM that is about to request its keys.
    #[must_use]
    pub fn booted(host: &Host, image: &OsImage, spec: CvmSpec) -> Self {
        let mut cvm = Self::new(host, image, spec);
        cvm.boot_to(BootStage::Measured);
        cvm
    }

    /// Boots on, measuring all that lies before and at that stage. Does nothing where it has come further.
    pub fn boot_to(&mut self, target: BootStage) {
        use BootStage::{Measured, Mounted, Preparing, Ready};
        for stage in [Preparing, Measured, Mounted, Ready] {
            if self.stage < Some(stage) && stage <= target {
                self.stage = Some(stage);
                let events = self.events_of(stage);
                self.events.extend(events);
            }
        }
    }

    /// Measures an event, whatever the stage.
    pub fn emit(&mut self, name: &str, payload: &[u8]) {
        self.events.push(RuntimeEvent::new(name, payload));
    }

    /// The events that RTMR3 is the fold of.
    #[must_use]
    pub fn event_log(&self) -> EventLog {
        EventLog::new(self.events.clone())
    }

    /// The events themselves, to be altered: left out, repeated, put in another order.
    pub fn events_mut(&mut self) -> &mut Vec<RuntimeEvent> {
        &mut self.events
    }

    /// The host it runs on.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The OS image it has booted.
    #[must_use]
    pub fn image(&self) -> &OsImage {
        &self.image
    }

    /// RTMR0 to RTMR3 as they are now.
    #[must_use]
    pub fn rtmrs(&self) -> [Measurement; 4] {
        let image = self.image.measurements();
        let rtmr0 = image.rtmr0s.get(self.spec.profile).copied().unwrap_or(Measurement::ZERO);
        [rtmr0, image.rtmr1, image.rtmr2, self.event_log().replay()]
    }

    /// What a quote taken now would say.
    #[must_use]
    pub fn quote_spec(&self, report_data: ReportData) -> QuoteSpec {
        QuoteSpec {
            mr_td: self.image.measurements().mrtd,
            rtmrs: self.rtmrs(),
            report_data,
            ..self.spec.quote.clone()
        }
    }

    /// A quote taken now.
    pub fn quote(&self, report_data: ReportData) -> anyhow::Result<Vec<u8>> {
        self.host.quote(&self.quote_spec(report_data))
    }

    /// The machine, as the guest agent reports it.
    #[must_use]
    pub fn vm_config(&self) -> String {
        let os_image_hash: OsImageHash = self.image.hash();
        json!({
            "spec_version": 1,
            "os_image_hash": os_image_hash,
            "cpu_count": 1_u32 << self.spec.profile.min(7),
            "memory_size": 2_147_483_648_u64 << self.spec.profile.min(7),
        })
        .to_string()
    }

    fn events_of(&self, stage: BootStage) -> Vec<RuntimeEvent> {
        match stage {
            BootStage::Preparing => vec![RuntimeEvent::new("system-preparing", [])],
            BootStage::Measured => self.identity_events(),
            BootStage::Mounted => vec![
                RuntimeEvent::new("os-image-hash", self.image.hash().0),
                RuntimeEvent::new("key-provider", self.spec.key_provider.clone()),
                RuntimeEvent::new("storage-fs", self.spec.storage_fs.clone()),
            ],
            BootStage::Ready => vec![RuntimeEvent::new("system-ready", [])],
        }
    }

    fn identity_events(&self) -> Vec<RuntimeEvent> {
        let spec = &self.spec;
        let mut events = vec![
            RuntimeEvent::new("app-id", spec.app_id.0),
            RuntimeEvent::new("compose-hash", spec.compose_hash().0),
        ];
        events.extend(
            spec.init_scripts.iter().map(|script| RuntimeEvent::new("init-script-hash", sha256(&[script]))),
        );
        events.extend(spec.gpu_policy_hash.map(|hash| RuntimeEvent::new("gpu-policy-hash", hash)));
        let instance_id = spec.instance_id.map(|id| id.0.to_vec()).unwrap_or_default();
        events.push(RuntimeEvent::new("instance-id", instance_id));
        events.push(RuntimeEvent::new("boot-mr-done", []));
        events
    }
}
