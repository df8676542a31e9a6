//! A TCP relay that counts what passes: HTTP requests and bytes, as a network would see them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// What has passed so far.
#[derive(Clone, Copy)]
pub(crate) struct Counted {
    pub(crate) requests: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

#[derive(Default)]
struct Counters {
    requests: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

pub(crate) struct Relay {
    port: u16,
    counters: Arc<Counters>,
}

impl Relay {
    /// Starts relaying to a port of this machine, until the process ends.
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Self { port: listener.local_addr().unwrap().port(), counters: Arc::default() };
        let counters = Arc::clone(&relay.counters);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
                server.set_nodelay(true).unwrap();
                client.set_nodelay(true).unwrap();
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (up, down) = (Arc::clone(&counters), Arc::clone(&counters));
                thread::spawn(move || {
                    copy(from, to, |bytes| {
                        up.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                        up.requests.fetch_add(u64::from(bytes.starts_with(b"POST ")), Ordering::Relaxed);
                    });
                });
                thread::spawn(move || {
                    copy(server, client, |bytes| {
                        down.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    });
                });
            }
        });
        relay
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn counted(&self) -> Counted {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { requests, sent, received } = &*self.counters;
        Counted { requests: of(requests), sent: of(sent), received: of(received) }
    }
}

/// The client waits for each answer, so that a request always starts a read.
fn copy(mut from: TcpStream, mut to: TcpStream, count: impl Fn(&[u8])) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        count(&buffer[..len]);
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Write));
}
