//! `kmsctl audit` over the files of a log: an honest one, and one tampering each, found with its own code at its place.

mod bundles;
mod commands;
mod evidence;
mod following;
mod hostile;
mod mirror;
mod mirror_s3;
mod receipts;
mod source;
mod tampering;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::run::{Run, kmsctl};
use crate::scene::Scene;
use crate::scene::folder::{self, Signer};

const ORIGIN: &str = "kms.example/log";

/// A log on disk.
struct Log {
    folder: TempDir,
    files: BTreeMap<String, Vec<u8>>,
    scene: Scene,
    signer: Signer,
}

impl Log {
    /// One record of each kind, so many times.
    fn new(rounds: usize) -> Self {
        let signer = Signer::new(7);
        let mut scene = Scene::of_log(ORIGIN, *signer.log_key(ORIGIN).public_key());
        for _ in 0..rounds {
            scene.one_of_each();
        }
        let files = folder::files(&scene, &signer);
        let folder = tempfile::tempdir().unwrap();
        folder::write(&folder.path().join("log"), &files);
        std::fs::write(folder.path().join("root.der"), scene.platform.root_der()).unwrap();
        Self { folder, files, scene, signer }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn key(&self) -> String {
        self.signer.log_key(ORIGIN).to_string()
    }

    /// Runs a command on the log with its root of trust.
    fn run(&self, command: &str, more: &[&str]) -> Run {
        self.run_on("log", command, more)
    }

    fn run_on(&self, log: &str, command: &str, more: &[&str]) -> Run {
        let (log, root) = (self.path(log), self.path("root.der"));
        let mut args = vec!["audit", command, log.to_str().unwrap(), "--root", root.to_str().unwrap()];
        args.extend(more);
        kmsctl(args)
    }

    /// Writes files in place of the log's.
    fn replace(&self, files: &BTreeMap<String, Vec<u8>>) {
        let log = self.path("log");
        std::fs::remove_dir_all(&log).unwrap();
        folder::write(&log, files);
    }

    /// The log's files with one of them changed, or taken away, for as long as the check runs.
    fn with_file(&self, path: &str, change: impl FnOnce(&mut Vec<u8>), check: impl FnOnce(&Self)) {
        let at = self.path("log").join(path);
        let genuine = std::fs::read(&at).unwrap_or_else(|_| panic!("{path}"));
        let mut bytes = genuine.clone();
        change(&mut bytes);
        if bytes.is_empty() {
            std::fs::remove_file(&at).unwrap();
        } else {
            std::fs::write(&at, bytes).unwrap();
        }
        check(self);
        std::fs::write(&at, genuine).unwrap();
    }

    /// The places and codes that `verify` finds.
    fn findings(&self, more: &[&str]) -> Vec<(String, String)> {
        let key = self.key();
        let run = self.run("verify", &[&["--json", "--key", &key], more].concat()).exits(10);
        let found = run.json()["result"]["findings"].clone();
        let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
        let findings = found.as_array().unwrap().iter();
        findings.map(|finding| (text(finding, "place"), text(finding, "code"))).collect()
    }
}

fn found(place: &str, code: &str) -> Vec<(String, String)> {
    vec![(place.to_owned(), code.to_owned())]
}
