//! `env encrypt` and `env decrypt`: what goes in comes out for the right key, and nothing leaks on the way.

use std::os::unix::fs::PermissionsExt;
use std::time::{SystemTime, UNIX_EPOCH};

use k256::ecdsa::SigningKey;
use kms_attestation::ids::RootEpoch;
use kms_client::signature::EnvKeyStatement;
use serde_json::Value;
use tempfile::TempDir;

use crate::run::{Run, kmsctl, kmsctl_with_stdin};

const OTHER_APP: &str = "0x9999999999999999999999999999999999999999";

/// A folder with the key and the blobs of docs/vectors/env.json.
struct Scene {
    vectors: Value,
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        let vectors = serde_json::from_str(include_str!("../../../docs/vectors/env.json")).unwrap();
        let scene = Self { vectors, dir: tempfile::tempdir().unwrap() };
        for name in ["private", "native", "dstack"] {
            scene.write(name, format!("{}\n", scene.text(name)));
        }
        scene
    }

    fn text(&self, name: &str) -> &str {
        self.vectors[name].as_str().unwrap()
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).into_os_string().into_string().unwrap()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    fn encrypt(&self, more: &[&str]) -> Run {
        let key = self.text("public");
        let fixed = ["env", "encrypt", "--app", self.text("app_id"), "--public-key", key, "--epoch", "1"];
        kmsctl(fixed.iter().chain(more))
    }

    fn decrypt(&self, app: &str, more: &[&str]) -> Run {
        let key = self.path("private");
        kmsctl(["env", "decrypt", "--app", app, "--key-file", &key].iter().chain(more))
    }
}

#[test]
fn env_decrypt__should_open_the_blobs_of_another_implementation() {
    let scene = Scene::new();
    for format in ["native", "dstack"] {
        let run = scene.decrypt(scene.text("app_id"), &["--format", format, &scene.path(format)]).exits(0);
        assert_eq!(run.stdout, "API_KEY='s3cr3t'\nMOTTO=\"a \\\"b\\\"\\nä\"\n");
    }
}

#[test]
fn env_encrypt__should_be_undone_by_decrypt_and_by_nothing_else() {
    let scene = Scene::new();
    let dotenv = scene.write(".env", "# mine\nTOKEN='hunter2 $x'\nEMPTY=\n");
    for format in ["native", "dstack"] {
        let blob = scene.path(&format!("blob.{format}"));
        let run =
            scene.encrypt(&["--format", format, "--env-file", &dotenv, "MODE=a b", "-o", &blob]).exits(0);
        assert!(run.stderr.contains("nothing here proves"), "{}", run.stderr);
        assert!(!std::fs::read_to_string(&blob).unwrap().contains(&hex::encode("hunter2")));
        let run = scene.decrypt(scene.text("app_id"), &["--format", format, &blob]).exits(0);
        assert_eq!(run.stdout, "EMPTY=''\nMODE='a b'\nTOKEN='hunter2 $x'\n");
        scene.encrypt(&["--env-file", &dotenv, "-o", &blob]).exits(2);
        scene.encrypt(&["--env-file", &dotenv, "-o", &blob, "--force"]).exits(0);
    }
    // Only the native format knows the app.
    scene.decrypt(OTHER_APP, &[&scene.path("native")]).exits(10);
    scene.decrypt(OTHER_APP, &["--format", "dstack", &scene.path("dstack")]).exits(0);
    let wrong_format = scene.decrypt(scene.text("app_id"), &[&scene.path("dstack")]).exits(2);
    assert!(wrong_format.stderr.contains("--format dstack"), "{}", wrong_format.stderr);
    scene.write("private", "11".repeat(32));
    scene.decrypt(scene.text("app_id"), &[&scene.path("native")]).exits(10);
}

#[test]
fn env_decrypt__should_write_a_file_that_its_owner_alone_reads() {
    let scene = Scene::new();
    let out = scene.path("out.env");
    let run = scene.decrypt(scene.text("app_id"), &[&scene.path("native"), "-o", &out]).exits(0);
    assert_eq!(run.stdout, "");
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    // And what it writes can be encrypted again.
    scene.encrypt(&["--env-file", &out, "-o", &scene.path("again")]).exits(0);
}

#[test]
fn env_encrypt__should_refuse_variables_that_the_app_is_not_allowed() {
    let scene = Scene::new();
    let compose = scene.write("app-compose.json", r#"{"allowed_envs":["A"],"manifest_version":2}"#);
    let blob = scene.path("blob");
    scene.encrypt(&["A=1", "--compose", &compose, "-o", &blob]).exits(0);
    let run = scene.encrypt(&["A=1", "B=hunter2", "--compose", &compose, "-o", &blob, "--force"]).exits(10);
    assert!(run.stderr.contains('B') && !run.stderr.contains("hunter2"), "{}", run.stderr);
    scene.write("app-compose.json", "{}");
    scene.encrypt(&["A=1", "--compose", &compose, "-o", &blob, "--force"]).exits(2);
}

#[test]
fn env_encrypt__should_never_print_a_value_when_it_fails() {
    let scene = Scene::new();
    let blob = scene.path("blob");
    for bad in ["A=hunter2 # x\n", "hunter2\n", "A=1\nA=hunter2\n", "A=\"hunter2\n"] {
        let dotenv = scene.write(".env", bad);
        let run = scene.encrypt(&["--env-file", &dotenv, "-o", &blob]).exits(2);
        assert!(!run.stderr.contains("hunter2") && run.stdout.is_empty(), "{}", run.stderr);
    }
    scene.encrypt(&["1A=hunter2", "-o", &blob]).exits(2);
    scene.encrypt(&["A=1", "A=hunter2", "-o", &blob]).exits(2);
    scene.encrypt(&["-o", &blob]).exits(2);
    scene.encrypt(&["--env-file", &scene.write("bytes", [0xFF, 0xFE]), "-o", &blob]).exits(2);
    assert!(!std::path::Path::new(&blob).exists());
}

#[test]
fn env_encrypt__should_read_and_write_pipes() {
    let scene = Scene::new();
    let (app, key) = (scene.text("app_id"), scene.text("public"));
    let args = ["env", "encrypt", "--app", app, "--public-key", key, "--env-file", "-", "-o", "-"];
    let blob = kmsctl_with_stdin(args, b"A=1\n").exits(0).stdout;
    let private = scene.path("private");
    let args = ["env", "decrypt", "--app", app, "--key-file", &private, "-"];
    assert_eq!(kmsctl_with_stdin(args, blob.as_bytes()).exits(0).stdout, "A='1'\n");
}

#[test]
fn env_encrypt__should_refuse_a_key_that_the_kms_did_not_sign() {
    let scene = Scene::new();
    let root = SigningKey::from_slice(&[7; 32]).unwrap();
    let root_key = hex::encode(root.verifying_key().to_sec1_point(true).as_bytes());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let sign = |timestamp| {
        let statement = EnvKeyStatement {
            app_id: scene.text("app_id").parse().unwrap(),
            epoch: RootEpoch(1),
            timestamp,
            public_key: scene.text("public").parse().unwrap(),
        };
        let (signature, recovery) = root.sign_prehash_recoverable(&statement.digest());
        hex::encode([signature.to_bytes().as_slice(), &[recovery.to_byte()]].concat())
    };
    let run = |signature: &str, timestamp: u64| {
        let (blob, timestamp) = (scene.path("blob"), timestamp.to_string());
        scene.encrypt(&[
            "A=1",
            "-o",
            &blob,
            "--force",
            "--root-key",
            &root_key,
            "--signature",
            signature,
            "--timestamp",
            &timestamp,
        ])
    };
    let good = run(&sign(now), now).exits(0);
    assert!(!good.stderr.contains("nothing here proves"), "{}", good.stderr);
    assert!(run(&sign(now - 3600), now - 3600).exits(10).stderr.contains("signature-stale"));
    assert!(run(&sign(now), now - 1).exits(10).stderr.contains("signature-wrong-signer"));
    run("zz", now).exits(2);
    scene.encrypt(&["A=1", "-o", "-", "--root-key", &root_key]).exits(2);
}

#[test]
fn env_decrypt__should_name_a_file_that_holds_no_key() {
    let scene = Scene::new();
    for bad in ["", "00", "zz", &"00".repeat(33)] {
        scene.write("private", bad);
        let run = scene.decrypt(scene.text("app_id"), &[&scene.path("native")]).exits(2);
        assert!(run.stderr.contains("no private key"), "{}", run.stderr);
    }
    // A file of 32 bytes is the key itself.
    scene.write("private", hex::decode(scene.text("private")).unwrap());
    scene.decrypt(scene.text("app_id"), &[&scene.path("native")]).exits(0);
}
