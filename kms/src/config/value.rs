//! From a value's form to its meaning: the types that several keys share.
//!
//! A reader of a value reports its faults itself, with the place, so that a list reports each of its bad members. `show`
//! is what the report prints: a type that may hold a credential shows none of it. Called by the reader alone.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::fault::{ConfigFault, FaultCode, Faults, quoted};
use super::origin::Origin;
use super::tree::{Entry, Node};

/// The longest path, in bytes: Linux's own limit.
const MAX_PATH_BYTES: usize = 4096;
/// The most members of a list.
const MAX_LIST: usize = 64;

/// A type that a key can hold.
pub(super) trait Value: Sized {
    /// What is expected, for people.
    const EXPECTED: &'static str;

    /// The value, or none after its faults were reported.
    fn read(sink: &mut Sink<'_>, node: &Node) -> Option<Self>;

    /// The value as TOML, without credentials.
    fn show(&self) -> String;
}

/// Where a value's faults go.
pub(super) struct Sink<'a> {
    key: String,
    origin: &'a Origin,
    faults: &'a mut Faults,
}

impl<'a> Sink<'a> {
    pub(super) const fn new(key: String, origin: &'a Origin, faults: &'a mut Faults) -> Self {
        Self { key, origin, faults }
    }

    pub(super) fn fault(&mut self, code: FaultCode, found: impl Into<String>, expected: impl Into<String>) {
        let (key, origin) = (self.key.clone(), self.origin.clone());
        self.faults.push(ConfigFault { code, key, origin, found: found.into(), expected: expected.into() });
    }

    /// The text of a value; an override is text as it stands.
    pub(super) fn text<'n>(&mut self, node: &'n Node, expected: &str) -> Option<&'n str> {
        match node {
            Node::Text(text) | Node::Raw(text) => Some(text),
            other => {
                self.fault(FaultCode::WrongType, other.describe(), expected);
                None
            }
        }
    }

    /// A value that its text makes.
    pub(super) fn parsed<T: Value>(
        &mut self,
        node: &Node,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(node, T::EXPECTED)?;
        let value = parse(text);
        if value.is_none() {
            self.fault(FaultCode::InvalidValue, quoted(text), T::EXPECTED);
        }
        value
    }

    /// A value as JSON, for a type of another crate; an override may mean a TOML value or the text itself.
    pub(super) fn json(
        &mut self,
        node: &Node,
        accept: &impl Fn(&serde_json::Value) -> Result<(), String>,
    ) -> Option<serde_json::Value> {
        let meanings = match node {
            Node::Raw(text) => {
                let parsed = Node::parse_raw(text, self.origin);
                parsed.into_iter().chain([Node::Text(text.clone())]).collect()
            }
            node => vec![node.clone()],
        };
        let mut refusal = None;
        for meaning in &meanings {
            let json = to_json(meaning).ok_or_else(|| meaning.describe());
            match json.and_then(|json| accept(&json).map(|()| json)) {
                Ok(json) => return Some(json),
                Err(why) => refusal = refusal.or(Some(why)),
            }
        }
        let found = refusal.map(|why| quoted(&why)).unwrap_or_default();
        self.fault(FaultCode::InvalidValue, found, "what the policy's key takes");
        None
    }
}

fn to_json(node: &Node) -> Option<serde_json::Value> {
    Some(match node {
        Node::Text(text) | Node::Raw(text) => text.as_str().into(),
        Node::Integer(number) => u64::try_from(*number).ok()?.into(),
        Node::Boolean(value) => (*value).into(),
        Node::List(items) => items.iter().map(|item| to_json(&item.node)).collect::<Option<Vec<_>>>()?.into(),
        Node::Table(_) | Node::Other(_) => return None,
    })
}

/// The range of a number, in the unit that its key names, and what counts where it is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// What counts where the key is not given; of no meaning for a key that must be given.
    pub default: u64,
    /// The least.
    pub min: u64,
    /// The greatest.
    pub max: u64,
}

impl Bounds {
    /// A default between bounds.
    #[must_use]
    pub const fn new(default: u64, min: u64, max: u64) -> Self {
        Self { default, min, max }
    }

    pub(super) fn expected(self) -> String {
        format!("a number from {} to {}", self.min, self.max)
    }

    pub(super) fn read(self, sink: &mut Sink<'_>, node: &Node) -> Option<u64> {
        let (number, found) = match node {
            Node::Integer(number) => (Some(*number), String::new()),
            Node::Raw(text) => {
                (text.trim().replace('_', "").parse().ok(), "a text that is no number".to_owned())
            }
            other => (None, other.describe()),
        };
        let Some(number) = number else {
            sink.fault(FaultCode::WrongType, found, self.expected());
            return None;
        };
        let value = u64::try_from(number).ok().filter(|value| (self.min..=self.max).contains(value));
        if value.is_none() {
            sink.fault(FaultCode::OutOfRange, number.to_string(), self.expected());
        }
        value
    }
}

impl Value for bool {
    const EXPECTED: &'static str = "true or false";

    fn read(sink: &mut Sink<'_>, node: &Node) -> Option<Self> {
        let value = match node {
            Node::Boolean(value) => return Some(*value),
            Node::Raw(text) => text.trim().parse().ok(),
            _ => None,
        };
        if value.is_none() {
            sink.fault(FaultCode::WrongType, node.describe(), Self::EXPECTED);
        }
        value
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for PathBuf {
    const EXPECTED: &'static str = "an absolute path";

    fn read(sink: &mut Sink<'_>, node: &Node) -> Option<Self> {
        // A relative path would mean another place in each working directory.
        sink.parsed(node, |text| {
            let path = Self::from(text);
            let sound = path.is_absolute() && text.len() <= MAX_PATH_BYTES && !text.contains('\0');
            sound.then_some(path)
        })
    }

    fn show(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

impl Value for SocketAddr {
    const EXPECTED: &'static str = "an address and a port, such as 0.0.0.0:50051 or [::]:50051";

    fn read(sink: &mut Sink<'_>, node: &Node) -> Option<Self> {
        sink.parsed(node, |text| text.parse().ok())
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl<T: Value> Value for Vec<T> {
    const EXPECTED: &'static str = "a list";

    fn read(sink: &mut Sink<'_>, node: &Node) -> Option<Self> {
        let parsed = match node {
            Node::Raw(text) => Node::parse_raw(text, sink.origin),
            _ => None,
        };
        let Node::List(items) = parsed.as_ref().unwrap_or(node) else {
            sink.fault(FaultCode::WrongType, node.describe(), Self::EXPECTED);
            return None;
        };
        if items.len() > MAX_LIST {
            sink.fault(FaultCode::OutOfRange, node.describe(), format!("a list of at most {MAX_LIST}"));
            return None;
        }
        let mut item = |(at, Entry { node, origin }): (usize, &Entry)| {
            T::read(&mut Sink::new(format!("{}[{at}]", sink.key), origin, sink.faults), node)
        };
        let values: Vec<Option<T>> = items.iter().enumerate().map(&mut item).collect();
        values.into_iter().collect()
    }

    fn show(&self) -> String {
        let items: Vec<String> = self.iter().map(Value::show).collect();
        format!("[{}]", items.join(", "))
    }
}
