//! `kmsctl audit` over what a real node wrote: every record is verified and decided again; what is changed afterwards is found.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kms_ledger::note::LogKey;
use kms_ledger::record::{Decision, Event, Outcome, Subject, Who};
use kms_ledger::{BlobId, blob_file};
use kms_proto::v1::{GetAppKeysRequest, GetNodeInfoRequest};
use kms_simulator::cvm::Cvm;
use kms_tests::asking::{until, until_granted, until_refused_with};
use kms_tests::guest::{booted, compose, evidence, instance};
use kms_tests::log::Entry;
use kms_tests::node::Node;
use kms_tests::process::program;
use kms_tests::simulated::COLD_HOST;
use kms_tests::wire::{Opened, Wire, refusal};
use kms_tests::world::{App, World};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::Guest;

/// Denials that follow from what was presented, or from what the contract said.
const PROVEN: [&str; 5] = [
    "quote-malformed",
    "quote-signature-invalid",
    "rtmr3-mismatch",
    "tcb-status-not-accepted",
    "contract-denied",
];

/// What a run of `kmsctl audit` left behind.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// That these words are said, wherever the lines are broken.
    fn says(&self, phrases: &[&str]) {
        let text = self.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        for phrase in phrases {
            assert!(text.contains(phrase), "{phrase}: {}", self.stdout);
        }
    }
}

/// An auditor: a root of trust, and a folder of their own.
pub(crate) struct Auditor {
    root: PathBuf,
    folder: TempDir,
}

impl Auditor {
    pub(crate) fn new(world: &World) -> Self {
        Self { root: world.simulated.root_certificate(), folder: TempDir::new().unwrap() }
    }

    /// A file of the auditor's.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command on a log, which is not run yet.
    pub(crate) fn command(&self, command: &str, log: impl AsRef<OsStr>, more: &[&str]) -> Command {
        let mut kmsctl = Command::new(program("kmsctl"));
        kmsctl.args(["audit", command]).arg(log).arg("--root").arg(&self.root).args(more);
        kmsctl
    }

    pub(crate) fn run(&self, command: &str, log: impl AsRef<OsStr>, more: &[&str]) -> Run {
        let output = self.command(command, log, more).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// A copy of a log of one's own.
    pub(crate) fn copy(&self, log: &Path, name: &str) -> PathBuf {
        let to = self.folder.path().join(name);
        let done = Command::new("cp").arg("-r").arg(log).arg(&to).status().unwrap();
        assert!(done.success());
        to
    }

    /// That verification fails there, and with one of these codes.
    fn finds(&self, log: &Path, more: &[&str], place: &str, codes: &[&str]) {
        let found = self.run("verify", log, &[more, &["--json"]].concat()).exits(10).json();
        let findings = found["result"]["findings"].as_array().unwrap();
        let there = |finding: &&Value| finding["place"] == place;
        let code = |finding: &Value| codes.iter().any(|code| finding["code"] == *code);
        assert!(findings.iter().filter(there).any(code), "{place}: {findings:?}");
    }
}

pub(crate) fn log_of(node: &Node) -> PathBuf {
    node.ledger_folder().join("log")
}

fn decision(entry: &Entry) -> Option<&Decision> {
    match &entry.record.event {
        Event::Decision(decision) => Some(decision),
        _ => None,
    }
}

/// The index of the first decision of that kind with that answer: a code, or `allow`.
fn index_of(entries: &[Entry], subject: Subject, answer: &str) -> usize {
    let fits = |it: &Decision| it.subject == subject && it.outcome.code().unwrap_or("allow") == answer;
    let found = entries.iter().position(|entry| decision(entry).is_some_and(fits));
    found.unwrap_or_else(|| panic!("no {answer} for {subject:?}"))
}

/// What an auditor must find a record to be.
fn expected(entry: &Entry) -> &'static str {
    match &entry.record.event {
        Event::Stopped | Event::Unstored(_) => "stated",
        Event::Started(_) => "identical",
        Event::Decision(decision) => match decision.outcome.code() {
            Some(code) if !PROVEN.contains(&code) => "consistent",
            _ => "identical",
        },
    }
}

async fn refused_with(node: &Node, expected: &str, request: impl Fn(&Wire, &Opened) -> GetAppKeysRequest) {
    let answer = Wire::connect(node.address()).await.boot_with(request).await;
    assert_eq!(refusal(answer).code, expected);
}

fn shown(cvm: &Cvm, wire: &Wire, opened: &Opened) -> GetAppKeysRequest {
    evidence(cvm, &wire.ends.app_binding(opened))
}

/// Refusals of every kind that a guest can bring about.
async fn refusals(world: &World, node: &Node, app: &App) {
    let honest = world.guest(app);
    refused_with(node, "contract-denied", |wire, opened| shown(&world.guest_on(app, 2), wire, opened)).await;
    let other = world.guest(&App { id: app.id, compose: compose("something else") });
    let foreign = other.event_log().to_json().into_bytes();
    refused_with(node, "rtmr3-mismatch", |wire, opened| GetAppKeysRequest {
        event_log: foreign.clone(),
        ..shown(&honest, wire, opened)
    })
    .await;
    let mut platform = world.simulated.platform();
    let host = platform.host_mut(1).unwrap();
    host.pck.cpu_svn[..2].copy_from_slice(&[3, 3]);
    let old = booted(host, world.simulated.image(), app.id, &app.compose, instance(0x11));
    refused_with(node, "tcb-status-not-accepted", |wire, opened| shown(&old, wire, opened)).await;
    // What proves nothing: one sample of each code.
    for _ in 0..3 {
        refused_with(node, "quote-malformed", |_, _| GetAppKeysRequest::default()).await;
        refused_with(node, "quote-signature-invalid", |wire, opened| {
            let mut request = shown(&honest, wire, opened);
            request.quote[200] ^= 1;
            request
        })
        .await;
    }
    // What the node cannot decide: it gets no collateral for that host.
    world.simulated.pccs_fault("garbage");
    let cold = world.guest_on(app, COLD_HOST);
    until_refused_with(node, &cold, "collateral-unavailable").await;
    // Blocks come while it is decided: the record is of the moment when that began.
    world.chain.seconds_between_blocks(1);
    world.simulated.pccs_slow(Duration::from_secs(2));
    until_refused_with(node, &cold, "contract-denied").await;
    world.simulated.pccs_fault("none");
}

/// Keys and a certificate on one connection, by the real client.
async fn certificate(world: &World, node: &Node, app: &App) {
    let guest = Guest::of(world, app, &world.pins(node, &[world.measurement]).await);
    let (at, name) = ([node.address().to_string()], format!("{}.kms.internal", app.id));
    until("a certificate", async || {
        guest.ask(world, &at, &["--certificate-for", &name]).status.success().then_some(())
    })
    .await;
}

/// A node's life with some of everything in it, to its end in good order.
async fn life(world: &World) -> (Node, App) {
    let mut node = world.node(&[]).await;
    let app = world.app("audited");
    world.seen_by(&node).await;
    until_granted(&node, &world.guest(&app)).await;
    certificate(world, &node, &app).await;
    Box::pin(refusals(world, &node, &app)).await;
    node.kill();
    node.restart();
    node.await_serving().await;
    until_granted(&node, &world.guest(&app)).await;
    assert_eq!(node.stop().code(), Some(0));
    (node, app)
}

#[tokio::test(flavor = "multi_thread")]
async fn audit__should_verify_and_replay_all_that_a_node_wrote() {
    let world = World::new();
    let (node, app) = Box::pin(life(&world)).await;
    let (auditor, log, entries) = (Auditor::new(&world), log_of(&node), node.log());

    let verified = auditor.run("verify", &log, &["--json"]).exits(0).json();
    assert_eq!(verified["result"]["records"], entries.len());
    assert_eq!(verified["result"]["blobs_missing"], 0);
    assert_eq!(verified["log"]["key_from"], "quote");
    let replayed = auditor.run("replay", &log, &["--json"]).exits(0).json();
    let mut results = BTreeMap::<&str, u64>::new();
    let mut answers = BTreeMap::<String, u64>::new();
    for entry in &entries {
        *results.entry(expected(entry)).or_default() += 1;
        if let Some(decision) = decision(entry) {
            let answer = decision.outcome.code().unwrap_or("allow");
            *answers.entry(format!("{} {answer}", decision.subject.as_str())).or_default() += 1;
        }
    }
    assert_eq!(replayed["tally"]["results"], serde_json::to_value(&results).unwrap());
    assert_eq!(replayed["tally"]["answers"], serde_json::to_value(&answers).unwrap());
    assert_eq!(replayed["tally"]["findings"], serde_json::json!([]));
    let count = |answer: &str| answers.get(answer).copied().unwrap_or_default();
    assert!(count("app-keys allow") >= 3 && count("app-certificate allow") == 1, "{answers:?}");
    assert_eq!(count("node allow"), 2, "a standing in each run: {answers:?}");
    assert_eq!((count("app-keys quote-malformed"), count("app-keys quote-signature-invalid")), (1, 1));
    for code in ["rtmr3-mismatch", "tcb-status-not-accepted", "contract-denied", "collateral-unavailable"] {
        assert!(count(&format!("app-keys {code}")) >= 1, "{code}: {answers:?}");
    }
    let starts = entries.iter().filter(|entry| matches!(entry.record.event, Event::Started(_))).count();
    assert_eq!((starts, &entries.last().unwrap().record.event), (2, &Event::Stopped));
    // Both runs say what they kept no record of; the first was killed before it could.
    assert!(results["stated"] >= 1, "{results:?}");
    explanations(&auditor, &log, &entries, &app);
}

/// What is printed of single records, found again, and taken along.
fn explanations(auditor: &Auditor, log: &Path, entries: &[Entry], app: &App) {
    let explain = |subject, answer| {
        let index = index_of(entries, subject, answer).to_string();
        auditor.run("explain", log, &[&index]).exits(0)
    };
    let id = app.id.to_string();
    explain(Subject::AppKeys, "contract-denied").says(&[
        "keys for an app, denied: contract-denied",
        &id,
        "Device not allowed",
        "not so: the app lists this device; kmsctl app add-device",
        "The same record, bit for bit.",
    ]);
    explain(Subject::AppKeys, "allow").says(&[
        "keys for an app, allowed at block",
        &id,
        "the contract allows exactly this at block",
        "app-disk, app-env, app-signing",
        "the app lists this device: yes",
        "The same record, bit for bit.",
    ]);
    explain(Subject::AppKeys, "rtmr3-mismatch").says(&["That was not proven", "bit for bit"]);
    explain(Subject::AppKeys, "collateral-unavailable")
        .says(&["Refused by the node's own state: collateral-unavailable."]);
    explain(Subject::AppCertificate, "allow").says(&[
        "a certificate for an app",
        "app-certificate",
        "bit for bit",
    ]);

    let of_app = |entry: &Entry| {
        decision(entry).is_some_and(|it| matches!(&it.who, Who::Open(who) if who.app_id == app.id))
    };
    let there: Vec<_> = (0..entries.len()).filter(|index| of_app(&entries[*index])).collect();
    let found = auditor.run("search", log, &["--app", &id, "--json"]).exits(0).json();
    let found: Vec<_> =
        found.as_array().unwrap().iter().map(|it| it["index"].as_u64().unwrap() as usize).collect();
    assert_eq!(found, there);
    assert!(found.contains(&index_of(entries, Subject::AppKeys, "contract-denied")));

    let bundle = auditor.folder.path().join("case.bundle");
    let release = index_of(entries, Subject::AppCertificate, "allow").to_string();
    auditor.run("export", log, &[&release, "--output", bundle.to_str().unwrap()]).exits(0);
    let verified = auditor.run("verify", &bundle, &["--json"]).exits(0).json();
    assert_eq!(verified["result"]["records"], 3, "the start, the release, the certificate");
    let replayed = auditor.run("replay", &bundle, &["--json"]).exits(0).json();
    assert_eq!(replayed["tally"]["results"], serde_json::json!({ "identical": 3 }));
}

/// Flips the last bit of a file.
fn spoil(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tampering__should_be_found_in_what_a_node_wrote_and_at_its_place() {
    let world = World::new();
    let mut node = world.node(&[]).await;
    let app = world.app("tampered with");
    world.seen_by(&node).await;
    until_granted(&node, &world.guest(&app)).await;
    let (auditor, log, earlier) = (Auditor::new(&world), log_of(&node), node.log().len());
    let older = auditor.copy(&log, "older");
    until_granted(&node, &world.guest(&app)).await;
    assert_eq!(node.stop().code(), Some(0));
    let entries = node.log();
    assert!(entries.len() > earlier);
    let kept = auditor.folder.path().join("kept");
    let kept = kept.to_str().unwrap();
    let verified = auditor.run("verify", &log, &["--json", "--keep", kept]).exits(0).json();
    let key = verified["log"]["key"].as_str().unwrap();

    // A byte of evidence.
    let release = index_of(&entries, Subject::AppKeys, "allow");
    let quote: BlobId = decision(&entries[release]).unwrap().evidence.quote.unwrap();
    let (changed, path) = (auditor.copy(&log, "blob"), blob_file::path(quote));
    spoil(&changed.join(&path));
    auditor.finds(&changed, &[], &path, &["blob-foreign", "blob-malformed"]);
    let replayed = auditor.run("replay", &changed, &["--json"]).exits(10).json();
    assert_eq!(replayed["tally"]["gaps"]["replay-blob-damaged"], 1);
    assert_eq!(replayed["tally"]["findings"][0]["index"], release);

    // A byte of the last record.
    let bundle = format!("tile/entries/000.p/{}", entries.len());
    let changed = auditor.copy(&log, "record");
    spoil(&changed.join(&bundle));
    let last = format!("record {}", entries.len() - 1);
    auditor.finds(&changed, &["--key", key], &last, &["audit-entry-changed"]);
    auditor.run("verify", &changed, &[]).exits(10);
    auditor.run("replay", &changed, &["--key", key]).exits(10);

    // The tail: taken away under the checkpoint, or with it.
    let changed = auditor.copy(&log, "tail");
    fs::remove_file(changed.join(&bundle)).unwrap();
    auditor.finds(&changed, &["--key", key], &bundle, &["log-file-missing"]);
    auditor.run("verify", &older, &[]).exits(0);
    auditor.finds(&older, &["--since", kept], "checkpoint", &["log-rolled-back"]);
    auditor.run("verify", &log, &["--since", older.join("checkpoint").to_str().unwrap()]).exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn audit__should_tell_what_a_node_without_collateral_could_not_show() {
    let world = World::new();
    let deaf = r#"attestation.pccs=[{url="http://127.0.0.1:1",kind="pccs"}]"#;
    let mut node = Node::start(&world.chain, &world.simulated, &[deaf]);
    until("a standing on record", async || node.log().iter().any(|it| decision(it).is_some()).then_some(()))
        .await;
    assert_eq!(node.stop().code(), Some(0));
    let (auditor, log, entries) = (Auditor::new(&world), log_of(&node), node.log());
    // Nothing vouches for the key of such a log: whoever audits it must have it from elsewhere.
    assert!(auditor.run("verify", &log, &[]).exits(10).stderr.contains("audit-key-unbound"));
    let Event::Started(started) = &entries[0].record.event else { panic!("no start") };
    let checkpoint = fs::read_to_string(log.join("checkpoint")).unwrap();
    let key = LogKey::new(checkpoint.lines().next().unwrap().parse().unwrap(), started.log_key).to_string();
    auditor.run("verify", &log, &["--key", &key]).exits(0);
    let replayed = auditor.run("replay", &log, &["--key", &key, "--json"]).exits(3).json();
    assert_eq!(replayed["tally"]["gaps"], serde_json::json!({ "replay-evidence-unnamed": 1 }));
    assert_eq!(replayed["tally"]["findings"][0]["index"], 0);
    let standing = index_of(&entries, Subject::Node, "collateral-unavailable");
    let Outcome::Deny { expected, .. } = &decision(&entries[standing]).unwrap().outcome else { panic!() };
    assert!(!expected.is_empty());
    auditor.run("replay", &log, &["--key", &key, &standing.to_string()]).exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn start_without_collateral__should_be_decided_again_once_there_is_some() {
    let world = World::new();
    world.simulated.pccs_fault("garbage");
    let mut node = Node::start(&world.chain, &world.simulated, &[]);
    let standing = |node: &Node, answer: &str| {
        let fits =
            |it: &Decision| it.subject == Subject::Node && it.outcome.code().unwrap_or("allow") == answer;
        node.log().iter().any(|entry| decision(entry).is_some_and(fits))
    };
    until("a standing without collateral", async || standing(&node, "collateral-unavailable").then_some(()))
        .await;
    let guest = world.guest(&world.app("after the PCCS"));
    let mut wire = Wire::connect(node.address()).await;
    let untold = wire.public.get_node_info(GetNodeInfoRequest {}).await;
    assert_eq!(refusal(untold).code, "collateral-unavailable");
    assert!(wire.boot_as(&guest).await.is_err(), "nothing is released yet");
    world.simulated.pccs_fault("none");
    node.await_serving().await;
    world.seen_by(&node).await;
    until_granted(&node, &guest).await;
    assert_eq!(node.stop().code(), Some(0));

    let (auditor, log, entries) = (Auditor::new(&world), log_of(&node), node.log());
    let counted = |entry: &Entry| match &entry.record.event {
        Event::Unstored(unstored) => unstored.refusals.iter().any(|it| it.code == "collateral-unavailable"),
        _ => false,
    };
    assert!(entries.iter().any(counted), "what the node could not say of itself");
    let Event::Started(started) = &entries[0].record.event else { panic!("no start") };
    assert_eq!(started.evidence.collateral, None, "there was none");
    // Without a pinned key: the start's quote vouches for it, by the collateral that came later.
    let verified = auditor.run("verify", &log, &["--json"]).exits(0).json();
    assert_eq!(verified["log"]["key_from"], "quote");
    let replayed = auditor.run("replay", &log, &["--json"]).exits(0).json();
    let tally = &replayed["tally"];
    assert_eq!((&tally["records"], &tally["findings"]), (&entries.len().into(), &serde_json::json!([])));
    assert_eq!((&tally["answers"]["app-keys allow"], &tally["gaps"]), (&1.into(), &serde_json::json!({})));
    auditor.run("explain", &log, &["0"]).exits(0).says(&["bit for bit"]);
}
