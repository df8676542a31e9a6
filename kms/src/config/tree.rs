//! Values before they mean anything: a tree in which each value knows where it was given.
//!
//! The file and the overrides become one tree, which the reader takes apart key by key. Nesting is bounded, because
//! reading and dropping a tree recurse. Never interprets a value but by its form. Threat: a file that is deep or large.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::origin::Origin;

/// The deepest nesting that is read. The configuration needs four levels: `attestation.pccs[0].url`.
pub(super) const MAX_DEPTH: usize = 8;

/// The values of a table, by key.
pub(super) type Table = BTreeMap<String, Entry>;

/// A value and where it was given.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) node: Node,
    pub(super) origin: Origin,
}

/// A value by its form.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Table(Table),
    List(Vec<Entry>),
    Text(String),
    Integer(i128),
    Boolean(bool),
    /// The text of an override. What is expected in its place says what it means.
    Raw(String),
    /// What no key takes: a date, a fraction, too deep a nesting.
    Other(&'static str),
}

impl Node {
    /// The form, for people. Never the value of a text, which may hold a credential.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Table(_) => "a table".to_owned(),
            Self::List(items) => format!("a list of {}", items.len()),
            Self::Text(_) | Self::Raw(_) => "a text".to_owned(),
            Self::Integer(number) => format!("the number {number}"),
            Self::Boolean(value) => value.to_string(),
            Self::Other(what) => (*what).to_owned(),
        }
    }

    /// An override's text as the TOML value that it may be: a list needs brackets, as in the file.
    pub(super) fn parse_raw(text: &str, origin: &Origin) -> Option<Self> {
        let value = DeValue::parse(text).ok()?;
        Some(convert(value.get_ref(), &|_| origin.clone(), MAX_DEPTH))
    }
}

/// A parsed document as a tree; `origin_at` says where a byte of the text stands.
pub(super) fn convert_table(table: &DeTable<'_>, origin_at: &dyn Fn(usize) -> Origin, depth: usize) -> Table {
    let entry = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
        let node = convert(value.get_ref(), origin_at, depth);
        (key.get_ref().to_string(), Entry { node, origin: origin_at(key.span().start) })
    };
    table.iter().map(entry).collect()
}

fn convert(value: &DeValue<'_>, origin_at: &dyn Fn(usize) -> Origin, depth: usize) -> Node {
    match (value, depth.checked_sub(1)) {
        (DeValue::Table(_) | DeValue::Array(_), None) => Node::Other("too deep a nesting"),
        (DeValue::Table(table), Some(depth)) => Node::Table(convert_table(table, origin_at, depth)),
        (DeValue::Array(items), Some(depth)) => {
            let item = |item: &Spanned<DeValue<'_>>| Entry {
                node: convert(item.get_ref(), origin_at, depth),
                origin: origin_at(item.span().start),
            };
            Node::List(items.iter().map(item).collect())
        }
        (DeValue::String(text), _) => Node::Text(text.to_string()),
        (DeValue::Boolean(value), _) => Node::Boolean(*value),
        (DeValue::Integer(number), _) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or(Node::Other("a number of more than 128 bits"), Node::Integer),
        (DeValue::Float(_), _) => Node::Other("a fraction"),
        (DeValue::Datetime(_), _) => Node::Other("a date"),
    }
}
