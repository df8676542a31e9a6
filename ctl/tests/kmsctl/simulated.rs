//! Evidence as files, of a simulated platform or of a genuine one.

use std::path::PathBuf;

use kms_attestation::ids::ReportData;
use kms_simulator::cvm::{Cvm, CvmSpec};
use kms_simulator::image::OsImage;
use kms_simulator::platform::Platform;
use kms_simulator::quote::QuoteSpec;
use tempfile::TempDir;

use crate::fixture::Fixture;
use crate::run::{Run, kmsctl};

/// The time of the simulated platforms, in Unix seconds: 2027-01-15T08:00:00Z.
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) const COMPOSE: &[u8] = br#"{"manifest_version":2,"name":"simulated"}"#;

/// A folder with `quote.bin`, `collateral.json`, and whatever a test adds.
pub(crate) struct Evidence {
    dir: TempDir,
    now: u64,
    options: Vec<String>,
}

impl Evidence {
    fn new(quote: &[u8], collateral: &[u8], now: u64) -> Self {
        let evidence = Self { dir: tempfile::tempdir().unwrap(), now, options: Vec::new() };
        evidence.write("quote.bin", quote);
        evidence.write("collateral.json", collateral);
        evidence
    }

    /// A genuine quote, or none where the folder is absent.
    pub(crate) fn genuine(number: &str) -> Option<Self> {
        let fixture = Fixture::open(number)?;
        let (quote, collateral) = (fixture.read("quote.bin"), fixture.read("collateral.json"));
        Some(Self::new(&quote, &collateral, fixture.now))
    }

    /// A simulated quote of host 0, with the platform's root.
    pub(crate) fn simulated(platform: &Platform, quote: &[u8]) -> Self {
        let collateral = platform.collateral_for(platform.host(0).unwrap().fmspc()).unwrap();
        Self::new(quote, collateral.as_bytes(), platform.now()).with(
            "--root",
            "root.der",
            &platform.root_der(),
        )
    }

    /// A healthy platform and a quote of that specification.
    pub(crate) fn of_spec(spec: &QuoteSpec) -> Self {
        let platform = platform();
        Self::simulated(&platform, &platform.host(0).unwrap().quote(spec).unwrap())
    }

    /// A healthy platform and a CVM about to request its keys, with its event log.
    pub(crate) fn booted() -> Self {
        let platform = platform();
        let cvm = cvm(&platform);
        let quote = cvm.quote(ReportData::ZERO).unwrap();
        let log = cvm.event_log().to_json();
        Self::simulated(&platform, &quote).with("--event-log", "log.json", log.as_bytes())
    }

    /// Writes a file, and gives its path.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name).into_os_string().into_string().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// The same with one more file on the command line.
    pub(crate) fn with(mut self, option: &str, name: &str, content: &[u8]) -> Self {
        let path = self.write(name, content);
        self.options.extend([option.to_owned(), path]);
        self
    }

    /// The same at another time.
    pub(crate) fn at(self, now: u64) -> Self {
        Self { now, ..self }
    }

    /// The arguments after `quote`, without the collateral.
    pub(crate) fn args_without_collateral(&self, command: &str) -> Vec<String> {
        let quote = self.path("quote.bin").into_os_string().into_string().unwrap();
        let args = ["quote", command, "--quote", &quote, "--at", &self.now.to_string()];
        args.map(str::to_owned).into_iter().chain(self.options.clone()).collect()
    }

    pub(crate) fn args(&self, command: &str) -> Vec<String> {
        let mut args = self.args_without_collateral(command);
        args.push("--collateral".to_owned());
        args.push(self.path("collateral.json").into_os_string().into_string().unwrap());
        args
    }

    /// Runs `quote verify --json`.
    pub(crate) fn verify(&self) -> Run {
        kmsctl(self.args("verify").into_iter().chain(["--json".to_owned()]))
    }

    /// Runs `quote explain`.
    pub(crate) fn explain(&self) -> Run {
        kmsctl(self.args("explain"))
    }
}

pub(crate) fn platform() -> Platform {
    Platform::from_seed(7, NOW).unwrap()
}

/// A CVM of host 0 that is about to request its keys.
pub(crate) fn cvm(platform: &Platform) -> Cvm {
    Cvm::booted(platform.host(0).unwrap(), &OsImage::simulated("test"), CvmSpec::new(COMPOSE))
}
