//! The client against a socket that answers as scripted: rightly, wrongly, too much, or not at all.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;

use super::*;
use crate::platform::tests::quote_with;

const ASKED: ReportData = ReportData([7; 64]);

/// A guest agent that accepts one connection, reads one request and answers with these bytes.
struct Agent {
    client: GuestAgent,
    request: oneshot::Receiver<String>,
    _folder: tempfile::TempDir,
}

impl Agent {
    fn answering(response: Vec<u8>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("dstack.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (report, request) = oneshot::channel();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            report.send(read_request(&mut stream).await).unwrap();
            // The client may hang up in the middle of an answer that is too long.
            let _ = stream.write_all(&response).await;
        });
        Self { client: GuestAgent::new(&socket), request, _folder: folder }
    }

    fn with_json(status: &str, body: &str) -> Self {
        Self::answering(http(status, body.as_bytes()))
    }

    async fn quote_error(self) -> PlatformError {
        self.client.quote(ASKED).await.unwrap_err()
    }
}

async fn read_request(stream: &mut UnixStream) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() == length.unwrap_or("0").parse::<usize>().unwrap() {
                return text;
            }
        }
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
    }
}

fn http(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn quote_json(report_data: &ReportData, event_log: &str) -> String {
    json!({
        "quote": hex::encode(quote_with(report_data)),
        "event_log": event_log,
        "report_data": report_data,
        "vm_config": "{}",
    })
    .to_string()
}

#[tokio::test]
async fn quote__should_return_the_quote_and_the_log() {
    let agent = Agent::with_json("200 OK", &quote_json(&ASKED, "[]"));
    let quote = agent.client.quote(ASKED).await.unwrap();
    assert_eq!(quote, GuestQuote { quote: quote_with(&ASKED), event_log: Some(b"[]".to_vec()) });

    let request = agent.request.await.unwrap();
    assert!(request.starts_with("POST /GetQuote HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("content-type: application/json\r\n"), "{request}");
    assert!(request.ends_with(&format!(r#"{{"report_data":"{}"}}"#, "07".repeat(64))), "{request}");
}

#[tokio::test]
async fn quote__should_have_no_log_where_the_agent_has_none() {
    let agent = Agent::with_json("200 OK", &quote_json(&ASKED, ""));
    assert_eq!(agent.client.quote(ASKED).await.unwrap().event_log, None);
}

#[tokio::test]
async fn quote__should_refuse_a_quote_for_another_question() {
    // The agent confuses two callers, or lies: what it echoes beside the quote does not help it.
    let other = hex::encode(quote_with(&ReportData([8; 64])));
    let body = json!({ "quote": other, "event_log": "[]", "report_data": ASKED }).to_string();
    let error = Agent::with_json("200 OK", &body).quote_error().await;
    assert_eq!(error.code(), "quote-wrong-report-data");
    assert!(error.found().contains(&"08".repeat(64)), "{error}");
}

#[tokio::test]
async fn quote__should_repeat_the_agents_refusal_bounded_and_escaped() {
    let message = format!("no device\n{}", "x".repeat(1000));
    let body = json!({ "error": message }).to_string();
    let error = Agent::with_json("500 Internal Server Error", &body).quote_error().await;
    assert_eq!(error.code(), "agent-refused");
    let text = error.to_string();
    assert!(text.contains("status 500 in answer to /GetQuote: no device\\nxxx"), "{text}");
    assert!(text.len() < 500, "{text}");

    let error = Agent::with_json("404 Not Found", "<html>").quote_error().await;
    assert!(error.found().contains("404") && error.found().contains("<html>"), "{error}");
}

#[tokio::test]
async fn quote__should_refuse_answers_of_another_form() {
    let huge = json!({ "quote": "00".repeat(MAX_QUOTE_BYTES + 1) }).to_string();
    for body in ["", "[]", "{}", r#"{"quote":7}"#, r#"{"quote":"zz"}"#, r#"{"quote":"","quote":""}"#, &huge] {
        let error = Agent::with_json("200 OK", body).quote_error().await;
        assert_eq!(error.code(), "agent-answer-malformed", "{error}");
        assert!(error.to_string().len() < 500, "{error}");
    }
}

#[tokio::test]
async fn quote__should_refuse_what_is_not_http() {
    for garbage in [&b"SSH-2.0-OpenSSH\r\n"[..], b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}"] {
        let error = Agent::answering(garbage.to_vec()).quote_error().await;
        assert_eq!(error.code(), "agent-protocol", "{error}");
    }
}

#[tokio::test]
async fn quote__should_stop_reading_an_oversized_answer() {
    let announced = http("200 OK", &vec![b' '; MAX_ANSWER_BYTES + 1]);
    let unannounced = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b' '; MAX_ANSWER_BYTES + 1]].concat();
    for flood in [announced, unannounced] {
        let error = Agent::answering(flood).quote_error().await;
        assert_eq!(error.code(), "agent-answer-too-large", "{error}");
    }
}

#[tokio::test]
async fn quote__should_give_up_on_an_agent_that_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("dstack.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let client = GuestAgent::new(&socket).with_timeout(Duration::from_millis(50));
    let asked = tokio::spawn(async move { client.quote(ASKED).await });
    let (mut silent, _) = listener.accept().await.unwrap();

    let error = asked.await.unwrap().unwrap_err();
    assert_eq!(error.code(), "agent-timeout");
    assert!(error.found().contains("/GetQuote after 50ms"), "{error}");
    // Nothing of the request survives: the connection is closed, not kept by a task.
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), silent.read_to_end(&mut rest)).await.unwrap().unwrap();
}

#[tokio::test]
async fn quote__should_say_that_nothing_listens() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("dstack.sock");
    let missing = GuestAgent::new(&socket).quote(ASKED).await.unwrap_err();
    assert_eq!(missing.code(), "agent-unreachable");
    assert!(missing.to_string().contains("dstack.sock"), "{missing}");

    drop(UnixListener::bind(&socket).unwrap());
    let stale = GuestAgent::new(&socket).quote(ASKED).await.unwrap_err();
    assert_eq!(stale.code(), "agent-unreachable");
}

#[tokio::test]
async fn info__should_read_identifiers_and_take_empty_ones_as_absent() {
    let body = json!({
        "app_id": "ab".repeat(20),
        "instance_id": "",
        "compose_hash": "cd".repeat(32),
        "app_name": "demo",
        "vm_config": "{}",
        "key_provider_info": "unknown fields are skipped",
    });
    let agent = Agent::with_json("200 OK", &body.to_string());
    let info = agent.client.info().await.unwrap();
    assert_eq!((info.app_id, info.instance_id), (Some(AppId([0xAB; 20])), None));
    assert_eq!(info.compose_hash, Some(ComposeHash([0xCD; 32])));
    assert_eq!((info.app_name.as_str(), info.tcb_info.as_str(), info.vm_config.as_str()), ("demo", "", "{}"));
    assert!(agent.request.await.unwrap().starts_with("POST /Info "));
}

#[tokio::test]
async fn info__should_refuse_an_identifier_of_another_length() {
    let body = json!({ "app_id": "ab".repeat(32) }).to_string();
    let error = Agent::with_json("200 OK", &body).client.info().await.unwrap_err();
    assert_eq!(error.code(), "agent-answer-malformed");
    assert!(error.found().contains("AppId"), "{error}");
}

#[tokio::test]
async fn emit_event__should_send_the_event_and_accept_an_empty_answer() {
    let agent = Agent::with_json("200 OK", "");
    agent.client.emit_event("deploy", &[0xDE, 0xAD]).await.unwrap();
    assert!(agent.request.await.unwrap().ends_with(r#"{"event":"deploy","payload":"dead"}"#));

    let agent = Agent::with_json("400 Bad Request", r#"{"error":"removed in v0.6.0"}"#);
    let error = agent.client.emit_event("deploy", &[]).await.unwrap_err();
    assert_eq!(error.code(), "agent-refused");
    assert!(error.found().contains("removed in v0.6.0"), "{error}");
}
