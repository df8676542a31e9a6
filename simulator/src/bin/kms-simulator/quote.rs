//! `kms-simulator quote`: the evidence of one CVM as files.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use kms_attestation::ids::ReportData;
use kms_simulator::cvm::BootStage;
use kms_simulator::quote::{QuoteSpec, ReportKind};
use serde_json::json;

use crate::guest::Guest;
use crate::write;

/// Write the evidence of one CVM to files, for trying other tools by hand.
///
/// Writes to the folder: quote.bin, event_log.json, manifest.json, app-compose.json, collateral.json (as dcap-qvl
/// reads it), root.der (the root of trust to configure) and meta.json (the time to verify at, and the identity).
#[derive(Args)]
#[expect(clippy::doc_markdown, reason = "this is the help text, where backticks would show")]
pub(crate) struct Quote {
    #[command(flatten)]
    guest: Guest,
    /// The folder to write to; it is made where it does not exist
    #[arg(long)]
    out: PathBuf,
    /// The report data, 64 bytes
    #[arg(long, value_name = "HEX", default_value_t = ReportData::ZERO)]
    report_data: ReportData,
    /// The quote's form: td10 is version 4, the others are version 5
    #[arg(long, value_enum, default_value_t = Form::Td10)]
    form: Form,
    /// How far the CVM has booted
    #[arg(long, value_enum, default_value_t = Stage::Measured)]
    stage: Stage,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    Td10,
    Td15,
    Td15ex,
}

#[derive(Clone, Copy, ValueEnum)]
enum Stage {
    /// Nothing is measured but the beginning
    Preparing,
    /// The identity is measured: keys are requested here
    Measured,
    /// The disk is there
    Mounted,
    /// The app runs
    Ready,
}

impl From<Form> for ReportKind {
    fn from(form: Form) -> Self {
        match form {
            Form::Td10 => Self::Td10,
            Form::Td15 => Self::Td15,
            Form::Td15ex => Self::Td15Ex,
        }
    }
}

impl From<Stage> for BootStage {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Preparing => Self::Preparing,
            Stage::Measured => Self::Measured,
            Stage::Mounted => Self::Mounted,
            Stage::Ready => Self::Ready,
        }
    }
}

impl Quote {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let out = &self.out;
        std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
        let platform = self.guest.platform(1)?;
        let host = platform.host(0)?;
        let image = self.guest.image()?;
        let mut cvm = self.guest.cvm(host, &image, 0, self.stage.into())?;
        cvm.spec.quote = QuoteSpec::of_kind(self.form.into());
        write(out, "quote.bin", cvm.quote(self.report_data)?)?;
        write(out, "event_log.json", cvm.event_log().to_json())?;
        write(out, "manifest.json", image.manifest())?;
        write(out, "app-compose.json", &cvm.spec.compose)?;
        write(out, "collateral.json", platform.collateral_for(host.fmspc())?)?;
        write(out, "root.der", platform.root_der())?;
        let meta = json!({
            "now": platform.now(),
            "app_id": cvm.spec.app_id,
            "compose_hash": cvm.spec.compose_hash(),
            "instance_id": cvm.spec.instance_id,
            "device_id": host.device_id(),
            "os_image_hash": image.hash(),
            "fmspc": host.fmspc(),
            "report_data": self.report_data,
        });
        write(out, "meta.json", format!("{meta:#}\n"))
    }
}
