//! `kmsctl env encrypt`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use kms_client::env::{EnvContext, EnvVars};
use kms_client::signature::{EnvKeyStatement, Freshness, RecoverableSignature};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::args::EncryptArgs;
use super::error::EnvCommandError;
use super::{dotenv, files};
use crate::error::CtlError;
use crate::input;
use crate::outcome::Outcome;

const UNPROVEN: &str = "note: nothing here proves that this public key is the app's; \
                        --root-key, --signature and --timestamp do\n";

/// Encrypts variables and writes the blob, in hexadecimal.
pub(super) fn encrypt(args: &EncryptArgs) -> Result<Outcome, CtlError> {
    let proven = check_proof(args)?;
    let vars = read_vars(args)?;
    if let Some(compose) = &args.compose {
        check_allowed(&vars, compose)?;
    }
    let context = EnvContext { app_id: args.app, epoch: args.epoch };
    let blob = vars.seal(args.format.into(), &context, &args.public_key).map_err(EnvCommandError::from)?;
    let text = format!("{}\n", hex::encode(blob));
    let mut outcome = files::write(&args.output, text.as_bytes(), files::Readers::Umask, args.force)?;
    if proven == Proof::None {
        outcome.stderr.insert_str(0, UNPROVEN);
    }
    Ok(outcome)
}

#[derive(PartialEq, Eq)]
enum Proof {
    Signed,
    None,
}

/// Refuses a public key that the KMS did not sign for this app, epoch and hour, where there is a signature.
fn check_proof(args: &EncryptArgs) -> Result<Proof, EnvCommandError> {
    let proof = &args.proof;
    let (Some(root), Some(signature), Some(timestamp)) = (proof.root_key, &proof.signature, proof.timestamp)
    else {
        return Ok(Proof::None);
    };
    let signature = signature.strip_prefix("0x").unwrap_or(signature);
    let signature = hex::decode(signature).map_err(|_| EnvCommandError::SignatureHex)?;
    let signature = RecoverableSignature::from_bytes(&signature)?;
    let statement =
        EnvKeyStatement { app_id: args.app, epoch: args.epoch, timestamp, public_key: args.public_key };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    statement.verify(&signature, &root, now, Freshness::default())?;
    Ok(Proof::Signed)
}

fn read_vars(args: &EncryptArgs) -> Result<EnvVars, CtlError> {
    let mut vars = EnvVars::new();
    if let Some(path) = &args.env_file {
        let place = path.display().to_string();
        let content = Zeroizing::new(input::read(path)?);
        let not_text = |_| EnvCommandError::Line { place: place.clone(), found: "no UTF-8 text" };
        dotenv::parse(&mut vars, std::str::from_utf8(&content).map_err(not_text)?, &place)?;
    }
    for (index, variable) in args.variables.iter().enumerate() {
        dotenv::parse_argument(&mut vars, variable, index + 1)?;
    }
    Ok(vars)
}

#[derive(Deserialize)]
struct AllowedEnvs {
    allowed_envs: BTreeSet<String>,
}

/// Refuses variables that the guest would drop.
fn check_allowed(vars: &EnvVars, compose: &Path) -> Result<(), CtlError> {
    let list = serde_json::from_slice::<AllowedEnvs>(&input::read(compose)?);
    let list = list.map_err(|_| EnvCommandError::NoAllowedEnvs { path: compose.to_owned() })?;
    match vars.names().find(|name| !list.allowed_envs.contains(name.as_str())) {
        Some(name) => {
            let name = name.as_str().to_owned();
            Err(EnvCommandError::NotAllowed { name, path: compose.to_owned() }.into())
        }
        None => Ok(()),
    }
}
