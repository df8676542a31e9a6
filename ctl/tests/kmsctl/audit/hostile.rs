//! Log servers that are hostile, or broken: each is an end with its code, in bounded time and memory, and none is ever
//! "verified".

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kms_ledger::blob_file;

use super::Log;
use crate::run::Run;

/// What a command may take, with a patience of a second for each file.
const BOUND: Duration = Duration::from_secs(20);
/// The memory that a command may have, in KiB: its threads reserve most of it.
const MEMORY_KIB: u32 = 1024 * 1024;

/// Unreachable or incomplete: nothing is known of the log.
const UNDECIDED: i32 = 3;
/// What is there is not what the log signed.
const WRONG: i32 = 10;

/// What a server does with a connection on which a path was asked for.
type Answer = dyn Fn(&str, &mut TcpStream) -> io::Result<()> + Send + Sync;

/// A server, and how often it was asked.
struct Server {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Server {
    /// Answers each request so, and closes the connection.
    fn start(answer: impl Fn(&str, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (answer, asked): (Arc<Answer>, _) = (Arc::new(answer), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answer, counted) = (Arc::clone(&answer), Arc::clone(&counted));
                thread::spawn(move || attend(stream, &*answer, &counted));
            }
        });
        Self { url, asked }
    }

    /// Serves a log's files, but for those whose path begins so, which are answered otherwise.
    fn of(
        log: &Log,
        path: &str,
        answer: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let (files, path) = (log.files.clone(), path.to_owned());
        Self::start(move |asked, stream| {
            if asked.starts_with(&path) {
                return answer(stream);
            }
            match files.get(asked) {
                Some(bytes) => ok(stream, bytes),
                None => stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
            }
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn attend(mut stream: TcpStream, answer: &Answer, counted: &AtomicUsize) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    counted.fetch_add(1, Ordering::Relaxed);
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
    // A client that has heard enough goes away.
    let _ = answer(&path, &mut stream);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let _ = stream.read(&mut byte);
}

fn ok(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", bytes.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(bytes)
}

/// Runs a command on a server, with little time for each file and little memory.
fn ask(log: &Log, command: &str, url: &str, more: &[&str]) -> Run {
    let (root, started) = (log.path("root.der"), Instant::now());
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -v {MEMORY_KIB}; exec \"$0\" \"$@\"")]);
    shell.arg(env!("CARGO_BIN_EXE_kmsctl")).args(["audit", command, url, "--timeout", "1", "--root"]);
    let output = shell.arg(&root).args(more).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap_or_else(|| panic!("ended by a signal: {:?}", output.status));
    let run = Run { code, stdout: text(output.stdout), stderr: text(output.stderr) };
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(started.elapsed() < BOUND, "{:?}: {said}", started.elapsed());
    assert!(!said.contains("panicked") && !said.contains("is as it was signed"), "{said}");
    run
}

fn verify(log: &Log, server: &Server) -> Run {
    ask(log, "verify", &server.url, &["--key", &log.key()])
}

/// That verification ends so, with that code at that place.
fn ends(log: &Log, server: &Server, exit: i32, words: &[&str]) {
    let run = verify(log, server).exits(exit);
    let said = format!("{}{}", run.stdout, run.stderr);
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
}

/// Writes until the other side has had enough.
fn endless(stream: &mut TcpStream, head: &str, chunk: &[u8]) -> io::Result<()> {
    stream.write_all(head.as_bytes())?;
    loop {
        stream.write_all(chunk)?;
    }
}

fn drip(stream: &mut TcpStream, text: &str) -> io::Result<()> {
    for byte in text.bytes().cycle() {
        stream.write_all(&[byte])?;
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

const UNAVAILABLE: &str = "log-source-unavailable";

#[test]
fn slow_server__should_be_undecided_in_the_time_that_a_file_has() {
    let log = Log::new(1);
    let silent = |stream: &mut TcpStream| stream.read(&mut [0; 16]).map(drop);
    let head = |stream: &mut TcpStream| drip(stream, "HTTP/1.1 200 OK\r\nx: y\r\n");
    let body = |stream: &mut TcpStream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")?;
        drip(stream, "kms.example/log\n")
    };
    for path in ["checkpoint", "tile/entries/", "tile/0/", "blob/"] {
        for server in
            [Server::of(&log, path, silent), Server::of(&log, path, head), Server::of(&log, path, body)]
        {
            ends(&log, &server, UNDECIDED, &[UNAVAILABLE, path, "nothing in 1 s"]);
        }
    }
}

#[test]
fn endless_answer__should_be_cut_off_where_no_such_file_can_be_longer() {
    let log = Log::new(1);
    let plain = |stream: &mut TcpStream| endless(stream, "HTTP/1.1 200 OK\r\n\r\n", &vec![b'a'; 65_536]);
    let chunked = |stream: &mut TcpStream| {
        let chunk = format!("10000\r\n{}\r\n", "a".repeat(65_536));
        endless(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", chunk.as_bytes())
    };
    for path in ["checkpoint", "tile/entries/", "tile/0/", "blob/"] {
        for server in [Server::of(&log, path, plain), Server::of(&log, path, chunked)] {
            ends(&log, &server, WRONG, &["log-file-too-large", path]);
        }
    }
    // Headers without end are no answer at all.
    let headers = |stream: &mut TcpStream| endless(stream, "HTTP/1.1 200 OK\r\n", b"x: yyyyyyyyyyyyyyyy\r\n");
    ends(&log, &Server::of(&log, "checkpoint", headers), UNDECIDED, &[UNAVAILABLE, "checkpoint"]);
}

#[test]
fn announced_length__should_be_believed_neither_for_memory_nor_for_the_end() {
    let log = Log::new(1);
    let huge = "HTTP/1.1 200 OK\r\ncontent-length: 999999999999999\r\n\r\nabc";
    for path in ["checkpoint", "tile/entries/", "blob/"] {
        // Closed after three bytes; and kept open.
        let closed = Server::of(&log, path, move |stream| stream.write_all(huge.as_bytes()));
        ends(&log, &closed, UNDECIDED, &[UNAVAILABLE, path]);
        let open = Server::of(&log, path, move |stream| {
            stream.write_all(huge.as_bytes())?;
            stream.read(&mut [0; 16]).map(drop)
        });
        ends(&log, &open, UNDECIDED, &[UNAVAILABLE, path]);
    }
    // More than 64 bits, two lengths, and no number.
    for length in ["99999999999999999999999", "3\r\ncontent-length: 4", "-1", "three"] {
        let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\nabc");
        let server = Server::of(&log, "checkpoint", move |stream| stream.write_all(text.as_bytes()));
        ends(&log, &server, UNDECIDED, &[UNAVAILABLE, "checkpoint"]);
    }
    // The genuine bytes under a length that is not theirs: too short is another file, too long is none.
    let checkpoint = log.files["checkpoint"].clone();
    for (change, exit, code) in [(-1_isize, WRONG, "note-"), (1, UNDECIDED, UNAVAILABLE)] {
        let bytes = checkpoint.clone();
        let server = Server::of(&log, "checkpoint", move |stream| {
            let length = bytes.len().saturating_add_signed(change);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(&[head.as_bytes(), &bytes].concat())
        });
        ends(&log, &server, exit, &[code, "checkpoint"]);
    }
}

#[test]
fn redirect__should_not_be_followed_anywhere() {
    let log = Log::new(1);
    let honest = Server::of(&log, "nothing", |_| Ok(()));
    let elsewhere = honest.url.clone();
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        for path in ["checkpoint", "tile/entries/", "blob/"] {
            let text =
                format!("HTTP/1.1 {status}\r\nlocation: {elsewhere}/{path}\r\ncontent-length: 0\r\n\r\n");
            let server = Server::of(&log, path, move |stream| stream.write_all(text.as_bytes()));
            let status = status.split(' ').next().unwrap();
            ends(&log, &server, UNDECIDED, &[UNAVAILABLE, path, &format!("status {status}")]);
        }
    }
    assert_eq!(honest.asked(), 0);
    // To itself, for ever: asked once for the file.
    let text = "HTTP/1.1 302 Found\r\nlocation: /checkpoint\r\ncontent-length: 0\r\n\r\n";
    let circle = Server::start(move |_, stream| stream.write_all(text.as_bytes()));
    ends(&log, &circle, UNDECIDED, &[UNAVAILABLE, "status 302"]);
    assert_eq!(circle.asked(), 1);
}

#[test]
fn failing_server__should_be_asked_three_times_and_be_undecided() {
    let log = Log::new(1);
    for status in ["500 Oops", "502 Bad Gateway", "503 Busy"] {
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        let server = Server::start(move |_, stream| stream.write_all(text.as_bytes()));
        ends(&log, &server, UNDECIDED, &[UNAVAILABLE, "checkpoint", &format!("status {}", &status[..3])]);
        assert_eq!(server.asked(), 3);
    }
    // Not allowed is not "not there": nothing is known.
    for status in ["401 Who", "403 No", "429 Later", "204 Empty", "206 Part"] {
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        for path in ["checkpoint", "tile/entries/", "blob/"] {
            let text = text.clone();
            let server = Server::of(&log, path, move |stream| stream.write_all(text.as_bytes()));
            ends(&log, &server, UNDECIDED, &[UNAVAILABLE, path]);
        }
    }
    // Broken off in the middle, within the head and within the body.
    for path in ["checkpoint", "tile/entries/", "tile/0/", "blob/"] {
        for text in
            ["HTTP/1.1 200 O", "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\nkms.exam", "", "SSH-2.0-x\r\n"]
        {
            let server = Server::of(&log, path, move |stream| stream.write_all(text.as_bytes()));
            ends(&log, &server, UNDECIDED, &[UNAVAILABLE, path]);
        }
    }
    // One that comes back in time is as good as any.
    let (files, tries) = (log.files.clone(), AtomicUsize::new(0));
    let flaky = Server::start(move |path, stream| {
        match (tries.fetch_add(1, Ordering::Relaxed) % 2, files.get(path)) {
            (1, Some(bytes)) => ok(stream, bytes),
            (1, None) => stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
            _ => stream.write_all(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n"),
        }
    });
    let key = log.key();
    let words = ["audit", "show", &flaky.url, "2", "--key", &key];
    assert_eq!(crate::run::kmsctl(words).exits(0).json()["index"], 2);
}

#[test]
fn page_for_people__should_be_no_log() {
    let log = Log::new(1);
    let page = |stream: &mut TcpStream| ok(stream, b"<!doctype html><title>Welcome</title><p>404, or not\n");
    for (path, code) in [
        ("", "note-malformed"),
        ("checkpoint", "note-malformed"),
        ("tile/entries/", "tile-malformed"),
        ("tile/0/", "tile-malformed"),
        ("blob/", "blob-malformed"),
        ("pruned", "log-file-too-large"),
    ] {
        ends(&log, &Server::of(&log, path, page), WRONG, &[code, path]);
    }
    // Whatever is asked of such a server, nothing comes of it.
    let everything = Server::of(&log, "", page);
    let state = log.path("state");
    for (command, more) in [
        ("replay", &[][..]),
        ("show", &["2"][..]),
        ("explain", &["2"]),
        ("search", &["--code", "allow"]),
        ("export", &["2", "--output", "/dev/null"]),
        ("watch", &["--once", "--state", state.to_str().unwrap()]),
    ] {
        let run = ask(&log, command, &everything.url, &[&["--key", &log.key()], more].concat()).exits(WRONG);
        assert!(format!("{}{}", run.stdout, run.stderr).contains("note-malformed"), "{command}");
        // Nor without a key that was pinned.
        ask(&log, command, &everything.url, more).exits(WRONG);
    }
    assert!(!state.exists());
}

#[test]
fn tile_of_another_size__should_be_found_at_its_path() {
    let log = Log::new(1);
    let tile = log.files.keys().find(|path| path.starts_with("tile/0/")).unwrap().clone();
    let genuine = &log.files[&tile];
    let longer = [&genuine[..], &[0; 32]].concat();
    for (bytes, code) in [
        (genuine[32..].to_vec(), "tile-malformed"),
        (genuine[1..].to_vec(), "tile-malformed"),
        (Vec::new(), "tile-malformed"),
        (longer, "log-file-too-large"),
    ] {
        let server = Server::of(&log, &tile, move |stream| ok(stream, &bytes));
        ends(&log, &server, WRONG, &[code, &tile]);
    }
}

/// An LZ4 block of that many zeros, which is as small as one can be.
fn bomb(zeros: u32) -> Vec<u8> {
    let zeros = vec![0; usize::try_from(zeros).unwrap()];
    blob_file::encode_whole(&zeros)
}

#[test]
fn bomb_in_a_blob__should_neither_unpack_nor_pass() {
    let log = Log::new(1);
    let path = blob_file::path(log.scene.decision(2).evidence.quote.unwrap());
    let with_length = |length: u32, bomb: &[u8]| [&[1][..], &length.to_be_bytes(), &bomb[5..]].concat();
    let largest = bomb(8 * 1024 * 1024);
    assert!(largest.len() < 64 * 1024, "{}", largest.len());
    let part = blob_file::path(kms_ledger::BlobId::of(&[0; 8]));
    let list = [&[2][..], &[&[1][..], &kms_ledger::BlobId::of(&[0; 8]).0].concat().repeat(60_000)].concat();
    for (bytes, code) in [
        // Unpacks to the most that a blob may have, and is not this one.
        (largest.clone(), "blob-foreign"),
        // Says that it unpacks to 4 GiB, or to nothing.
        (with_length(u32::MAX, &largest), "blob-malformed"),
        (with_length(0, &largest), "blob-malformed"),
        // 64 MiB behind a length that a blob may have.
        (with_length(8 * 1024 * 1024, &bomb(64 * 1024 * 1024)), "blob-malformed"),
        // One part, 60,000 times.
        (list, "blob-malformed"),
    ] {
        let mut files = log.files.clone();
        files.insert(path.clone(), bytes);
        files.insert(part.clone(), largest.clone());
        let hostile = Server::start(move |asked, stream| match files.get(asked) {
            Some(bytes) => ok(stream, bytes),
            None => stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
        });
        ends(&log, &hostile, WRONG, &[code, &path]);
        let replayed = ask(&log, "replay", &hostile.url, &["2", "--key", &log.key(), "--json"]).exits(WRONG);
        assert_eq!(replayed.json()["tally"]["gaps"]["replay-blob-damaged"], 1);
    }
    assert!(Path::new(&path).is_relative());
}
