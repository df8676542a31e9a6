//! What the quote proves, one line for each thing that is proven.
//!
//! A line is wrong when a fault is about it; otherwise it is worth what the quote is worth.

use kms_attestation::deny::{DenyClass, DenyCode};
use kms_attestation::quote::{Platform, Quote};
use kms_attestation::td::{TdReport, hex_le};
use kms_attestation::time::rfc3339;
use kms_attestation::verify::AuthenticQuote;

use super::values;
use crate::layout::hang;
use crate::quote::certificates;
use crate::quote::examination::Examination;
use crate::quote::summary::advisories;
use crate::row::{Mark, legend, row};
use crate::style::Style;

const NOT_KNOWN: &str = "not known";

/// The section's text.
pub(super) fn text(examination: &Examination, style: Style) -> String {
    let Some(quote) = &examination.quote else {
        return hang("   ", 3, "Nothing: these bytes are not a well-formed quote.");
    };
    let proof = Proof { examination, style };
    let td = quote.td();
    [
        legend(style),
        proof.signers(quote),
        proof.hardware(quote.platform()),
        proof.platform_state(),
        proof.td(td),
        proof.measurements(td),
        proof.identity(),
        proof.stated("Report data", &values::report_data(&td.report_data)),
    ]
    .concat()
}

struct Proof<'a> {
    examination: &'a Examination,
    style: Style,
}

impl Proof<'_> {
    /// A line that is judged: wrong if any of the faults was found.
    fn judged(&self, label: &str, faults: &[DenyCode], text: &str) -> String {
        let mark = match self.examination.authentic {
            _ if self.is_at_fault(|code| faults.contains(&code)) => Mark::Wrong,
            Some(_) => Mark::Fine,
            None => Mark::Claimed,
        };
        row(self.style, mark, label, text)
    }

    fn is_at_fault(&self, about: impl Fn(DenyCode) -> bool) -> bool {
        self.examination.findings.iter().filter_map(|finding| finding.deny).any(about)
    }

    /// A line that no more can be said about than whether what would be there is at fault.
    fn missing(&self, label: &str, class: DenyClass, text: &str) -> String {
        let wrong = self.is_at_fault(|code| code.class() == class);
        row(self.style, if wrong { Mark::Wrong } else { Mark::Claimed }, label, text)
    }

    /// A line for the reader to judge.
    fn stated(&self, label: &str, text: &str) -> String {
        let mark = if self.examination.authentic.is_some() { Mark::Stated } else { Mark::Claimed };
        row(self.style, mark, label, text)
    }

    fn signers(&self, quote: &Quote) -> String {
        use DenyCode::{
            PckCaRevoked, PckChainUntrusted, PckCrlMismatch, PckExpired, PckNotYetValid, PckRevoked,
            QeReportBinding, QeReportSignature, QuoteSignature, VerifierDisagreement,
        };
        let faults = [
            PckCaRevoked,
            PckChainUntrusted,
            PckCrlMismatch,
            PckExpired,
            PckNotYetValid,
            PckRevoked,
            QeReportBinding,
            QeReportSignature,
            QuoteSignature,
            VerifierDisagreement,
        ];
        let chain = certificates::pck_chain(quote);
        let chain: Vec<_> = chain.iter().map(|certificate| format!("\"{}\"", certificate.name)).collect();
        let chain = format!("a quote of version {}, by {}", quote.version(), chain.join(" under "));
        [self.judged("Signed by", &faults, &chain), self.root()].concat()
    }

    fn root(&self) -> String {
        let root = self.examination.verifier.root();
        let whose = if root.is_intel() { "Intel's" } else { "not Intel's: given with --root" };
        let name = certificates::root(root).map(|root| root.name).unwrap_or_default();
        let text = format!("\"{name}\" ({whose}), key {}", root.key_id());
        self.judged("Root", &[DenyCode::PckChainUntrusted, DenyCode::CollateralUntrusted], &text)
    }

    fn hardware(&self, platform: &Platform) -> String {
        use DenyCode::{FmspcMismatch, FmspcNotAllowed, PceIdMismatch};
        let allowed = match self.examination.policy.allowed_fmspcs {
            None => "policy allows any",
            Some(_) => "policy allows some only",
        };
        let kind = format!("FMSPC {}, under the {} CA; {allowed}", platform.fmspc, platform.ca.as_str());
        let device = format!("{} (SHA-256 of PPID {})", platform.ppid.device_id(), platform.ppid);
        [
            self.judged("Hardware", &[FmspcMismatch, FmspcNotAllowed, PceIdMismatch], &kind),
            self.stated("Device id", &device),
        ]
        .concat()
    }

    /// What Intel says of the platform: known of a genuine quote only, but for the fault that hides it.
    fn platform_state(&self) -> String {
        use DenyCode::{
            QeIdentityMismatch, QeTcbNotAccepted, QeTcbUnknown, TcbGraceExpired, TcbNotAccepted, TcbRevoked,
            TcbUnknown,
        };
        let tcb = self.examination.authentic.as_ref().map(AuthenticQuote::tcb);
        let known = |text: Option<String>| text.unwrap_or_else(|| NOT_KNOWN.to_owned());
        let status =
            tcb.map(|tcb| format!("TCB status {}, level of {}", tcb.status, values::day(&tcb.tcb_date)));
        let enclave = tcb.map(|tcb| format!("quoting enclave, TCB status {}", tcb.qe_status));
        [
            self.judged(
                "Platform",
                &[TcbGraceExpired, TcbNotAccepted, TcbRevoked, TcbUnknown],
                &known(status),
            ),
            self.advisories(tcb.map(|tcb| &*tcb.advisory_ids)),
            self.judged("QE", &[QeIdentityMismatch, QeTcbNotAccepted, QeTcbUnknown], &known(enclave)),
            self.collateral(),
        ]
        .concat()
    }

    /// Advisories of an accepted platform are for the reader to judge.
    fn advisories(&self, ids: Option<&[String]>) -> String {
        let text = ids.map_or_else(|| NOT_KNOWN.to_owned(), advisories);
        if ids.is_some_and(|ids| !ids.is_empty())
            && !self.is_at_fault(|code| code == DenyCode::AdvisoryDenied)
        {
            return self.stated("Advisories", &text);
        }
        self.judged("Advisories", &[DenyCode::AdvisoryDenied], &text)
    }

    fn collateral(&self) -> String {
        let Some(collateral) = &self.examination.collateral else {
            return self.missing("Collateral", DenyClass::Collateral, "none that can be used");
        };
        let dates = collateral.dates();
        let text = format!(
            "issued {}, expires {}, evaluation number {}",
            rfc3339(dates.issued),
            rfc3339(dates.expires),
            dates.evaluation_number
        );
        let faults = [DenyCode::CollateralStale, DenyCode::EvaluationNumber];
        self.judged("Collateral", &faults, &text)
    }

    fn td(&self, td: &TdReport) -> String {
        use DenyCode::{
            TdAttributes, TdDebug, TdPartition, TdServiceTd, TdXfam, TdxModuleMismatch, TdxModuleUnknown,
        };
        [
            self.judged("TDX module", &[TdxModuleMismatch, TdxModuleUnknown], &values::module(td)),
            self.judged("Guest", &[TdAttributes, TdDebug, TdPartition, TdServiceTd], &values::attributes(td)),
            self.judged("XFAM", &[TdXfam], &format!("{} (CPU features)", hex_le(td.xfam))),
        ]
        .concat()
    }

    fn measurements(&self, td: &TdReport) -> String {
        let [rtmr0, rtmr1, rtmr2, rtmr3] = &td.rtmr;
        let rows = [
            ("MRTD", &td.mrtd, "firmware"),
            ("RTMR0", rtmr0, "virtual hardware"),
            ("RTMR1", rtmr1, "boot loader or kernel"),
            ("RTMR2", rtmr2, "command line and initrd"),
            ("RTMR3", rtmr3, "application, by its event log"),
        ];
        let rows =
            rows.into_iter().map(|(label, value, what)| self.stated(label, &values::register(value, what)));
        rows.chain([self.configuration(td)]).collect()
    }

    /// The registers that the host sets, as far as it did.
    fn configuration(&self, td: &TdReport) -> String {
        let config = values::register(&td.mr_config_id, values::config_version(&td.mr_config_id));
        let config = match self.examination.identity {
            Some(_) => self.judged("MRCONFIGID", &[DenyCode::MrConfigId], &config),
            None if self.is_at_fault(|code| code == DenyCode::MrConfigId) => {
                row(self.style, Mark::Wrong, "MRCONFIGID", &config)
            }
            None => self.stated("MRCONFIGID", &config),
        };
        let others = [("MROWNER", &td.mr_owner, "owner"), ("MROWNERCONF.", &td.mr_owner_config, "owner's")];
        let others = others.into_iter().filter(|(_, value, _)| !value.is_zero());
        let others = others.map(|(label, value, what)| self.stated(label, &values::register(value, what)));
        others.chain([config]).collect()
    }

    fn identity(&self) -> String {
        let Some(identity) = &self.examination.identity else {
            return self.missing("App", DenyClass::Guest, "not known; see below");
        };
        let fine = |label, text: &str| row(self.style, Mark::Fine, label, text);
        let stated = |label, text: &str| row(self.style, Mark::Stated, label, text);
        [
            fine("Event log", "replays to RTMR3: the guest measured exactly this"),
            stated("App id", &identity.app_id.to_string()),
            stated("Compose hash", &identity.compose_hash.to_string()),
            stated("Instance id", &values::instance(identity)),
            stated("Key provider", &values::key_provider(identity)),
            stated("mrSystem", &identity.mr_system.to_string()),
            stated("mrAggregated", &identity.mr_aggregated.to_string()),
            stated("Boot", values::phase(identity.phase)),
        ]
        .concat()
    }
}
