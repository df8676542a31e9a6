//! The PCCS over real HTTP: what it serves verifies, and each fault is the fault it claims.
#![allow(non_snake_case, clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{NOW, verify};
use dcap_qvl::QuoteCollateralV3;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use kms_simulator::pccs::{Clock, Endpoint, Fault, FaultPlan, Pccs};
use kms_simulator::platform::{Platform, Update};
use kms_simulator::quote::QuoteSpec;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

const ANY_PORT: &str = "127.0.0.1:0";

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn chain(&self, header: &str) -> String {
        urlencoding::decode(self.headers[header].to_str().unwrap()).unwrap().into_owned()
    }

    /// The document and the signature of a signed answer, the document cut out of the body as it stands.
    fn document(&self, name: &str) -> (String, Vec<u8>) {
        let body = std::str::from_utf8(&self.body).unwrap();
        let (document, signature) =
            body.strip_prefix(&format!(r#"{{"{name}":"#)).unwrap().rsplit_once(r#","signature":""#).unwrap();
        (document.to_owned(), hex::decode(signature.strip_suffix(r#""}"#).unwrap()).unwrap())
    }
}

/// Sends a request; an error is text.
async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, 1 << 20).collect().await.map_err(|error| error.to_string())?;
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body: body.to_bytes().to_vec() })
}

fn request(method: &str, path: &str, body: String) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri(path).header("host", "pccs").body(Full::new(body.into())).unwrap()
}

async fn try_get(pccs: &Pccs, path: &str) -> Result<Answer, String> {
    send(TcpStream::connect(pccs.address()).await.unwrap(), request("GET", path, String::new())).await
}

async fn get(pccs: &Pccs, path: &str) -> Answer {
    try_get(pccs, path).await.unwrap()
}

async fn post(pccs: &Pccs, path: &str, body: Value) -> u16 {
    let stream = TcpStream::connect(pccs.address()).await.unwrap();
    send(stream, request("POST", path, body.to_string())).await.unwrap().status
}

const QE_IDENTITY: &str = "/tdx/certification/v4/qe/identity";
const PCK_CRL: &str = "/sgx/certification/v4/pckcrl?ca=platform&encoding=der";
const ROOT_CRL: &str = "/sgx/certification/v4/rootcacrl";

fn tcb_path(pccs: &Pccs) -> String {
    let fmspc = pccs.with_platform(|platform| platform.host(0).unwrap().fmspc());
    format!("/tdx/certification/v4/tcb?fmspc={fmspc}")
}

/// All collateral of the first host, fetched.
async fn fetch(pccs: &Pccs) -> QuoteCollateralV3 {
    let tcb = get(pccs, &tcb_path(pccs)).await;
    let qe = get(pccs, QE_IDENTITY).await;
    let pck_crl = get(pccs, PCK_CRL).await;
    let (tcb_info, tcb_info_signature) = tcb.document("tcbInfo");
    let (qe_identity, qe_identity_signature) = qe.document("enclaveIdentity");
    QuoteCollateralV3 {
        pck_crl_issuer_chain: pck_crl.chain("SGX-PCK-CRL-Issuer-Chain"),
        root_ca_crl: hex::decode(get(pccs, ROOT_CRL).await.body).unwrap(),
        pck_crl: pck_crl.body,
        tcb_info_issuer_chain: tcb.chain("TCB-Info-Issuer-Chain"),
        tcb_info,
        tcb_info_signature,
        qe_identity_issuer_chain: qe.chain("SGX-Enclave-Identity-Issuer-Chain"),
        qe_identity,
        qe_identity_signature,
        pck_certificate_chain: None,
    }
}

/// What the verifier says about a healthy quote under what the PCCS serves.
async fn verdict(pccs: &Pccs, platform: &Platform) -> String {
    let quote = platform.host(0).unwrap().quote(&QuoteSpec::default()).unwrap();
    match verify(platform, &quote, fetch(pccs).await) {
        Ok(claims) => format!("accepted {}", claims.tcb.eval_data_number),
        Err(error) => format!("{error:#}"),
    }
}

async fn start() -> (Pccs, Platform) {
    let platform = Platform::from_seed(7, NOW).unwrap();
    let pccs = Pccs::start(ANY_PORT.parse().unwrap(), platform.clone()).await.unwrap();
    (pccs, platform)
}

#[tokio::test]
async fn collateral__should_be_the_platforms_byte_for_byte_and_counted() {
    let (pccs, platform) = start().await;
    let fetched = fetch(&pccs).await;
    let fmspc = platform.host(0).unwrap().fmspc();
    assert_eq!(fetched, platform.collateral_of(fmspc).unwrap());
    assert_eq!(get(&pccs, "/IntelSGXRootCA.der").await.body, fetched.root_ca_crl);
    let hexadecimal = get(&pccs, "/sgx/certification/v4/pckcrl?ca=platform").await;
    assert_eq!(hex::decode(hexadecimal.body).unwrap(), fetched.pck_crl);
    let counts = get(&pccs, "/counts").await;
    let counts: Value = serde_json::from_slice(&counts.body).unwrap();
    assert_eq!(counts, json!({ "root-crl": 2, "pck-crl": 2, "tcb-info": 1, "qe-identity": 1 }));
    assert_eq!(pccs.count(Endpoint::PckCrl), 2);
    assert_eq!(verdict(&pccs, &platform).await, "accepted 20");
}

#[tokio::test]
async fn processor_ca__should_have_its_own_crl() {
    let (pccs, platform) = start().await;
    let answer = get(&pccs, "/sgx/certification/v4/pckcrl?ca=processor&encoding=der").await;
    let chain = answer.chain("SGX-PCK-CRL-Issuer-Chain");
    assert_eq!(chain, platform.pki().chain_pem(kms_simulator::pki::Authority::ProcessorCa));
    assert_ne!(answer.body, get(&pccs, PCK_CRL).await.body);
}

#[tokio::test]
async fn documents__should_be_served_by_update_and_by_number() {
    let (pccs, platform) = start().await;
    let fmspc = platform.host(0).unwrap().fmspc();
    let path = tcb_path(&pccs);
    for (parameters, update) in [
        ("", Update::Standard),
        ("&update=standard", Update::Standard),
        ("&update=early", Update::Early),
        ("&tcbEvaluationDataNumber=20", Update::Standard),
        ("&tcbEvaluationDataNumber=21", Update::Early),
    ] {
        let (document, _) = get(&pccs, &format!("{path}{parameters}")).await.document("tcbInfo");
        assert_eq!(document, platform.tcb_info(fmspc, update).unwrap().json, "{parameters}");
    }
    for (parameters, update) in [
        ("", Update::Standard),
        ("?update=early", Update::Early),
        ("?tcbEvaluationDataNumber=20", Update::Standard),
        ("?tcbEvaluationDataNumber=21", Update::Early),
    ] {
        let (document, _) =
            get(&pccs, &format!("{QE_IDENTITY}{parameters}")).await.document("enclaveIdentity");
        assert_eq!(document, platform.qe_identity(update).unwrap().json, "{parameters}");
    }
    for (path, status) in [
        (format!("{QE_IDENTITY}?tcbEvaluationDataNumber=19"), 410),
        (format!("{path}&tcbEvaluationDataNumber=19"), 410),
        (format!("{path}&tcbEvaluationDataNumber=22"), 404),
        (format!("{path}&tcbEvaluationDataNumber=20&update=early"), 400),
        (format!("{path}&update=late"), 400),
        ("/tdx/certification/v4/tcb?fmspc=010203040506".to_owned(), 404),
        ("/tdx/certification/v4/tcb?fmspc=01".to_owned(), 400),
        ("/tdx/certification/v4/tcb".to_owned(), 400),
        ("/sgx/certification/v4/pckcrl?ca=none".to_owned(), 400),
    ] {
        assert_eq!(get(&pccs, &path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn fault_of_content__should_be_what_the_verifier_refuses() {
    let (pccs, platform) = start().await;
    for (fault, expected) in [
        (Fault::Expired, "TCBInfo expired"),
        (Fault::Future, "issue date is in the future"),
        (Fault::RevokedPck, "CertRevoked"),
        (Fault::RevokedPckCa, "CertRevoked"),
        (Fault::RevokedTcbSigner, "CertRevoked"),
        (Fault::OutOfDate, "TCB status OutOfDate is not acceptable"),
        (Fault::WrongFmspc, "Fmspc mismatch"),
        (Fault::RolledBack, "accepted 19"),
        (Fault::None, "accepted 20"),
    ] {
        pccs.set_fault(fault.clone());
        let found = verdict(&pccs, &platform).await;
        assert!(found.contains(expected), "{fault:?}: {found}");
    }
}

#[tokio::test]
async fn fault_of_transport__should_reach_the_client() {
    let (pccs, _) = start().await;
    let path = tcb_path(&pccs);
    pccs.set_fault(Fault::Status { code: 503 });
    assert_eq!(get(&pccs, &path).await.status, 503);
    pccs.set_fault(Fault::HugeBody { megabytes: 3 });
    assert!(try_get(&pccs, &path).await.err().unwrap().contains("length limit exceeded"));
    pccs.set_fault(Fault::Garbage);
    assert!(serde_json::from_slice::<Value>(&get(&pccs, &path).await.body).is_err());
    pccs.set_fault(Fault::Truncated);
    assert!(try_get(&pccs, &path).await.is_err());
    pccs.set_fault(Fault::ConnectionClosed);
    assert!(try_get(&pccs, &path).await.is_err());
    pccs.set_fault(Fault::MissingHeader);
    let answer = get(&pccs, &path).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("TCB-Info-Issuer-Chain"));
    pccs.set_fault(Fault::RedirectLoop);
    let answer = get(&pccs, &path).await;
    assert_eq!((answer.status, answer.headers["location"].to_str().unwrap()), (302, path.as_str()));
    pccs.set_fault(Fault::Redirect { location: "http://127.0.0.1:1/".into() });
    assert_eq!(get(&pccs, &path).await.headers["location"], "http://127.0.0.1:1/");
    pccs.set_fault(Fault::Slow { delay_ms: 100 });
    let start = Instant::now();
    assert_eq!(get(&pccs, &path).await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn fault_at_one_endpoint__should_spare_the_others() {
    let (pccs, _) = start().await;
    pccs.set_fault(FaultPlan::only(Endpoint::RootCrl, Fault::Status { code: 500 }));
    assert_eq!(get(&pccs, ROOT_CRL).await.status, 500);
    assert_eq!(get(&pccs, PCK_CRL).await.status, 200);
}

#[tokio::test]
async fn admin__should_set_faults_and_the_clock() {
    let (pccs, platform) = start().await;
    let plan = json!({ "kind": "status", "code": 500, "only": "qe-identity" });
    assert_eq!(post(&pccs, "/fault", plan).await, 200);
    assert_eq!(get(&pccs, QE_IDENTITY).await.status, 500);
    assert_eq!(get(&pccs, PCK_CRL).await.status, 200);
    assert_eq!(post(&pccs, "/fault", json!({ "kind": "unheard-of" })).await, 400);
    assert_eq!(post(&pccs, "/fault", json!({ "kind": "none" })).await, 200);
    assert_eq!(verdict(&pccs, &platform).await, "accepted 20");
    assert_eq!(post(&pccs, "/clock", json!({ "now": NOW + 100 * 86_400 })).await, 200);
    assert!(verdict(&pccs, &platform).await.contains("issue date is in the future"));
    pccs.set_clock(Clock::Fixed(NOW));
    assert_eq!(verdict(&pccs, &platform).await, "accepted 20");
}

#[tokio::test]
async fn system_clock__should_issue_collateral_that_is_current_today() {
    let (pccs, _) = start().await;
    pccs.set_clock(Clock::System);
    pccs.with_platform(|platform| platform.collateral.tcb_info.issue_date = 0);
    let (document, _) = get(&pccs, &tcb_path(&pccs)).await.document("tcbInfo");
    let document: Value = serde_json::from_str(&document).unwrap();
    let next_update: jiff::Timestamp = document["nextUpdate"].as_str().unwrap().parse().unwrap();
    assert!(next_update > jiff::Timestamp::now());
}

#[tokio::test]
async fn tls__should_serve_the_same_to_clients_that_trust_its_certificate() {
    let platform = Platform::from_seed(7, NOW).unwrap();
    let pccs = Pccs::start_tls(ANY_PORT.parse::<SocketAddr>().unwrap(), platform.clone()).await.unwrap();
    assert!(pccs.url().starts_with("https://127.0.0.1:"));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(pccs.tls_certificate().unwrap())).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(pccs.address()).await.unwrap();
    let stream = connector.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await.unwrap();
    let answer = send(stream, request("GET", QE_IDENTITY, String::new())).await.unwrap();
    assert_eq!(answer.document("enclaveIdentity").0, platform.qe_identity(Update::Standard).unwrap().json);
}

#[tokio::test]
async fn fault__should_be_of_one_kind_of_platform_where_one_is_named() {
    let mut platform = Platform::from_seed(7, NOW).unwrap();
    platform.add_host().unwrap();
    let [first, second] = [0, 1].map(|host| platform.host(host).unwrap().fmspc());
    let pccs = Pccs::start(ANY_PORT.parse().unwrap(), platform.clone()).await.unwrap();
    for (out_of_date, status) in [(second, "accepted 20"), (first, "TCB status")] {
        pccs.set_fault(FaultPlan::of(out_of_date, Fault::OutOfDate));
        let said = verdict(&pccs, &platform).await;
        assert!(said.contains(status), "{said}");
    }
    let plan = json!({ "kind": "out-of-date", "fmspc": second });
    assert_eq!(post(&pccs, "/fault", plan).await, 200);
    assert_eq!(verdict(&pccs, &platform).await, "accepted 20");
}
