//! `kmsctl compose`: `app-compose.json`, whose bytes are an app's code identity.

mod build;
mod fields;
mod values;

use kms_attestation::compose::{app_id_without_contract, compose_hash};
use kms_attestation::ids::{AppId, ComposeHash};
use serde::Serialize;
use serde_json::{Map, Value};

pub(crate) use self::build::build;
pub(crate) use self::fields::ComposeError;
pub(crate) use self::values::{parse_env_name, parse_key_provider_id, parse_swap_size};
use crate::cli::HashArgs;
use crate::error::CtlError;
use crate::input;
use crate::outcome::{self, Exit, Outcome};

#[derive(Serialize)]
struct Hashed {
    compose_hash: ComposeHash,
    app_id_without_contract: AppId,
}

/// Prints the hash of a file's exact bytes.
pub(crate) fn hash(args: &HashArgs) -> Result<Outcome, CtlError> {
    let content = input::read(&args.file)?;
    let compose_hash = compose_hash(&content);
    let stdout = if args.json {
        outcome::json(&Hashed {
            compose_hash,
            app_id_without_contract: app_id_without_contract(&compose_hash),
        })?
    } else {
        format!("{compose_hash}\n").into_bytes()
    };
    Ok(Outcome { exit: Exit::Done, stdout, stderr: remark(&content) })
}

/// A word to those who hash docker-compose.yaml, which is only one field of what is measured.
fn remark(content: &[u8]) -> String {
    match serde_json::from_slice::<Map<String, Value>>(content) {
        Ok(map) if map.contains_key("manifest_version") => String::new(),
        _ => "note: this is no app-compose.json; the compose hash of an app is that of app-compose.json\n"
            .into(),
    }
}
