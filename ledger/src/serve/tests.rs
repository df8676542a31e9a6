//! A served log, read by the reader and by hand.

use std::net::SocketAddr;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::blob::Blob;
use crate::blob_file;
use crate::http::{Identity, Trust};
use crate::path::LogPath;
use crate::reader::LogReader;
use crate::refusal::LedgerCode;
use crate::source::Source;
use crate::testing::{LogFolder, Signer, noise};

const NAME: &str = "log.example/a";

async fn start(log: &LogFolder, tls: Option<ServerTls>, blobs: Blobs) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve_log(listener, tls, log.path().to_owned(), blobs));
    address
}

/// The whole answer to one request.
async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{request}\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn serve_log__should_serve_a_log_that_a_reader_verifies() {
    let log = LogFolder::new(NAME, 600);
    let blob = Blob::new(noise(5_000_000));
    log.put(LogPath::Blob(blob.id()), &blob_file::encode(&blob).unwrap());
    let address = start(&log, None, Blobs::Served).await;
    let source = Source::open(&format!("http://{address}/"), Trust::default()).unwrap();
    let reader = LogReader::open(source, &Signer::new(1).log_key(NAME)).await.unwrap();
    for index in [0, 255, 256, 599] {
        assert_eq!(reader.entry(index).await.unwrap(), LogFolder::entry(index));
    }
    assert_eq!(*reader.blob(blob.id()).await.unwrap(), noise(5_000_000)[..]);
    let other = blob_file::parse_path(&blob_file::path(crate::BlobId([0; 32]))).unwrap();
    assert_eq!(reader.blob(other).await.unwrap_err().code, LedgerCode::BlobMissing);
}

#[tokio::test]
async fn serve_log__should_withhold_blobs() {
    let log = LogFolder::new(NAME, 1);
    let blob = Blob::new(b"a".to_vec());
    log.put(LogPath::Blob(blob.id()), &blob_file::encode(&blob).unwrap());
    let address = start(&log, None, Blobs::Withheld).await;
    let answer = ask(address, &format!("GET /{} HTTP/1.1", blob_file::path(blob.id()))).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[tokio::test]
async fn serve_log__should_say_how_long_answers_may_be_kept() {
    let log = LogFolder::new(NAME, 300);
    let address = start(&log, None, Blobs::Served).await;
    let checkpoint = ask(address, "GET /checkpoint HTTP/1.1").await;
    assert!(
        checkpoint.contains("cache-control: no-cache") && checkpoint.contains("text/plain; charset=utf-8")
    );
    let tile = ask(address, "HEAD /tile/0/000 HTTP/1.1").await;
    assert!(tile.starts_with("HTTP/1.1 200 ") && tile.ends_with("\r\n\r\n"), "{tile}");
    assert!(tile.contains("max-age=31536000, immutable") && tile.contains("content-length: 8192"));
    assert!(tile.contains("application/octet-stream") && tile.contains("nosniff"));
}

#[tokio::test]
async fn serve_log__should_serve_nothing_but_the_files_of_a_log() {
    let log = LogFolder::new(NAME, 300);
    std::fs::write(log.path().join("secret"), "s3cr3t").unwrap();
    std::fs::create_dir_all(log.path().join("tile/1/001")).unwrap();
    let address = start(&log, None, Blobs::Served).await;
    for (request, status) in [
        ("GET /secret", "404"),
        ("GET /", "404"),
        ("GET /../secret", "404"),
        ("GET //checkpoint", "404"),
        ("GET /tile/0/../../secret", "404"),
        ("GET /tile/0/%2e%2e/secret", "404"),
        ("GET /checkpoint?a", "404"),
        ("GET /tile/0/001", "404"),
        ("GET /tile/1/001", "500"),
        ("GET /tile/0/0", "404"),
        ("GET /%63heckpoint", "404"),
        ("GET http://a/secret", "404"),
        ("POST /checkpoint", "405"),
        ("DELETE /checkpoint", "405"),
        ("OPTIONS *", "405"),
        (&format!("GET /{}", "a".repeat(100)), "414"),
        (&format!("GET /{}", "a".repeat(60_000)), "4"),
    ] {
        let answer = ask(address, &format!("{request} HTTP/1.1")).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{} gives {answer}",
            &request[..request.len().min(80)]
        );
        assert!(!answer.contains("s3cr3t"));
    }
}

#[tokio::test(start_paused = true)]
async fn serve_log__should_close_connections_that_keep_silent() {
    let log = LogFolder::new(NAME, 1);
    let address = start(&log, None, Blobs::Served).await;
    for head in ["", "GET /checkpoint HTTP/1.1\r\nhost"] {
        let begun = tokio::time::Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 2") && begun.elapsed() < std::time::Duration::from_secs(20));
    }
}

struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    fn identity(&self, name: &str) -> Identity {
        let (chain, key) = self.pair(name);
        Identity::new(chain, key).unwrap()
    }

    fn pair(&self, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        (vec![leaf.der().clone()], key)
    }
}

fn shown((chain, key): (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)) -> Arc<SingleCertAndKey> {
    let provider = rustls::crypto::ring::default_provider();
    let certified = CertifiedKey::from_der(chain, key, &provider).unwrap();
    Arc::new(SingleCertAndKey::from(certified))
}

#[tokio::test]
async fn serve_log__should_let_in_auditors_with_a_certificate_only() {
    let (servers, auditors) = (Ca::new(), Ca::new());
    let log = LogFolder::new(NAME, 3);
    let tls = auditors_only(shown(servers.pair("localhost")), vec![auditors.certificate()]).unwrap();
    let address = start(&log, Some(tls), Blobs::Served).await;
    let url = format!("https://localhost:{}", address.port());
    let get = async |identity| {
        let source = Source::web(&url, Trust { roots: vec![servers.certificate()], identity }).unwrap();
        source.get(LogPath::Checkpoint).await
    };
    assert!(get(Some(auditors.identity("auditor"))).await.unwrap().is_some());
    assert_eq!(get(None).await.unwrap_err().code, LedgerCode::LogSource);
    assert_eq!(get(Some(servers.identity("auditor"))).await.unwrap_err().code, LedgerCode::LogSource);
    let stranger =
        Source::web(&url, Trust { roots: vec![], identity: Some(auditors.identity("auditor")) }).unwrap();
    assert_eq!(stranger.get(LogPath::Checkpoint).await.unwrap_err().code, LedgerCode::LogSource);
    assert_eq!(auditors_only(shown(servers.pair("a")), vec![]).unwrap_err().code, LedgerCode::LogServer);
}

#[test]
fn identity__should_be_a_certificate_with_its_own_key_and_for_https_alone() {
    let ca = Ca::new();
    let ((chain, key), (other, _)) = (ca.pair("auditor"), ca.pair("other"));
    let code = |chain, key: &PrivateKeyDer<'static>| Identity::new(chain, key.clone_key()).unwrap_err();
    for (chain, found) in [(other, "not the certificate's"), (vec![], "no certificate")] {
        let refused = code(chain, &key);
        assert_eq!(refused.code, LedgerCode::LogClient);
        assert!(refused.found.contains(found), "{refused}");
    }
    let nonsense = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(vec![7; 40]));
    assert_eq!(code(chain.clone(), &nonsense).code, LedgerCode::LogClient);
    assert_eq!(code(vec![vec![7; 40].into()], &key).code, LedgerCode::LogClient);
    let identity = || Some(Identity::new(chain.clone(), key.clone_key()).unwrap());
    assert_eq!(format!("{:?}", identity().unwrap()), "Identity", "nothing of the key");
    let open = |url| Source::web(url, Trust { roots: vec![], identity: identity() });
    assert!(open("https://localhost/").is_ok());
    assert_eq!(open("http://localhost/").unwrap_err().code, LedgerCode::LogSourceAddress);
}

#[tokio::test]
async fn source__should_not_follow_a_redirect_nor_read_without_bound() {
    for (answer, code) in [
        (
            "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".to_owned(),
            LedgerCode::LogSource,
        ),
        (format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(200_000)), LedgerCode::LogFileTooLarge),
        ("HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\naaa".to_owned(), LedgerCode::LogSource),
        ("nonsense\r\n\r\n".to_owned(), LedgerCode::LogSource),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        let source = Source::web(&url, Trust::default()).unwrap();
        assert_eq!(source.get(LogPath::Checkpoint).await.unwrap_err().code, code);
    }
    for url in ["http://", "ftp://a/b", "http://a/?q", "http://u:p@a/", "http://a/#f", "http://a b/", "://"] {
        assert_eq!(
            Source::web(url, Trust::default()).unwrap_err().code,
            LedgerCode::LogSourceAddress,
            "{url}"
        );
    }
}
