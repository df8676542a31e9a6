//! The fields of `app-compose.json`: which there are, what a new file says, and what must hold between them.
//!
//! Names, types and defaults are those of `AppCompose` in dstack's `dstack-types/src/lib.rs`, and, for the two
//! scripts, of the guest's boot. A new file states every yes-or-no field rather than rely on defaults, which are the
//! guest's and may change between guests while the hash stays the same. Fields that are not known here are kept.

use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::cli::{BuildArgs, Switches};

/// The version of the format that a new file has: what dstack's own tool writes and every guest reads.
const MANIFEST_VERSION: u32 = 2;

/// The fields by name.
pub(super) type Fields = Map<String, Value>;

/// Arguments that do not make an `app-compose.json`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ComposeError {
    /// The file to begin with is no JSON object.
    #[error("{} is not an app-compose.json: {source}", .path.display())]
    NotAnObject { path: PathBuf, source: serde_json::Error },
    /// A file that becomes a field of text is not text.
    #[error("{} is not UTF-8 text", .path.display())]
    NotText { path: PathBuf },
    /// A field without which no guest boots the app.
    #[error("app-compose.json needs {field}; give {option}")]
    Missing { field: &'static str, option: &'static str },
    /// A script that the runner would ignore.
    #[error("the runner {runner} does not run {field}; give --runner {needed}")]
    WrongRunner { runner: String, field: &'static str, needed: &'static str },
}

/// The contents of the files that become fields.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) docker_compose_file: Option<String>,
    pub(super) bash_script: Option<String>,
    pub(super) pre_launch_script: Option<String>,
}

/// What a new file says unless told otherwise.
pub(super) fn defaults() -> Fields {
    let fields = json!({
        "manifest_version": MANIFEST_VERSION,
        "runner": "docker-compose",
        "kms_enabled": false,
        "gateway_enabled": false,
        "local_key_provider_enabled": false,
        "key_provider_id": "",
        "public_logs": false,
        "public_sysinfo": false,
        "public_tcbinfo": true,
        "allowed_envs": [],
        "no_instance_id": false,
        "secure_time": true,
    });
    fields.as_object().cloned().unwrap_or_default()
}

/// The document: the given fields, with what the arguments say in their place.
pub(super) fn assemble(mut fields: Fields, args: &BuildArgs, texts: &Texts) -> Result<Value, ComposeError> {
    let given = given_fields(args, texts);
    fields.extend(given.into_iter().filter(|(_, value)| !value.is_null()).map(|(k, v)| (k.to_owned(), v)));
    settle_runner(&mut fields, texts)?;
    require(&fields, "manifest_version", "--from with a complete file")?;
    require(&fields, "name", "--name")?;
    Ok(Value::Object(fields))
}

/// Every field that the arguments can set; null where they do not.
fn given_fields(args: &BuildArgs, texts: &Texts) -> Vec<(&'static str, Value)> {
    let mut given = vec![
        ("name", json!(args.name)),
        ("runner", word(args.runner)),
        ("docker_compose_file", json!(texts.docker_compose_file)),
        ("bash_script", json!(texts.bash_script)),
        ("pre_launch_script", json!(texts.pre_launch_script)),
        ("allowed_envs", env_names(&args.allowed_envs)),
        ("key_provider", word(args.key_provider)),
        ("key_provider_id", json!(args.key_provider_id)),
        ("storage_fs", word(args.storage_fs)),
        ("swap_size", json!(args.swap_size)),
    ];
    given.extend(given_switches(&args.switches));
    given
}

fn given_switches(switches: &Switches) -> [(&'static str, Value); 8] {
    [
        ("kms_enabled", json!(switches.kms_enabled)),
        ("gateway_enabled", json!(switches.gateway_enabled)),
        ("local_key_provider_enabled", json!(switches.local_key_provider_enabled)),
        ("public_logs", json!(switches.public_logs)),
        ("public_sysinfo", json!(switches.public_sysinfo)),
        ("public_tcbinfo", json!(switches.public_tcbinfo)),
        ("no_instance_id", json!(switches.no_instance_id)),
        ("secure_time", json!(switches.secure_time)),
    ]
}

/// The word of a choice, as it stands on the command line and in the file.
fn word(choice: Option<impl ValueEnum>) -> Value {
    let value = choice.and_then(|choice| choice.to_possible_value());
    json!(value.map(|value| value.get_name().to_owned()))
}

/// The names as the set that they are: the order in which they were given must not change the hash.
fn env_names(names: &[String]) -> Value {
    let names: std::collections::BTreeSet<_> = names.iter().collect();
    if names.is_empty() { Value::Null } else { json!(names) }
}

/// Keeps the script that the runner runs, and drops one that an earlier runner ran.
fn settle_runner(fields: &mut Fields, texts: &Texts) -> Result<(), ComposeError> {
    let runner = fields.get("runner").and_then(Value::as_str).unwrap_or_default().to_owned();
    let wrong = |field, needed| Err(ComposeError::WrongRunner { runner: runner.clone(), field, needed });
    match runner.as_str() {
        "docker-compose" if texts.bash_script.is_some() => wrong("the bash script", "bash"),
        "bash" if texts.docker_compose_file.is_some() => wrong("the compose file", "docker-compose"),
        "docker-compose" => {
            fields.remove("bash_script");
            require(fields, "docker_compose_file", "--docker-compose")
        }
        "bash" => {
            fields.remove("docker_compose_file");
            require(fields, "bash_script", "--bash-script")
        }
        _ => require(fields, "runner", "--runner"),
    }
}

/// Checks that the document has a field that is not empty.
fn require(fields: &Fields, field: &'static str, option: &'static str) -> Result<(), ComposeError> {
    match fields.get(field) {
        None | Some(Value::Null) => Err(ComposeError::Missing { field, option }),
        Some(Value::String(text)) if text.is_empty() => Err(ComposeError::Missing { field, option }),
        Some(_) => Ok(()),
    }
}

/// Whether the app asks a KMS for its keys, as the guest reads the fields.
pub(super) fn uses_kms(document: &Value) -> bool {
    match document.get("key_provider").and_then(Value::as_str) {
        Some(provider) => provider == "kms",
        None => document.get("kms_enabled") == Some(&Value::Bool(true)),
    }
}
