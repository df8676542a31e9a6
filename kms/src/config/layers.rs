//! The three layers of a configuration as one tree: the file, then the environment, then the flags; later wins.
//!
//! ```text
//! kms.toml                          [chain]
//!                                   quorum = 2
//! environment, prefix KMS_NODE__    KMS_NODE__CHAIN__QUORUM=2      two underscores separate
//! flags                             --set chain.quorum=2
//! ```
//!
//! An override names one key below a section, never a whole section. A single underscore after `KMS_NODE` is not ours:
//! container platforms put `KMS_NODE_PORT` there. Never judges a value. Threat: a hostile file, an override that is lost.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use super::fault::{ConfigFault, FaultCode, Faults, quoted};
use super::origin::Origin;
use super::tree::{Entry, MAX_DEPTH, Node, Table, convert_table};

/// The largest file, in bytes. The documented example has less than a tenth of it.
pub const MAX_FILE_BYTES: usize = 256 * 1024;
/// The longest value of an override, in bytes.
pub const MAX_OVERRIDE_BYTES: usize = 16 * 1024;
/// What the environment variables of the configuration begin with.
pub const ENVIRONMENT_PREFIX: &str = "KMS_NODE__";

/// Reads at most `max` bytes of a file; `None` where it has more.
pub(super) fn read_bounded(path: &Path, max: usize) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(max as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= max).then_some(bytes))
}

/// A fault of the file as a whole, or at a line of it.
fn file_fault(code: FaultCode, origin: Origin, found: impl Into<String>, expected: &str) -> ConfigFault {
    ConfigFault {
        code,
        key: "the file".to_owned(),
        origin,
        found: found.into(),
        expected: expected.to_owned(),
    }
}

/// The file's values. A file that does not parse has none, and all its syntax errors are reported.
pub(super) fn read_file(path: &Path, faults: &mut Faults) -> Table {
    let name: Arc<str> = path.display().to_string().into();
    match read_bounded(path, MAX_FILE_BYTES) {
        Ok(Some(bytes)) => return parse_file(&name, &bytes, faults),
        Ok(None) => faults.push(too_large(name)),
        Err(error) => {
            let origin = Origin::File { file: name, line: 1 };
            faults.push(file_fault(FaultCode::Unreadable, origin, error.to_string(), "a readable file"));
        }
    }
    Table::new()
}

fn too_large(file: Arc<str>) -> ConfigFault {
    let (origin, expected) = (Origin::File { file, line: 1 }, format!("at most {MAX_FILE_BYTES} bytes"));
    file_fault(FaultCode::TooLarge, origin, "more", &expected)
}

/// As [`read_file`], for a file that was read.
pub(super) fn parse_file(name: &Arc<str>, bytes: &[u8], faults: &mut Faults) -> Table {
    if bytes.len() > MAX_FILE_BYTES {
        faults.push(too_large(Arc::clone(name)));
        return Table::new();
    }
    let lines = Lines::of(name, bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let origin = lines.origin(error.valid_up_to());
            faults.push(file_fault(FaultCode::NotText, origin, "bytes that are not UTF-8", "UTF-8"));
            return Table::new();
        }
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return convert_table(document.get_ref(), &|at| lines.origin(at), MAX_DEPTH);
    }
    for error in errors {
        // The error's own `Display` repeats the line, which may hold a credential.
        let origin = lines.origin(error.span().map_or(0, |span| span.start));
        faults.push(file_fault(FaultCode::Syntax, origin, error.message(), "TOML"));
    }
    Table::new()
}

/// Where the lines of a text begin.
struct Lines {
    file: Arc<str>,
    ends: Vec<usize>,
}

impl Lines {
    fn of(file: &Arc<str>, bytes: &[u8]) -> Self {
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
        Self { file: Arc::clone(file), ends }
    }

    fn origin(&self, at: usize) -> Origin {
        let line = self.ends.partition_point(|end| *end < at) + 1;
        Origin::File { file: Arc::clone(&self.file), line }
    }
}

/// Lays the environment over the tree. Other variables are not looked at.
pub(super) fn apply_environment<K, V>(
    tree: &mut Table,
    environment: impl IntoIterator<Item = (K, V)>,
    faults: &mut Faults,
) where
    K: Into<OsString>,
    V: Into<OsString>,
{
    // Sorted: the order of an environment is chance, that of the faults should not be.
    let ours: BTreeMap<String, OsString> = environment
        .into_iter()
        .map(|(name, value)| (name.into().to_string_lossy().into_owned(), value.into()))
        .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX))
        .collect();
    for (name, value) in ours {
        let path = name.strip_prefix(ENVIRONMENT_PREFIX).and_then(environment_path);
        let origin = Origin::Environment(quoted(&name).trim_matches('"').to_owned());
        let Some(path) = path else {
            faults.push(bad_override(origin, "a name that is no key"));
            continue;
        };
        match value.into_string() {
            Ok(value) => set(tree, &path, value, &origin, faults),
            Err(_) => faults.push(override_fault(FaultCode::NotText, &path, origin, "no UTF-8", "UTF-8")),
        }
    }
}

/// Lays `section.key=value` over the tree, in the order given.
pub(super) fn apply_flags(tree: &mut Table, flags: &[String], faults: &mut Faults) {
    for (number, flag) in (1..).zip(flags) {
        let origin = Origin::Flag(number);
        // What is malformed is not repeated: it may be a value that lost its key.
        match flag.split_once('=').and_then(|(path, value)| Some((flag_path(path)?, value))) {
            Some((path, value)) => set(tree, &path, value.to_owned(), &origin, faults),
            None => faults.push(bad_override(origin, "something else than section.key=value")),
        }
    }
}

fn environment_path(name: &str) -> Option<Vec<String>> {
    let upper = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let path: Vec<String> = name.split("__").map(str::to_ascii_lowercase).collect();
    is_path(&path, name.bytes().all(upper)).then_some(path)
}

fn flag_path(name: &str) -> Option<Vec<String>> {
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.".contains(&byte);
    let path: Vec<String> = name.trim().split('.').map(str::to_owned).collect();
    is_path(&path, name.trim().bytes().all(lower)).then_some(path)
}

fn is_path(path: &[String], characters: bool) -> bool {
    characters && (2..=MAX_DEPTH).contains(&path.len()) && path.iter().all(|key| !key.is_empty())
}

fn bad_override(origin: Origin, found: &str) -> ConfigFault {
    override_fault(FaultCode::BadOverride, &[], origin, found, "the name of a key within a section")
}

fn override_fault(
    code: FaultCode,
    path: &[String],
    origin: Origin,
    found: &str,
    expected: &str,
) -> ConfigFault {
    let key = if path.is_empty() { "an override".to_owned() } else { path.join(".") };
    ConfigFault { code, key, origin, found: found.to_owned(), expected: expected.to_owned() }
}

fn set(tree: &mut Table, path: &[String], value: String, origin: &Origin, faults: &mut Faults) {
    if value.len() > MAX_OVERRIDE_BYTES {
        let expected = format!("at most {MAX_OVERRIDE_BYTES} bytes");
        faults.push(override_fault(FaultCode::TooLarge, path, origin.clone(), "more", &expected));
    } else if !insert(tree, path, Entry { node: Node::Raw(value), origin: origin.clone() }) {
        let found = "a key below a value that is no section";
        faults.push(override_fault(
            FaultCode::BadOverride,
            path,
            origin.clone(),
            found,
            "a key within a section",
        ));
    }
}

/// Whether there was a place for it.
fn insert(table: &mut Table, path: &[String], entry: Entry) -> bool {
    match path {
        [] => false,
        [key] => {
            table.insert(key.clone(), entry);
            true
        }
        [key, rest @ ..] => {
            let fresh = || Entry { node: Node::Table(Table::new()), origin: entry.origin.clone() };
            match &mut table.entry(key.clone()).or_insert_with(fresh).node {
                Node::Table(table) => insert(table, rest, entry),
                _ => false,
            }
        }
    }
}
