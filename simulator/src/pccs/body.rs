//! Response bodies that no honest server sends: endless ones, and ones that break off.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use hyper::body::Frame;

/// A piece, so many times, and then an end or a broken connection.
#[derive(Debug)]
pub(super) struct Pieces {
    piece: Bytes,
    left: u32,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Regular,
    Broken,
}

impl Pieces {
    /// So many times 2^20 zero bytes.
    pub(super) fn zeros(megabytes: u32) -> Self {
        Self { piece: Bytes::from(vec![0; 1 << 20]), left: megabytes, end: End::Regular }
    }

    /// Some bytes, after which the connection closes.
    pub(super) fn broken(bytes: Vec<u8>) -> Self {
        Self { left: u32::from(!bytes.is_empty()), piece: Bytes::from(bytes), end: End::Broken }
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left > 0 {
            self.left -= 1;
            return Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))));
        }
        Poll::Ready(match self.end {
            End::Regular => None,
            End::Broken => Some(Err(io::Error::from(io::ErrorKind::ConnectionReset))),
        })
    }
}
