//! The variables of an environment, and their JSON form: the plaintext of both blob formats.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::{self, EnvError};
use super::{MAX_BLOB_BYTES, check_size};

/// The most variables that an environment may have.
pub const MAX_VARS: usize = 1024;
/// The longest name of a variable, in bytes.
pub const MAX_NAME_BYTES: usize = 256;

/// A variable's name: letters, digits and `_`, no digit first. Names are not secret: `app-compose.json` lists them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnvName(String);

impl EnvName {
    /// The name, if it is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let valid = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && text.bytes().next().is_some_and(|first| !first.is_ascii_digit());
        (valid && text.len() <= MAX_NAME_BYTES).then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An environment: each name once, in order of name. The values are secret; they are wiped when this is dropped.
#[derive(Default)]
pub struct EnvVars(BTreeMap<EnvName, Zeroizing<String>>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<V> {
    env: Vec<Entry<V>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<V> {
    key: String,
    value: V,
}

impl EnvVars {
    /// No variables.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a variable. Refuses a name that is there already, a value that no process can be given, one too many.
    pub fn insert(&mut self, name: EnvName, value: Zeroizing<String>) -> Result<(), EnvError> {
        if value.contains('\0') {
            return Err(error::value(&name.0));
        }
        if self.0.contains_key(&name) {
            return Err(error::duplicate(&name.0));
        }
        if self.0.len() == MAX_VARS {
            return Err(error::too_many());
        }
        self.0.insert(name, value);
        Ok(())
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &EnvName> {
        self.0.keys()
    }

    /// The variables, in order of name: this is where values leave.
    pub fn expose(&self) -> impl Iterator<Item = (&EnvName, &str)> {
        self.0.iter().map(|(name, value)| (name, value.as_str()))
    }

    /// The plaintext: `{"env":[{"key":"NAME","value":"..."}]}`, in order of name.
    pub(super) fn to_plaintext(&self) -> Result<Zeroizing<Vec<u8>>, EnvError> {
        let env = self.expose().map(|(name, value)| Entry { key: name.0.clone(), value }).collect();
        // Room for the whole, so that the buffer does not grow and leave copies behind.
        let mut json = Zeroizing::new(Vec::with_capacity(2 * MAX_BLOB_BYTES));
        serde_json::to_writer(&mut *json, &Document { env }).map_err(|_| error::not_sealed())?;
        check_size("an environment", json.len())?;
        Ok(json)
    }

    /// Reads a plaintext: what is inside a blob of either format.
    pub fn from_plaintext(json: &[u8]) -> Result<Self, EnvError> {
        check_size("an environment", json.len())?;
        let document: Document<SecretText> =
            serde_json::from_slice(json).map_err(|error| error::plaintext(&error))?;
        let mut vars = Self::new();
        for (index, entry) in document.env.into_iter().enumerate() {
            let name = EnvName::parse(&entry.key).ok_or_else(|| error::name(index + 1))?;
            vars.insert(name, entry.value.0)?;
        }
        Ok(vars)
    }
}

/// Text that is wiped.
struct SecretText(Zeroizing<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

#[cfg(test)]
mod tests {
    use static_assertions::assert_not_impl_any;

    use super::*;

    assert_not_impl_any!(EnvVars: std::fmt::Debug, std::fmt::Display, Clone, Serialize);

    #[test]
    fn plaintext__should_be_that_of_dstack() {
        let mut vars = EnvVars::new();
        for (name, value) in [("B", "2"), ("A", "\"1\"\n")] {
            vars.insert(EnvName::parse(name).unwrap(), value.to_owned().into()).unwrap();
        }
        let json = r#"{"env":[{"key":"A","value":"\"1\"\n"},{"key":"B","value":"2"}]}"#;
        assert_eq!(vars.to_plaintext().unwrap().as_slice(), json.as_bytes());
    }

    #[test]
    fn plaintext__should_be_refused_without_repeating_any_of_it() {
        for (json, code) in [
            ("", "env-plaintext"),
            (r#"{"env":"hunter2"}"#, "env-plaintext"),
            (r#"{"env":[{"key":"A","value":"hunter2","more":1}]}"#, "env-plaintext"),
            (r#"{"env":[{"key":"A","value":["hunter2"]}]}"#, "env-plaintext"),
            (r#"{"env":[{"key":"A","value":"hunter2"}]} hunter2"#, "env-plaintext"),
            (r#"{"env":[{"key":"hunter2=","value":""}]}"#, "env-name"),
            (r#"{"env":[{"key":"A","value":"hunter2\u0000"}]}"#, "env-value"),
            (r#"{"env":[{"key":"A","value":"hunter2"},{"key":"A","value":"hunter2"}]}"#, "env-duplicate"),
        ] {
            let error = EnvVars::from_plaintext(json.as_bytes()).err().unwrap();
            assert_eq!(error.code.as_str(), code, "{json}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn insert__should_stop_at_the_limit() {
        let mut vars = EnvVars::new();
        for i in 0..MAX_VARS {
            vars.insert(EnvName::parse(&format!("N{i}")).unwrap(), String::new().into()).unwrap();
        }
        let error = vars.insert(EnvName::parse("M").unwrap(), String::new().into()).unwrap_err();
        assert_eq!(error.code, super::super::EnvCode::TooMany);
    }
}
