//! `kmsctl audit explain`: one record for people: who asked, what was proven, what the chain said, why that answer, and
//! what would change it.
//!
//! The marks are those of `quote explain`: what evidence shows again here is told apart from what the record only says.

mod chain;
mod issued;

use kms_attestation::time::rfc3339;
use kms_chain::Decision as ChainDecision;
use kms_ledger::record::{CodeCount, Decision, Event, Evidence, Identity, Outcome, Record, Started, Subject};
use kms_ledger::replay::{Archive, Replayed};

use self::chain::missing;
use super::describe::{answer, printable};
use super::lookup::meaning;
use super::select;
use crate::layout::hang;
use crate::row::{Mark, legend, row};
use crate::style::{Style, Tone};

/// A record, and what came of deciding it again.
pub(super) struct Explained<'a> {
    pub(super) index: u64,
    pub(super) record: &'a Record,
    pub(super) archive: &'a dyn Archive,
    pub(super) replayed: &'a Replayed,
    pub(super) style: Style,
}

impl Explained<'_> {
    /// The whole explanation.
    pub(super) fn text(&self) -> String {
        let body = match &self.record.event {
            Event::Decision(decision) => self.decision(decision),
            Event::Started(started) => self.started(started),
            Event::Stopped => {
                self.section("What happened", &self.stated("", "The node ended in good order."))
            }
            Event::Unstored(unstored) => self.unstored(unstored.since, &unstored.refusals),
        };
        let parts = [self.headline(), body, self.node(), self.again(), format!("\n{}", legend(self.style))];
        parts.concat()
    }

    fn headline(&self) -> String {
        let what = match &self.record.event {
            Event::Decision(decision) => {
                format!("{}, {}", subject(decision.subject), answer(&decision.outcome))
            }
            Event::Started(_) => "the node started".to_owned(),
            Event::Stopped => "the node stopped".to_owned(),
            Event::Unstored(_) => "refusals that proved nothing, counted".to_owned(),
        };
        hang("", 0, &format!("Record {} at {}: {what}.", self.index, rfc3339(self.record.time)))
    }

    fn decision(&self, decision: &Decision) -> String {
        let chain = self.chain(decision);
        [
            self.section("Who asked", &self.who(decision)),
            self.section("What was shown", &self.evidence(&decision.evidence)),
            self.section("What the chain said", &self.chain_text(chain.as_ref())),
            self.issued(decision),
            self.section("Why", &self.why(decision, chain.as_ref())),
        ]
        .concat()
    }

    fn who(&self, decision: &Decision) -> String {
        if decision.subject == Subject::Node {
            return self.fine("node", &self.record.node.measurement.to_string());
        }
        let Ok(Some(identity)) = select::identity(self.archive, self.record) else {
            return self.stated("", "That was not proven, or is sealed and the sealed blob is not here.");
        };
        let Identity { app_id, compose_hash, instance_id, device_id, mr_system, mr_aggregated } = identity;
        let instance = instance_id.map_or("none".to_owned(), |id| id.to_string());
        [
            ("app", app_id.to_string()),
            ("code", compose_hash.to_string()),
            ("instance", instance),
            ("device", device_id.to_string()),
            ("system", mr_system.to_string()),
            ("measurement", mr_aggregated.to_string()),
        ]
        .iter()
        .map(|(label, value)| row(self.style, self.proven(), label, value))
        .collect()
    }

    fn evidence(&self, evidence: &Evidence) -> String {
        let Evidence { quote, event_log, os_image_manifest, collateral, witness, certificate } = evidence;
        [
            ("quote", quote),
            ("event log", event_log),
            ("OS image", os_image_manifest),
            ("collateral", collateral),
            ("witness", witness),
            ("certificate", certificate),
        ]
        .iter()
        .filter_map(|(label, id)| Some(self.stated(label, &id.as_ref()?.to_string())))
        .collect()
    }

    fn why(&self, decision: &Decision, chain: Option<&ChainDecision>) -> String {
        match &decision.outcome {
            Outcome::Allow { latest, released, .. } => {
                let kinds: Vec<_> = released.iter().map(|kind| kind.as_str()).collect();
                let released = if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") };
                let allowed = format!("the contract allows exactly this at block {}", latest.number);
                self.fine("allowed", &allowed) + &self.stated("released", &released)
            }
            Outcome::Deny { code, found, expected } => {
                let known = meaning(code);
                let message = known.map_or("a code that this release does not know", |known| known.message);
                let fix = known.map_or("Use a newer kmsctl.", |known| known.fix);
                let head = format!("{}: {message}", printable(code));
                let mut text = row(self.style, Mark::Wrong, "", &head);
                text += &detail("found", found);
                text += &detail("expected", expected);
                text += &detail("fix", fix);
                chain.map_or(text.clone(), |chain| text + &missing(&chain.explanation))
            }
        }
    }

    fn started(&self, started: &Started) -> String {
        let insecure = started.insecure_settings.iter().map(|setting| printable(setting)).collect::<Vec<_>>();
        let rows = [
            row(self.style, self.proven(), "log key", &hex::encode(started.log_key)),
            self.claimed("root secret", started.root_origin.as_str()),
            self.claimed("root signer", &hex::encode(started.root_signer)),
            self.claimed("root CA key", &hex::encode(started.root_ca)),
            self.claimed(
                "insecure",
                &if insecure.is_empty() { "none".to_owned() } else { insecure.join(", ") },
            ),
        ];
        self.section("What happened", &rows.concat())
            + &self.section("What was shown", &self.evidence(&started.evidence))
    }

    fn unstored(&self, since: u64, refusals: &[CodeCount]) -> String {
        let rows = refusals.iter().map(|CodeCount { code, count }| {
            let message = meaning(code).map_or("", |known| known.message);
            self.claimed(&count.to_string(), &format!("{}: {message}", printable(code)))
        });
        self.section(&format!("Since {}", rfc3339(since)), &rows.collect::<String>())
    }

    fn node(&self) -> String {
        let node = &self.record.node;
        let head = self
            .record
            .head
            .map_or("none".to_owned(), |head| format!("{} of {}", head.number, rfc3339(head.timestamp)));
        let rows = [
            self.claimed("name", &printable(&node.name)),
            self.claimed("software", &format!("{}, rules {}", printable(&node.software), node.rules)),
            self.claimed("root epoch", &node.root_epoch.to_string()),
            self.stated("policy", &node.policy.to_string()),
            self.claimed("its head", &head),
        ];
        self.section("The node", &rows.concat())
    }

    fn again(&self) -> String {
        let (mark, text) = match self.replayed {
            Replayed::Identical => (Mark::Fine, "The same record, bit for bit.".to_owned()),
            Replayed::Stated => {
                (Mark::Stated, "Nothing to execute: the record agrees with itself.".to_owned())
            }
            Replayed::Consistent { code } => {
                let text = format!(
                    "Refused by the node's own state: {}. No evidence can show that state, and nothing was released.",
                    printable(code)
                );
                (Mark::Stated, text)
            }
            Replayed::RulesChanged { change, .. } => {
                (Mark::Stated, format!("Rules {} decide otherwise: {}", change.version, change.what))
            }
            Replayed::Different(difference) => {
                let (recorded, recomputed) =
                    (printable(&difference.recorded), printable(&difference.recomputed));
                let text = format!(
                    "{} should be another: recorded {recorded}; decided again {recomputed}",
                    difference.what
                );
                (Mark::Wrong, text)
            }
            Replayed::NotReplayable { why } => (Mark::Claimed, format!("{why}; {}", why.code.fix())),
        };
        self.section("Decided again, here", &row(self.style, mark, "", &text))
    }

    /// What identical evidence proves; anything else is only said.
    fn proven(&self) -> Mark {
        match self.replayed {
            Replayed::Identical => Mark::Fine,
            Replayed::Consistent { .. } if self.attested() => Mark::Fine,
            _ => Mark::Claimed,
        }
    }

    /// Without collateral nothing was attested, and nothing can be again.
    fn attested(&self) -> bool {
        matches!(&self.record.event, Event::Decision(decision) if decision.evidence.collateral.is_some())
    }

    fn section(&self, title: &str, body: &str) -> String {
        format!("\n{}\n{body}", self.style.paint(Tone::Heading, title))
    }

    fn fine(&self, label: &str, text: &str) -> String {
        row(self.style, self.proven(), label, text)
    }

    fn stated(&self, label: &str, text: &str) -> String {
        row(self.style, Mark::Stated, label, text)
    }

    fn claimed(&self, label: &str, text: &str) -> String {
        row(self.style, Mark::Claimed, label, text)
    }
}

fn subject(subject: Subject) -> &'static str {
    match subject {
        Subject::AppKeys => "keys for an app",
        Subject::AppCertificate => "a certificate for an app",
        Subject::Node => "the node itself",
    }
}

fn detail(label: &str, value: &str) -> String {
    if value.is_empty() { String::new() } else { hang(&format!("   {label:<13}"), 16, &printable(value)) }
}
