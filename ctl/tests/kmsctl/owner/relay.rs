//! A provider between the tool and the chain: it counts requests, and changes answers where a test says so.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

/// What happens to one call's answer.
type Alter = dyn Fn(&Value, &mut Value) + Send + Sync;

pub(super) struct Relay {
    pub(super) url: String,
    requests: Arc<AtomicUsize>,
}

impl Relay {
    /// Passes everything on, and every answer through `alter`, which sees the call as well.
    pub(super) fn start(port: u16, alter: impl Fn(&Value, &mut Value) + Send + Sync + 'static) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let (counter, alter): (_, Arc<Alter>) = (Arc::clone(&requests), Arc::new(alter));
        let url = serve(move |stream| {
            let body = read_body(stream);
            counter.fetch_add(1, Ordering::Relaxed);
            let calls: Vec<Value> = serde_json::from_str(&body).unwrap();
            let mut answers: Vec<Value> = serde_json::from_str(&post(port, &body)).unwrap();
            for (call, answer) in calls.iter().zip(&mut answers) {
                assert_eq!(call["id"], answer["id"], "anvil keeps the order");
                alter(call, answer);
            }
            respond(stream, &json!(answers).to_string());
        });
        Self { url, requests }
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

/// A server that does this with each connection, on a thread of its own.
pub(super) fn serve(handle: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let handle = Arc::new(handle);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let handle = Arc::clone(&handle);
            std::thread::spawn(move || handle(&mut stream));
        }
    });
    url
}

pub(super) fn read_body(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

pub(super) fn respond(stream: &mut TcpStream, body: &str) {
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    // A client that has seen enough hangs up.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

fn post(port: u16, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}
