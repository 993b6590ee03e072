//! HTTP/1.1 over a plain TCP connection, without a library in between: one write and one read per
//! request of usual size, and no allocation.
//!
//! Does not measure time and does not decide about tries. TLS and HTTP/2 are `session`'s.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use harness_core::load::RequestOutcome;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::answer::{Answer, NoHttp};
use crate::flat::Flat;
use crate::session::Failure;
use crate::transport::class;

/// What a connection reads at once.
const BUFFER_BYTES: usize = 16 << 10;
/// A head, or a line between chunks, that is longer is no HTTP.
const HEAD_BYTES_MAX: usize = 256 << 10;

/// One connection.
#[derive(Debug)]
pub(crate) struct PlainConnection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What was read and is not used: `buffer[start..end]`.
    start: usize,
    end: usize,
    closed: bool,
}

/// How an exchange goes on.
enum Turn {
    Whole,
    Ended(RequestOutcome),
}

impl PlainConnection {
    /// On a connected stream.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: vec![0; BUFFER_BYTES], start: 0, end: 0, closed: false }
    }

    /// Whether no further request can be sent on it.
    pub(crate) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Ready when the connection is over: it was closed, or bytes came that nobody asked for.
    pub(crate) fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.closed {
            // Anything at all is the end; readiness that was none asks again.
            match ready!(self.poll_fill(cx)) {
                Ok(_) | Err(_) => self.closed = true,
            }
        }
        Poll::Ready(())
    }

    /// Sends a request and reads the whole answer. `on_send` is called at the last moment before
    /// the first byte goes out. Dropping the future leaves the connection in an unknown state.
    pub(crate) async fn exchange(
        &mut self,
        request: &Flat,
        needle: Option<&Bytes>,
        on_send: impl FnOnce(),
    ) -> Result<RequestOutcome, Failure> {
        let idle = poll_fn(|cx| Poll::Ready(self.poll_idle(cx).is_pending())).await;
        if !idle {
            return Err(Failure::NotSent);
        }
        on_send();
        // Until the whole answer is here, an exchange that is dropped leaves no usable connection.
        self.closed = true;
        let mut answer = Answer::new(request.head_only, needle.map(AsRef::as_ref));
        let mut unsent: &[u8] = &request.bytes;
        let turn = poll_fn(|cx| self.poll_exchange(cx, &mut unsent, &mut answer)).await;
        match turn {
            Turn::Ended(outcome @ RequestOutcome::Status(_)) => Ok(outcome),
            Turn::Ended(outcome) => Err(Failure::Ended(outcome)),
            Turn::Whole if self.start < self.end => Ok(RequestOutcome::Body),
            Turn::Whole => {
                self.closed = !answer.keeps_alive() || !unsent.is_empty();
                Ok(answer.outcome())
            }
        }
    }

    /// Writes what can be written and reads what can be read: a target may answer before it has
    /// the whole request.
    fn poll_exchange(
        &mut self,
        cx: &mut Context<'_>,
        unsent: &mut &[u8],
        answer: &mut Answer<'_>,
    ) -> Poll<Turn> {
        while !unsent.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, unsent) {
                Poll::Ready(Ok(count)) if count > 0 => *unsent = &unsent[count..],
                // The answer may be here all the same; if not, reading says how it ended.
                Poll::Ready(Ok(_) | Err(_)) | Poll::Pending => break,
            }
        }
        loop {
            let outcome = match ready!(self.poll_fill(cx)) {
                Ok(0) => answer.at_end(),
                Ok(_) => match answer.read(&self.buffer[self.start..self.end]) {
                    Ok(step) => {
                        self.start += step.used;
                        if step.done {
                            return Poll::Ready(Turn::Whole);
                        }
                        continue;
                    }
                    Err(NoHttp) => RequestOutcome::Body,
                },
                Err(error) if error.kind() == io::ErrorKind::InvalidData => RequestOutcome::Body,
                Err(error) => class(&error),
            };
            return Poll::Ready(Turn::Ended(outcome));
        }
    }

    /// Reads more behind what is not used; zero at the end of the stream.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end == self.buffer.len() {
                if self.end >= HEAD_BYTES_MAX {
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
                self.buffer.resize(self.end * 2, 0);
            }
        }
        let mut space = ReadBuf::new(&mut self.buffer[self.end..]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut space))?;
        let count = space.filled().len();
        self.end += count;
        Poll::Ready(Ok(count))
    }
}
