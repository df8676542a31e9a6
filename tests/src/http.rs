//! One HTTP request: how tests reach the simulator's switches, and read a node's metrics.

use std::io::{Read, Write};

use serde_json::Value;

/// The body at a path; expects a success.
pub fn get(mut stream: impl Read + Write, path: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 2"), "{path}: {answer}");
    answer.split_once("\r\n\r\n").expect("a body").1.to_owned()
}

/// Posts, and expects a success.
pub fn post(mut stream: impl Read + Write, path: &str, body: &Value) {
    let body = body.to_string();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).expect("the request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 2"), "{path}: {answer}");
}
