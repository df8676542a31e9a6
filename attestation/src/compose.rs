//! `app-compose.json`: the document whose bytes are the application's code identity.
//!
//! The hash is over the exact bytes of the file, as the guest measures it. A file is therefore hashed as it is, never
//! parsed and written again. Only a tool that *writes* the file chooses its form: [`canonical`] gives sorted keys,
//! no white space, UTF-8, so that the same content always has the same hash.

use serde_json::Value;

use crate::hash::sha256;
use crate::ids::{AppId, ComposeHash};

/// The compose hash of the file's bytes.
#[must_use]
pub fn compose_hash(app_compose: &[u8]) -> ComposeHash {
    ComposeHash(sha256(&[app_compose]))
}

/// The app id of an application that has no contract: the first 20 bytes of its compose hash.
#[must_use]
pub fn app_id_without_contract(compose_hash: &ComposeHash) -> AppId {
    let mut app_id = [0; 20];
    app_id.copy_from_slice(compose_hash.0.split_at(20).0);
    AppId(app_id)
}

/// The bytes to write for a document: keys sorted by their UTF-8 bytes, no white space, characters unescaped.
#[must_use]
pub fn canonical(document: &Value) -> String {
    match document {
        // Maps keep the order of their input: a dependency turns that on for the whole program.
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entry = |(key, value): &(&String, &Value)| {
                format!("{}:{}", Value::from(key.as_str()), canonical(value))
            };
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn canonical__should_sort_keys_at_every_depth_and_keep_arrays() {
        let document = json!({"b": [{"z": 1, "a": "é\"\n"}, 3], "a": {"y": null, "x": true}, "é": 0, "z": 0});
        assert_eq!(
            canonical(&document),
            r#"{"a":{"x":true,"y":null},"b":[{"a":"é\"\n","z":1},3],"z":0,"é":0}"#
        );
    }

    #[test]
    fn canonical__should_not_depend_on_the_order_of_the_input() {
        let one: Value = serde_json::from_str(r#"{"a":1,"b":{"c":2,"d":3}}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{ "b": {"d":3,"c":2}, "a": 1 }"#).unwrap();
        assert_eq!(canonical(&one), canonical(&two));
    }

    #[test]
    fn app_id_without_contract__should_be_the_hashs_first_20_bytes() {
        let hash = compose_hash(b"");
        assert_eq!(hash.to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(app_id_without_contract(&hash).to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4");
    }
}
