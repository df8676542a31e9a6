//! The RPC provider of the node: anvil, behind a memory of what it said about a block.
//!
//! Anvil builds whole tries anew for each proof, and would use more of the machine than node and clients together. An answer
//! about a block that is named by its hash never changes, so it is asked for once. Everything else is passed on. The node
//! sends the same requests and gets the same bytes as from anvil itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running provider; it ends when it is dropped.
pub(crate) struct Provider {
    url: String,
    work: JoinHandle<()>,
}

/// What anvil said, by method and parameters.
type Memory = Arc<Mutex<HashMap<String, Arc<str>>>>;

#[derive(Deserialize)]
struct Call<'a> {
    id: u64,
    method: &'a str,
    #[serde(borrow)]
    params: &'a RawValue,
}

impl Call<'_> {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.params)
    }

    fn is_about_a_block_by_hash(&self) -> bool {
        self.params.get().contains("\"blockHash\"")
    }
}

impl Provider {
    pub(crate) async fn before(anvil: &str) -> Self {
        let anvil = anvil.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let memory = Memory::default();
        let work = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, anvil.clone(), Arc::clone(&memory)));
            }
        });
        Self { url, work }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// Requests on one connection, until the client ends it.
async fn serve(mut stream: TcpStream, anvil: String, memory: Memory) {
    stream.set_nodelay(true).expect("an option");
    let mut unread = Vec::new();
    while let Some(body) = read_message(&mut stream, &mut unread).await {
        let calls: Vec<Call<'_>> = serde_json::from_slice(&body).expect("a batch");
        let mut answers = Vec::new();
        for call in &calls {
            // Anvil is gone when the bench is over; the node is then told nothing more.
            let Some(result) = answer(call, &anvil, &memory).await else { return };
            answers.push(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, call.id));
        }
        let body = format!("[{}]", answers.join(","));
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.is_err() {
            return;
        }
    }
}

async fn answer(call: &Call<'_>, anvil: &str, memory: &Memory) -> Option<Arc<str>> {
    let name = call.name();
    if let Some(known) = memory.lock().expect("a lock").get(&name) {
        return Some(Arc::clone(known));
    }
    let result: Arc<str> = ask(call, anvil).await?.into();
    if call.is_about_a_block_by_hash() {
        memory.lock().expect("a lock").insert(name, Arc::clone(&result));
    }
    Some(result)
}

/// None where anvil is gone.
async fn ask(call: &Call<'_>, anvil: &str) -> Option<String> {
    let body =
        json!({"jsonrpc": "2.0", "id": call.id, "method": call.method, "params": call.params}).to_string();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(anvil).await.ok()?;
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.ok()?;
    let answer = read_message(&mut stream, &mut Vec::new()).await?;
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    assert!(answer.get("error").is_none(), "{answer}");
    Some(answer["result"].to_string())
}

/// The body of the next message: as long as its head says. None where the stream ends.
async fn read_message(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(end) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&unread[..end]).to_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let length: usize = length.expect("a length").parse().expect("a number");
            while unread.len() < end + 4 + length {
                if stream.read_buf(unread).await.ok()? == 0 {
                    return None;
                }
            }
            let rest = unread.split_off(end + 4 + length);
            let body = unread.split_off(end + 4);
            *unread = rest;
            return Some(body);
        }
        if stream.read_buf(unread).await.ok()? == 0 {
            return None;
        }
    }
}
