//! Takes a tree apart, key by key, and keeps going: every fault is collected, and what nobody took is unknown.
//!
//! ```text
//! Reader ─section("chain", ..)─▶ Section ─optional(key), or(key, default), required(key), number(key, bounds)─▶ value
//!                                   └─ at its end: the keys left over are faults
//! ```
//!
//! Each key that was asked for becomes a [`Setting`], given or not: the report and the test of the documented example
//! live on that. A value that is faulty stands in as its default, which no one sees, because a configuration with a
//! fault is never handed out. Never decides what keys there are: each section has a module of its own.

use std::time::Duration;

use super::fault::{ConfigFault, FaultCode, Faults, quoted};
use super::origin::Origin;
use super::tree::{Entry, Node, Table};
use super::value::{Bounds, Sink, Value};

/// A key that exists, what counts for it and where that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key with its sections: `chain.quorum`.
    pub key: String,
    /// The value that counts, as TOML and without credentials; none for what has no default and was not given.
    pub shown: Option<String>,
    /// Where it was given.
    pub origin: Origin,
}

impl Setting {
    /// Whether this is an `insecure_*` key that is on. The rule is the name, so that no such key can be forgotten.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        let name = self.key.rsplit('.').next().unwrap_or_default();
        let on = self.origin != Origin::NotGiven && self.shown.as_deref() != Some("false");
        name.starts_with("insecure_") && on
    }
}

/// What a key holds.
pub(super) enum Read<T> {
    /// Nothing: it was not given.
    Absent,
    /// Something that was reported.
    Faulty,
    /// A value.
    Given(T),
}

impl<T> Read<T> {
    /// The value, if there is one.
    pub(super) fn given(self) -> Option<T> {
        match self {
            Self::Given(value) => Some(value),
            Self::Absent | Self::Faulty => None,
        }
    }

    /// Whether it was not given at all.
    pub(super) const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// What is gathered while reading.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) faults: Faults,
    pub(super) settings: Vec<Setting>,
}

impl Reader {
    /// Reads the whole tree as one section without a name.
    pub(super) fn read<T>(&mut self, table: Table, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        Section { reader: self, path: String::new(), table, known: Vec::new() }.finish(read)
    }

    /// A fault at a key that was read.
    pub(super) fn fault(&mut self, code: FaultCode, key: &str, found: impl Into<String>, expected: &str) {
        let setting = self.settings.iter().find(|setting| setting.key == key);
        let origin = setting.map_or(Origin::NotGiven, |setting| setting.origin.clone());
        let (key, expected) = (key.to_owned(), expected.to_owned());
        self.faults.push(ConfigFault { code, key, origin, found: found.into(), expected });
    }
}

/// A table that is being read.
pub(super) struct Section<'a> {
    reader: &'a mut Reader,
    path: String,
    table: Table,
    known: Vec<String>,
}

impl Section<'_> {
    fn finish<T>(mut self, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let value = read(&mut self);
        let expected = format!("one of {}", self.known.join(", "));
        for (key, Entry { origin, .. }) in std::mem::take(&mut self.table) {
            let (code, key) = (FaultCode::UnknownKey, self.key(&shown_key(&key)));
            let (found, expected) = ("a key that does not exist".to_owned(), expected.clone());
            self.reader.faults.push(ConfigFault { code, key, origin, found, expected });
        }
        value
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn take(&mut self, key: &str) -> Option<Entry> {
        self.known.push(key.to_owned());
        self.table.remove(key)
    }

    fn note(&mut self, key: &str, shown: Option<String>, origin: Origin) {
        let key = self.key(key);
        self.reader.settings.push(Setting { key, shown, origin });
    }

    /// A fault at a key of this section that was read.
    pub(super) fn fault(&mut self, code: FaultCode, key: &str, found: impl Into<String>, expected: &str) {
        let key = self.key(key);
        self.reader.fault(code, &key, found, expected);
    }

    /// The table at a key; an empty one where it is not given, so that its own keys say what they lack.
    pub(super) fn section<T>(&mut self, key: &str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let path = self.key(key);
        let table = match self.take(key) {
            None => Table::new(),
            Some(Entry { node: Node::Table(table), .. }) => table,
            Some(Entry { node, origin }) => {
                let (found, expected) = (node.describe(), "a section".to_owned());
                let code = FaultCode::WrongType;
                self.reader.faults.push(ConfigFault { code, key: path.clone(), origin, found, expected });
                Table::new()
            }
        };
        Section { reader: self.reader, path, table, known: Vec::new() }.finish(read)
    }

    /// The list of tables at a key.
    pub(super) fn tables<T>(
        &mut self,
        key: &str,
        mut read: impl FnMut(&mut Section<'_>) -> Option<T>,
    ) -> Read<Vec<T>> {
        let Some(Entry { node, origin }) = self.take(key) else {
            self.note(key, None, Origin::NotGiven);
            return Read::Absent;
        };
        let node = match node {
            Node::Raw(text) => Node::parse_raw(&text, &origin).unwrap_or(Node::Raw(text)),
            node => node,
        };
        self.note(key, Some(node.describe()), origin);
        let Node::List(items) = node else {
            self.fault(FaultCode::WrongType, key, node.describe(), "a list of tables");
            return Read::Faulty;
        };
        let count = items.len();
        let values: Vec<T> = items
            .into_iter()
            .enumerate()
            .filter_map(|(at, item)| self.item(key, at, item, &mut read))
            .collect();
        if values.len() == count { Read::Given(values) } else { Read::Faulty }
    }

    fn item<T>(
        &mut self,
        key: &str,
        at: usize,
        Entry { node, origin }: Entry,
        read: &mut impl FnMut(&mut Section<'_>) -> Option<T>,
    ) -> Option<T> {
        let path = format!("{}[{at}]", self.key(key));
        if let Node::Table(table) = node {
            return Section { reader: self.reader, path, table, known: Vec::new() }.finish(read);
        }
        let (found, expected) = (node.describe(), "a table".to_owned());
        let code = FaultCode::WrongType;
        self.reader.faults.push(ConfigFault { code, key: path, origin, found, expected });
        None
    }

    fn read_as<T>(
        &mut self,
        key: &str,
        default: Option<String>,
        read: impl FnOnce(&mut Sink<'_>, &Node) -> Option<T>,
        show: impl FnOnce(&T) -> String,
    ) -> Read<T> {
        let Some(Entry { node, origin }) = self.take(key) else {
            self.note(key, default, Origin::NotGiven);
            return Read::Absent;
        };
        let path = self.key(key);
        let value = read(&mut Sink::new(path, &origin, &mut self.reader.faults), &node);
        self.note(key, value.as_ref().map(show), origin);
        value.map_or(Read::Faulty, Read::Given)
    }

    /// A value that need not be given.
    pub(super) fn optional<T: Value>(&mut self, key: &str) -> Read<T> {
        self.read_as(key, None, T::read, T::show)
    }

    /// A value with a default.
    pub(super) fn or<T: Value>(&mut self, key: &str, default: T) -> T {
        self.read_as(key, Some(default.show()), T::read, T::show).given().unwrap_or(default)
    }

    /// A value that must be given.
    pub(super) fn required<T: Value>(&mut self, key: &str) -> Option<T> {
        let read = self.optional(key);
        self.demand(key, &read, T::EXPECTED);
        read.given()
    }

    /// Reports a key that must be given and is not.
    pub(super) fn demand<T>(&mut self, key: &str, read: &Read<T>, expected: &str) {
        if read.is_absent() {
            self.fault(FaultCode::MissingKey, key, "nothing", expected);
        }
    }

    /// A number within bounds, or their default.
    pub(super) fn number(&mut self, key: &str, bounds: Bounds) -> u64 {
        let read = |sink: &mut Sink<'_>, node: &Node| bounds.read(sink, node);
        let read = self.read_as(key, Some(bounds.default.to_string()), read, u64::to_string);
        read.given().unwrap_or(bounds.default)
    }

    /// A number within bounds that need not be given.
    pub(super) fn optional_number(&mut self, key: &str, bounds: Bounds) -> Read<u64> {
        let read = |sink: &mut Sink<'_>, node: &Node| bounds.read(sink, node);
        self.read_as(key, None, read, u64::to_string)
    }

    /// A number within bounds that has no default.
    pub(super) fn required_number(&mut self, key: &str, bounds: Bounds) -> Option<u64> {
        let read = self.optional_number(key, bounds);
        self.demand(key, &read, &bounds.expected());
        read.given()
    }

    /// A number of things.
    pub(super) fn count(&mut self, key: &str, bounds: Bounds) -> usize {
        usize::try_from(self.number(key, bounds)).unwrap_or(usize::MAX)
    }

    /// A time in seconds.
    pub(super) fn seconds(&mut self, key: &str, bounds: Bounds) -> Duration {
        Duration::from_secs(self.number(key, bounds))
    }

    /// A time in milliseconds.
    pub(super) fn millis(&mut self, key: &str, bounds: Bounds) -> Duration {
        Duration::from_millis(self.number(key, bounds))
    }

    /// One of a few words; the first is the default.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, default: (&str, T), others: &[(&str, T)]) -> T {
        let all = || std::iter::once(&default).chain(others);
        let read = |sink: &mut Sink<'_>, node: &Node| {
            let text = sink.text(node, "a word")?;
            let chosen = all().find(|(word, _)| *word == text).copied();
            if chosen.is_none() {
                let words: Vec<String> = all().map(|(word, _)| quoted(word)).collect();
                sink.fault(FaultCode::InvalidValue, quoted(text), format!("one of {}", words.join(", ")));
            }
            chosen
        };
        let read = self.read_as(key, Some(quoted(default.0)), read, |(word, _)| quoted(word));
        read.given().unwrap_or(default).1
    }

    /// A value that somebody else reads: what `accept` takes first, of what it may mean.
    pub(super) fn json(
        &mut self,
        key: &str,
        default: &serde_json::Value,
        accept: impl Fn(&serde_json::Value) -> Result<(), String>,
    ) -> serde_json::Value {
        let read = |sink: &mut Sink<'_>, node: &Node| sink.json(node, &accept);
        let shown = (!default.is_null()).then(|| default.to_string());
        self.read_as(key, shown, read, ToString::to_string).given().unwrap_or_else(|| default.clone())
    }
}

/// A key as TOML writes it.
fn shown_key(key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if key.len() <= 64 && !key.is_empty() && key.bytes().all(bare) { key.to_owned() } else { quoted(key) }
}
