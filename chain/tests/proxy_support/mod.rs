//! A provider that lies: an HTTP server in front of a real anvil, which forwards every request and may change what comes
//! back. All of 127.0.0.0/8 is this machine, so that one proxy each can stand for distinct hosts.
#![allow(dead_code, clippy::indexing_slicing, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the proxy answers with.
pub(crate) enum Reply {
    Json(Value),
    /// The same, after so long.
    Late(Duration, Value),
    Raw(Vec<u8>),
    Status(u16),
    /// Nothing, for longer than any client waits.
    Hang,
}

/// Makes a reply from the request's body and anvil's honest answer.
pub(crate) type Lie = Arc<dyn Fn(&Value, Value) -> Reply + Send + Sync>;

pub(crate) fn honest() -> Lie {
    Arc::new(|_, answer| Reply::Json(answer))
}

/// The same reply to everything.
pub(crate) fn always(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Lie {
    Arc::new(move |_, _| reply())
}

/// The same lie, told late.
pub(crate) fn late(after: Duration, lie: Lie) -> Lie {
    Arc::new(move |request, answer| match lie(request, answer) {
        Reply::Json(answer) => Reply::Late(after, answer),
        other => other,
    })
}

/// Changes the results of one method; the lie sees the call's parameters.
pub(crate) fn results_of(
    method: &'static str,
    lie: impl Fn(&Value, &mut Value) + Send + Sync + 'static,
) -> Lie {
    answers_to(method, move |call, answer| lie(&call["params"], &mut answer["result"]))
}

/// Changes the whole answers to one method, errors included.
pub(crate) fn answers_to(
    method: &'static str,
    lie: impl Fn(&Value, &mut Value) + Send + Sync + 'static,
) -> Lie {
    Arc::new(move |request, mut answer| {
        let calls = request.as_array().unwrap();
        for answer in answer.as_array_mut().unwrap() {
            let call = calls.iter().find(|call| call["id"] == answer["id"]).unwrap();
            if call["method"] == method {
                lie(call, answer);
            }
        }
        Reply::Json(answer)
    })
}

/// Whether a request contains a call of this method.
pub(crate) fn calls(request: &Value, method: &str) -> bool {
    request.as_array().is_some_and(|calls| calls.iter().any(|call| call["method"] == method))
}

/// At which blocks the proxy reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocks {
    AsAsked,
    /// At the latest, whichever block it is asked about.
    AlwaysLatest,
}

/// A running proxy; it ends with the test's runtime.
pub(crate) struct Proxy {
    port: u16,
}

impl Proxy {
    pub(crate) async fn start(anvil: u16, lie: Lie) -> Self {
        Self::start_at(anvil, Blocks::AsAsked, lie).await
    }

    pub(crate) async fn start_at(anvil: u16, blocks: Blocks, lie: Lie) -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, anvil, blocks, Arc::clone(&lie)));
            }
        });
        Self { port }
    }

    pub(crate) fn url(&self) -> String {
        self.url_of_host(1)
    }

    pub(crate) fn url_of_host(&self, host: u8) -> String {
        format!("http://127.0.0.{host}:{}", self.port)
    }
}

/// One exchange on a connection of its own. A client that has seen enough hangs up.
async fn serve(mut stream: TcpStream, anvil: u16, blocks: Blocks, lie: Lie) {
    let request = read_body(&mut stream).await;
    let Ok(mut question) = serde_json::from_slice(&request) else { return };
    if blocks == Blocks::AlwaysLatest {
        ask_at_latest(&mut question);
    }
    let answer = serde_json::from_slice(&forward(anvil, question.to_string().as_bytes()).await).unwrap();
    let (status, body) = match lie(&question, answer) {
        Reply::Json(answer) => (200, answer.to_string().into_bytes()),
        Reply::Late(after, answer) => {
            tokio::time::sleep(after).await;
            (200, answer.to_string().into_bytes())
        }
        Reply::Raw(body) => (200, body),
        Reply::Status(status) => (status, Vec::new()),
        Reply::Hang => return tokio::time::sleep(Duration::from_mins(10)).await,
    };
    let head = format!("HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    drop(stream.write_all(&[head.as_bytes(), &body].concat()).await);
    drop(stream.shutdown().await);
}

fn ask_at_latest(question: &mut Value) {
    let calls = question.as_array_mut().unwrap().iter_mut();
    for parameter in calls.flat_map(|call| call["params"].as_array_mut().unwrap()) {
        if parameter.get("blockHash").is_some() {
            *parameter = "latest".into();
        }
    }
}

async fn forward(anvil: u16, body: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", anvil)).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    read_body(&mut stream).await
}

/// The body of a request or an answer: as long as its head says.
async fn read_body(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut bytes).await {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length: usize =
            head.split("content-length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
        if bytes.len() >= end + 4 + length {
            return bytes.split_off(end + 4);
        }
    }
    Vec::new()
}
