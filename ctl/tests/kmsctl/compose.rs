//! `compose hash` and `compose build`: the bytes, and their hash.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::run::{Run, kmsctl, kmsctl_with_stdin};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("docker-compose.yaml", "services:\n  app:\n    image: \"é\"\n");
        folder.write("script.sh", "echo \"hello\"\n");
        folder
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// Runs `compose build` in the folder's files: arguments that begin with `@` are names there.
    fn build(&self, args: &[&str]) -> Run {
        let path = |name: &str| self.path(name).into_os_string().into_string().unwrap();
        let args = args.iter().map(|arg| arg.strip_prefix('@').map_or_else(|| (*arg).to_owned(), path));
        let output = ["--output".to_owned(), path("out.json")];
        let all: Vec<_> =
            ["compose", "build"].map(str::to_owned).into_iter().chain(output).chain(args).collect();
        kmsctl(all)
    }

    fn written(&self) -> (String, Value) {
        let text = std::fs::read_to_string(self.path("out.json")).unwrap();
        let value = serde_json::from_str(&text).unwrap();
        (text, value)
    }
}

fn hash_of(path: &Path) -> String {
    kmsctl([Path::new("compose"), Path::new("hash"), path]).exits(0).stdout
}

const BASE: [&str; 4] = ["--name", "app", "--docker-compose", "@docker-compose.yaml"];

#[test]
fn hash__should_be_over_the_exact_bytes() {
    let folder = Folder::new();
    folder.write("a.json", r#"{"manifest_version":2}"#);
    folder.write("b.json", "{\"manifest_version\":2}\n");
    let (a, b) = (hash_of(&folder.path("a.json")), hash_of(&folder.path("b.json")));
    assert_ne!(a, b);
    assert_eq!(a.trim(), kms_attestation::compose::compose_hash(br#"{"manifest_version":2}"#).to_string());
    let from_stdin = kmsctl_with_stdin(["compose", "hash", "-"], br#"{"manifest_version":2}"#).exits(0);
    assert_eq!(from_stdin.stdout, a);
}

#[test]
fn hash__should_give_the_app_id_in_json() {
    let run = kmsctl_with_stdin(["compose", "hash", "-", "--json"], b"").exits(0);
    assert_eq!(
        run.json(),
        json!({
            "compose_hash": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "app_id_without_contract": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4",
        })
    );
    assert!(run.stderr.contains("no app-compose.json"), "{}", run.stderr);
}

#[test]
fn build__should_write_sorted_compact_json_and_print_its_hash() {
    let folder = Folder::new();
    let run = folder.build(&BASE).exits(0);
    let (text, _) = folder.written();
    assert_eq!(
        text,
        concat!(
            r#"{"allowed_envs":[],"docker_compose_file":"services:\n  app:\n    image: \"é\"\n","#,
            r#""gateway_enabled":false,"key_provider_id":"","kms_enabled":false,"#,
            r#""local_key_provider_enabled":false,"manifest_version":2,"name":"app","no_instance_id":false,"#,
            r#""public_logs":false,"public_sysinfo":false,"public_tcbinfo":true,"runner":"docker-compose","#,
            r#""secure_time":true}"#
        )
    );
    assert_eq!(run.stdout, hash_of(&folder.path("out.json")));
    assert!(run.stderr.contains("asks no KMS"), "{}", run.stderr);
}

#[test]
fn build__should_not_depend_on_the_order_of_its_arguments() {
    let folder = Folder::new();
    let envs = ["--allowed-env", "B", "--allowed-env", "A", "--kms-enabled"];
    let one = folder.build(&[&BASE[..], &envs].concat()).exits(0);
    let others =
        ["--kms-enabled=true", "--allowed-env", "A", "--allowed-env", "B", "--allowed-env", "A", "--force"];
    let two = folder.build(&[&others[..], &BASE].concat()).exits(0);
    assert_eq!(one.stdout, two.stdout);
    assert_eq!(folder.written().1["allowed_envs"], json!(["A", "B"]));
    assert!(!one.stderr.contains("asks no KMS"), "{}", one.stderr);
}

#[test]
fn build__should_set_every_field() {
    let folder = Folder::new();
    let args = [
        "--pre-launch-script",
        "@script.sh",
        "--kms-enabled",
        "--gateway-enabled=true",
        "--local-key-provider-enabled",
        "--public-logs",
        "--public-sysinfo",
        "--public-tcbinfo=false",
        "--no-instance-id",
        "--secure-time=false",
        "--storage-fs",
        "ext4",
        "--swap-size",
        "2G",
        "--key-provider",
        "kms",
        "--key-provider-id",
        "0xAB",
    ];
    folder.build(&[&BASE[..], &args].concat()).exits(0);
    let (_, fields) = folder.written();
    for (field, value) in [
        ("pre_launch_script", json!("echo \"hello\"\n")),
        ("kms_enabled", json!(true)),
        ("gateway_enabled", json!(true)),
        ("local_key_provider_enabled", json!(true)),
        ("public_logs", json!(true)),
        ("public_sysinfo", json!(true)),
        ("public_tcbinfo", json!(false)),
        ("no_instance_id", json!(true)),
        ("secure_time", json!(false)),
        ("storage_fs", json!("ext4")),
        ("swap_size", json!(2_147_483_648_u64)),
        ("key_provider", json!("kms")),
        ("key_provider_id", json!("ab")),
    ] {
        assert_eq!(fields[field], value, "{field}");
    }
}

#[test]
fn build__should_keep_the_fields_of_an_existing_file() {
    let folder = Folder::new();
    folder.write(
        "old.json",
        r#"{ "zeta": {"b": 1, "a": [2]}, "manifest_version": 3, "name": "old", "runner": "bash", "bash_script": "x",
             "public_logs": true }"#,
    );
    folder.build(&["--from", "@old.json", "--name", "new", "--public-logs=false"]).exits(0);
    assert_eq!(
        folder.written().0,
        r#"{"bash_script":"x","manifest_version":3,"name":"new","public_logs":false,"runner":"bash","zeta":{"a":[2],"b":1}}"#
    );
    let again = ["--from", "@out.json", "--force"];
    let before = folder.written().0;
    folder.build(&again).exits(0);
    assert_eq!(folder.written().0, before, "building from its own result changes nothing");
}

#[test]
fn build__should_drop_the_script_of_another_runner() {
    let folder = Folder::new();
    folder.build(&BASE).exits(0);
    let args = ["--from", "@out.json", "--runner", "bash", "--bash-script", "@script.sh", "--force"];
    folder.build(&args).exits(0);
    let (_, fields) = folder.written();
    assert_eq!(fields.get("docker_compose_file"), None);
    assert_eq!(fields["bash_script"], "echo \"hello\"\n");
}

#[test]
fn build__should_not_overwrite_unless_forced() {
    let folder = Folder::new();
    folder.write("out.json", "precious");
    assert!(folder.build(&BASE).exits(2).stderr.contains("--force"));
    assert_eq!(std::fs::read_to_string(folder.path("out.json")).unwrap(), "precious");
    folder.build(&[&BASE[..], &["--force"]].concat()).exits(0);
    assert_ne!(std::fs::read_to_string(folder.path("out.json")).unwrap(), "precious");
}

#[test]
fn build__should_write_to_standard_output() {
    let folder = Folder::new();
    folder.build(&BASE).exits(0);
    let compose = folder.path("docker-compose.yaml");
    let args =
        ["compose", "build", "--name", "app", "--output", "-", "--docker-compose", compose.to_str().unwrap()];
    let run = kmsctl(args).exits(0);
    assert_eq!(run.stdout, folder.written().0);
    assert!(run.stderr.ends_with(&hash_of(&folder.path("out.json"))), "{}", run.stderr);
}

#[test]
fn build__should_refuse_what_no_guest_could_boot() {
    let folder = Folder::new();
    std::fs::write(folder.path("latin1"), [0xe9]).unwrap();
    folder.write("array.json", "[]");
    for args in [
        &["--docker-compose", "@docker-compose.yaml"][..],
        &["--name", "app"],
        &["--name", "", "--docker-compose", "@docker-compose.yaml"],
        &["--name", "app", "--bash-script", "@script.sh"],
        &["--name", "app", "--runner", "bash", "--docker-compose", "@docker-compose.yaml"],
        &["--name", "app", "--docker-compose", "@latin1"],
        &["--name", "app", "--docker-compose", "@missing"],
        &["--from", "@array.json"],
        &["--name", "app", "--docker-compose", "@docker-compose.yaml", "--allowed-env", "KEY=secret"],
        &["--name", "app", "--docker-compose", "@docker-compose.yaml", "--swap-size", "2GB"],
    ] {
        folder.build(args).exits(2);
        assert!(!folder.path("out.json").exists(), "{args:?}");
    }
}

#[test]
fn build__should_tell_a_file_that_cannot_be_written_from_wrong_usage() {
    let folder = Folder::new();
    let output = folder.path("missing").join("out.json");
    let compose = folder.path("docker-compose.yaml");
    let args = ["compose", "build", "--name", "app", "--docker-compose"].map(std::ffi::OsString::from);
    let args = args.into_iter().chain([compose.into(), "--output".into(), output.into()]);
    kmsctl(args).exits(1);
}
