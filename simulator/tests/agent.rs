//! The guest agent over a real unix socket.
#![allow(non_snake_case, clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{NOW, fixture};
use dcap_qvl::quote::Quote;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use kms_attestation::event_log::EventLog;
use kms_simulator::agent::{Agent, AgentFault, MAX_BODY_BYTES};
use kms_simulator::cvm::{Cvm, CvmSpec};
use kms_simulator::image::OsImage;
use kms_simulator::platform::Platform;
use serde_json::{Value, json};

async fn post(socket: &Path, path: &str, body: impl Into<Bytes>) -> (u16, Bytes) {
    let stream = tokio::net::UnixStream::connect(socket).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::post(path).header("host", "agent").body(Full::new(body.into())).unwrap();
    let response = sender.send_request(request).await.unwrap();
    (response.status().as_u16(), response.into_body().collect().await.unwrap().to_bytes())
}

async fn post_json(agent: &Agent, path: &str, body: Value) -> (u16, Value) {
    let (status, body) = post(agent.path(), path, body.to_string()).await;
    (status, serde_json::from_slice(&body).unwrap())
}

fn agent(folder: &tempfile::TempDir) -> Agent {
    let platform = Platform::from_seed(7, NOW).unwrap();
    let spec = CvmSpec::new(r#"{"name":"app"}"#);
    let cvm = Cvm::booted(platform.host(0).unwrap(), &OsImage::simulated("test"), spec);
    Agent::start(folder.path().join("agent.sock"), cvm).unwrap()
}

fn quote_of(answer: &Value) -> Quote {
    Quote::parse(&hex::decode(answer["quote"].as_str().unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn get_quote__should_answer_a_quote_with_the_log_that_it_measures() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(&folder);
    let (status, answer) = post_json(&agent, "/GetQuote", json!({ "report_data": "abcd" })).await;
    assert_eq!(status, 200);
    let report_data = "abcd".to_owned() + &"00".repeat(62);
    assert_eq!(answer["report_data"], report_data);
    let quote = quote_of(&answer);
    let td = quote.report.as_td10().unwrap();
    assert_eq!(hex::encode(td.report_data), report_data);
    let log = EventLog::parse(answer["event_log"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(log.replay().0, td.rt_mr3);
    let config: Value = serde_json::from_str(answer["vm_config"].as_str().unwrap()).unwrap();
    assert_eq!(config["os_image_hash"], agent.with_cvm(|cvm| cvm.image().hash().to_string()));
}

#[tokio::test]
async fn emit_event__should_extend_rtmr3() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(&folder);
    let before = agent.with_cvm(|cvm| cvm.rtmrs());
    let (status, answer) = post_json(&agent, "/EmitEvent", json!({ "event": "mine", "payload": "ff" })).await;
    assert_eq!((status, answer), (200, json!({})));
    let after = agent.with_cvm(|cvm| cvm.rtmrs());
    assert_eq!(before[..3], after[..3]);
    assert_ne!(before[3], after[3]);
    let (_, answer) = post_json(&agent, "/GetQuote", json!({ "report_data": "" })).await;
    assert_eq!(quote_of(&answer).report.as_td10().unwrap().rt_mr3, after[3].0);
}

#[tokio::test]
async fn info__should_have_the_fields_of_a_genuine_tcb_info() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(&folder);
    let (status, info) = post_json(&agent, "/Info", json!({})).await;
    assert_eq!(status, 200);
    agent.with_cvm(|cvm| {
        assert_eq!(info["app_id"], cvm.spec.app_id.to_string());
        assert_eq!(info["instance_id"], cvm.spec.instance_id.unwrap().to_string());
        assert_eq!(info["device_id"], cvm.host().device_id().to_string());
        assert_eq!(info["compose_hash"], cvm.spec.compose_hash().to_string());
    });
    let tcb_info: Value = serde_json::from_str(info["tcb_info"].as_str().unwrap()).unwrap();
    assert_eq!(tcb_info["app_compose"], r#"{"name":"app"}"#);
    assert!(EventLog::parse(tcb_info.to_string().as_bytes()).is_ok());
    let Some(genuine) = fixture("06_v4_dstack_near_mpc_eventlog") else { return };
    let genuine: Value =
        serde_json::from_slice(&std::fs::read(genuine.join("dstack_tcb_info.json")).unwrap()).unwrap();
    let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&tcb_info), fields(&genuine));
}

#[tokio::test]
async fn agent__should_refuse_bad_requests_with_json() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(&folder);
    for (path, body, status) in [
        ("/GetQuote", "{}".to_owned(), 400),
        ("/GetQuote", json!({ "report_data": "00".repeat(65) }).to_string(), 400),
        ("/GetQuote", json!({ "report_data": "zz" }).to_string(), 400),
        ("/EmitEvent", json!({ "event": "x", "payload": "0" }).to_string(), 400),
        ("/Fault", json!({ "kind": "unheard-of" }).to_string(), 400),
        ("/GetQuote", " ".repeat(MAX_BODY_BYTES + 1), 413),
        ("/Nothing", String::new(), 404),
    ] {
        let (found, answer) = post(agent.path(), path, body).await;
        assert_eq!(found, status, "{path}");
        if status == 400 {
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            assert!(answer["error"].is_string(), "{path}");
        }
    }
}

#[tokio::test]
async fn fault__should_spoil_answers_until_it_is_lifted() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(&folder);
    let ask = || json!({ "report_data": "ab" });

    agent.set_fault(AgentFault::Status500);
    assert_eq!(post_json(&agent, "/GetQuote", ask()).await.0, 500);

    agent.set_fault(AgentFault::Garbage);
    let (status, body) = post(agent.path(), "/Info", "{}").await;
    assert_eq!(status, 200);
    assert!(serde_json::from_slice::<Value>(&body).is_err());

    agent.set_fault(AgentFault::WrongReportData);
    let (_, answer) = post_json(&agent, "/GetQuote", ask()).await;
    assert!(answer["report_data"].as_str().unwrap().starts_with("ab"));
    assert_eq!(quote_of(&answer).report.as_td10().unwrap().report_data[0], 0xaa);

    let (status, _) = post_json(&agent, "/Fault", json!({ "kind": "slow", "delay_ms": 100 })).await;
    assert_eq!(status, 200);
    let start = Instant::now();
    assert_eq!(post_json(&agent, "/Info", json!({})).await.0, 200);
    assert!(start.elapsed() >= Duration::from_millis(100));

    assert_eq!(post_json(&agent, "/Fault", json!({ "kind": "none" })).await.0, 200);
    let (_, answer) = post_json(&agent, "/GetQuote", ask()).await;
    assert_eq!(quote_of(&answer).report.as_td10().unwrap().report_data[0], 0xab);
}

#[tokio::test]
async fn drop__should_remove_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(&folder);
    let path = agent.path().to_owned();
    drop(agent);
    assert!(!path.exists());
}
