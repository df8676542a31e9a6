//! A connection as tonic reads and writes it: idle ones end, old ones end, and what it occupies is given back when it
//! does.
//!
//! Idle is a connection without a request in hand; PINGs and half a request are none. tonic asks an old connection to close,
//! and waits for what is under way on it. This is the end of that waiting. Threat: a caller that sends a byte now and then,
//! is never idle, and never done.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::admission::Admission;
use super::connection::Connection;
use super::listen::ConnectionTimes;

/// A TLS connection after its handshake.
pub(crate) struct Secured {
    stream: TlsStream<TcpStream>,
    connection: Arc<Connection>,
    idle: Pin<Box<Sleep>>,
    idle_timeout: Duration,
    end: Pin<Box<Sleep>>,
    _admission: Admission,
}

impl Secured {
    pub(crate) fn new(
        stream: TlsStream<TcpStream>,
        connection: Connection,
        admission: Admission,
        times: ConnectionTimes,
    ) -> Self {
        let ConnectionTimes { idle: idle_timeout, life, .. } = times;
        let (idle, end) = (Box::pin(sleep(idle_timeout)), Box::pin(sleep(life)));
        Self { stream, connection: Arc::new(connection), idle, idle_timeout, end, _admission: admission }
    }

    /// Ends a transfer where the connection has been idle for too long, or has lived for too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, transfer: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if self.end.as_mut().poll(cx).is_ready() || self.is_idle(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        transfer
    }

    /// Whether no request has been in hand for as long as that may be. Otherwise the timer is set to when it could be so.
    fn is_idle(&mut self, cx: &mut Context<'_>) -> bool {
        while self.idle.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let end = self.connection.activity().quiet_since().unwrap_or(now) + self.idle_timeout;
            if end <= now {
                return true;
            }
            self.idle.as_mut().reset(end);
        }
        false
    }
}

impl Connected for Secured {
    type ConnectInfo = Arc<Connection>;

    fn connect_info(&self) -> Self::ConnectInfo {
        Arc::clone(&self.connection)
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.watch(cx, read)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
