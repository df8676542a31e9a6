//! `kmsctl compose build`: reads the parts, writes `app-compose.json`, prints the hash of what it wrote.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use kms_attestation::compose::{canonical, compose_hash};

use super::fields::{ComposeError, Fields, Texts, assemble, defaults, uses_kms};
use crate::cli::BuildArgs;
use crate::error::CtlError;
use crate::input;
use crate::outcome::{Exit, Outcome};

const WITHOUT_KMS: &str =
    "note: this app asks no KMS for keys, and gets no encrypted environment; --kms-enabled changes that\n";

/// Writes the file and prints its hash; the hash goes to standard error where the file goes to standard output.
pub(crate) fn build(args: &BuildArgs) -> Result<Outcome, CtlError> {
    let fields = args.from.as_deref().map_or_else(|| Ok(defaults()), read_fields)?;
    let document = assemble(fields, args, &read_texts(args)?)?;
    let content = canonical(&document).into_bytes();
    let hash = format!("{}\n", compose_hash(&content));
    let remark = if uses_kms(&document) { "" } else { WITHOUT_KMS };
    if args.output == Path::new("-") {
        return Ok(Outcome { exit: Exit::Done, stdout: content, stderr: format!("{remark}{hash}") });
    }
    write(&args.output, &content, args.force)?;
    let stderr = format!("{remark}wrote {}\n", args.output.display());
    Ok(Outcome { exit: Exit::Done, stdout: hash.into_bytes(), stderr })
}

fn read_fields(path: &Path) -> Result<Fields, CtlError> {
    let content = input::read(path)?;
    let fields = serde_json::from_slice(&content);
    Ok(fields.map_err(|source| ComposeError::NotAnObject { path: path.to_owned(), source })?)
}

fn read_texts(args: &BuildArgs) -> Result<Texts, CtlError> {
    let read = |path: &Option<_>| path.as_deref().map(read_text).transpose();
    Ok(Texts {
        docker_compose_file: read(&args.docker_compose)?,
        bash_script: read(&args.bash_script)?,
        pre_launch_script: read(&args.pre_launch_script)?,
    })
}

/// A file's text to the byte: line ends and white space are part of what the guest runs.
fn read_text(path: &Path) -> Result<String, CtlError> {
    let content = input::read(path)?;
    Ok(String::from_utf8(content).map_err(|_| ComposeError::NotText { path: path.to_owned() })?)
}

/// Writes a file, which must be new unless forced.
fn write(path: &Path, content: &[u8], force: bool) -> Result<(), CtlError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).create_new(!force);
    let written = options.open(path).and_then(|mut file| file.write_all(content));
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => CtlError::Exists { path: path.to_owned() },
        _ => CtlError::NotWritten { path: path.to_owned(), source },
    })
}
