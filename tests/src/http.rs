//! One HTTP request: how tests reach the simulator's switches and counters, and read a node's metrics.

use std::io::{Read, Write};

use serde_json::Value;

/// Posts, and expects a success.
pub fn post(stream: impl Read + Write, path: &str, body: &Value) {
    exchange(stream, "POST", path, &body.to_string());
}

/// The body at a path; expects a success.
pub fn get(stream: impl Read + Write, path: &str) -> String {
    exchange(stream, "GET", path, "")
}

/// The body of the answer, which must be a success.
fn exchange(mut stream: impl Read + Write, method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).expect("the request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 2"), "{path}: {answer}");
    answer.split_once("\r\n\r\n").expect("a body").1.to_owned()
}
