//! One connection: the caller's socket, the callee's, and what the standing order does to them.
//!
//! The order may change at any moment. What is in the connection stays there: only an order that
//! means to drop a connection drops it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use injectors::proxy::wire::ProxyEffect;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::TcpStream;

use super::answer::{Kind, Messages, Persistence, Step, response};
use super::clock::monotonic_nanos;
use super::direction::{Direction, Pace, Towards};
use super::standing::Counters;
use super::timer::{Alarm, Timer};

mod special;

use special::Special;

/// A callee that does not take the connection within this time counts as refusing.
const DIAL_NANOS_MAX: u64 = 10_000_000_000;
/// One read of requests that the proxy answers itself.
const REQUEST_READ_BYTES: usize = 16 * 1024;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Both sides have said all.
    Done,
    /// Both sides get a reset.
    Reset,
}

type Dialing = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

enum Callee {
    /// Not needed yet, or not any more.
    None,
    /// Until an instant of the monotonic clock.
    Dialing(Dialing, u64),
    Connected(TcpStream),
}

/// One connection.
pub(super) struct Relay {
    caller: TcpStream,
    callee: Callee,
    upstream: SocketAddr,
    to_callee: Direction,
    to_caller: Direction,
    /// Bytes of a request went on and nothing came back since.
    awaiting_answer: bool,
    /// The proxy answers this connection itself, with this status.
    answering: Option<(Messages, u16)>,
    /// Under an effect that needs more than a pace.
    special: Special,
    timer: Arc<Timer>,
    counters: Arc<Counters>,
    /// For the limit of the dial.
    alarm: Alarm,
}

impl Relay {
    pub(super) fn new(
        caller: TcpStream,
        upstream: SocketAddr,
        counters: &Arc<Counters>,
        timer: &Arc<Timer>,
    ) -> Self {
        let direction = |towards| Direction::new(towards, Arc::clone(counters), timer);
        Self {
            caller,
            callee: Callee::None,
            upstream,
            to_callee: direction(Towards::Callee),
            to_caller: direction(Towards::Caller),
            awaiting_answer: false,
            answering: None,
            special: Special::None,
            timer: Arc::clone(timer),
            counters: Arc::clone(counters),
            alarm: Alarm::new(timer),
        }
    }

    /// Goes on as far as it can under this order.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, effect: Option<&ProxyEffect>) -> Poll<End> {
        let carried = match effect {
            Some(ProxyEffect::Blackhole) => Poll::Pending,
            Some(ProxyEffect::Refuse | ProxyEffect::Reset) => return Poll::Ready(End::Reset),
            None | Some(_) => self.poll_under(cx, effect),
        };
        // An error on one side reaches the other as a reset, as without a proxy.
        carried.map(|result| if result.is_ok() { End::Done } else { End::Reset })
    }

    fn poll_under(
        &mut self,
        cx: &mut Context<'_>,
        effect: Option<&ProxyEffect>,
    ) -> Poll<io::Result<()>> {
        if !self.special.carries_out(effect) {
            ready!(self.poll_leave(cx))?;
        }
        match effect {
            None => self.poll_carry(cx, Pace::Through),
            Some(ProxyEffect::Latency { delay, jitter }) => {
                let nanos = |duration: harness_core::units::Duration| duration.micros() * 1000;
                self.poll_carry(cx, Pace::Delayed { delay: nanos(*delay), jitter: nanos(*jitter) })
            }
            Some(ProxyEffect::Status(status)) => self.poll_status(cx, *status),
            Some(ProxyEffect::Http(http)) => self.poll_http_under(cx, http),
            Some(effect) => self.poll_shaped_under(cx, effect),
        }
    }

    /// Closes both sockets.
    pub(super) fn end(self, end: End) {
        if end == End::Reset {
            reset(&self.caller);
            if let Callee::Connected(callee) = &self.callee {
                reset(callee);
            }
        }
    }

    fn poll_carry(&mut self, cx: &mut Context<'_>, pace: Pace) -> Poll<io::Result<()>> {
        if ready!(self.poll_finish_answering(cx))? == Ended::Yes {
            return Poll::Ready(Ok(()));
        }
        if ready!(self.poll_dial(cx))? == Dialed::Not {
            return Poll::Pending;
        }
        let Callee::Connected(callee) = &mut self.callee else { unreachable!("dialled above") };
        let (mut requests, mut answers_out) = self.caller.split();
        let (mut answers, mut requests_out) = callee.split();
        if !self.to_callee.is_ended() {
            // The delay is added on the way of the request only, so once per round trip.
            let before = self.to_callee.read_bytes();
            so_far(self.to_callee.poll(cx, &mut requests, &mut requests_out, pace))?;
            self.awaiting_answer |= self.to_callee.read_bytes() > before;
        }
        if !self.to_caller.is_ended() {
            let before = self.to_caller.read_bytes();
            so_far(self.to_caller.poll(cx, &mut answers, &mut answers_out, Pace::Through))?;
            self.awaiting_answer &= self.to_caller.read_bytes() == before;
        }
        if self.to_callee.is_ended() && self.to_caller.is_ended() {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// What was begun under a fault that answers everything ends as it began.
    fn poll_finish_answering(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Ended>> {
        if let Some((requests, status)) = &self.answering {
            let status = *status;
            if !requests.is_between() {
                ready!(self.poll_answer(cx, status, Until::EndOfRequest))?;
                if self.to_caller.is_ended() {
                    return Poll::Ready(Ok(Ended::Yes));
                }
            }
            self.answering = None;
        }
        Poll::Ready(Ok(Ended::No))
    }

    fn poll_status(&mut self, cx: &mut Context<'_>, status: u16) -> Poll<io::Result<()>> {
        if self.answering.is_none() {
            let in_flight = self.awaiting_answer || !self.to_callee.is_empty();
            if in_flight || self.to_callee.is_read_ended() || self.to_caller.is_read_ended() {
                if self.poll_carry(cx, Pace::Through)?.is_ready() {
                    return Poll::Ready(Ok(()));
                }
                if self.awaiting_answer || !self.to_callee.is_empty() {
                    return Poll::Pending;
                }
            }
            self.answering = Some((Messages::new(Kind::Requests), status));
        }
        self.poll_answer(cx, status, Until::EndOfConnection)
    }

    /// Answers what the caller sends. Ready at the end of the connection, or of the request.
    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        status: u16,
        until: Until,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_flush_to_caller(cx))?;
            let between = self.answering.as_ref().is_none_or(|(requests, _)| requests.is_between());
            if self.to_caller.is_ended() || (until == Until::EndOfRequest && between) {
                return Poll::Ready(Ok(()));
            }
            let mut scratch = [0_u8; REQUEST_READ_BYTES];
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.caller).poll_read(cx, &mut buffer))?;
            let piece = buffer.filled();
            if piece.is_empty() {
                self.to_caller.push_end();
                continue;
            }
            // A new request: the answer to the one before is complete, or no longer wanted.
            self.callee = Callee::None;
            self.answer(piece, status, until);
        }
    }

    fn answer(&mut self, mut piece: &[u8], status: u16, until: Until) {
        let (requests, now) = self.answering.as_mut().expect("only called while answering");
        *now = status;
        loop {
            let (used, text, then) = match requests.feed(piece) {
                Step::More => return,
                Step::Head { used } => {
                    piece = &piece[used..];
                    continue;
                }
                Step::End { used, then } => (used, response(status, then), then),
                Step::Lost => (piece.len(), response(400, Persistence::Close), Persistence::Close),
            };
            piece = &piece[used..];
            self.counters.answered.fetch_add(1, Ordering::Relaxed);
            self.to_caller.push(Bytes::from(text));
            if then == Persistence::Close {
                self.to_caller.push_end();
                return;
            }
            if until == Until::EndOfRequest {
                // The fault is over: what follows is for the callee.
                if !piece.is_empty() {
                    self.to_callee.push(Bytes::copy_from_slice(piece));
                    self.awaiting_answer = true;
                }
                return;
            }
        }
    }

    /// Ready when nothing for the caller is held. An answer of the callee that is still coming
    /// goes on coming.
    fn poll_flush_to_caller(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (_, mut caller_write) = self.caller.split();
        if let Callee::Connected(callee) = &mut self.callee {
            let (mut callee_read, _) = callee.split();
            let through = Pace::Through;
            if self.to_caller.poll(cx, &mut callee_read, &mut caller_write, through)?.is_pending()
                && !self.to_caller.is_empty()
            {
                return Poll::Pending;
            }
            return Poll::Ready(Ok(()));
        }
        self.to_caller.poll_flush(cx, &mut caller_write, Pace::Through)
    }

    fn poll_dial(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Dialed>> {
        if let Callee::None = self.callee {
            let limit = monotonic_nanos() + DIAL_NANOS_MAX;
            self.callee = Callee::Dialing(Box::pin(TcpStream::connect(self.upstream)), limit);
        }
        if let Callee::Dialing(dialing, limit) = &mut self.callee {
            let Poll::Ready(callee) = dialing.as_mut().poll(cx) else {
                if monotonic_nanos() >= *limit {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                // The runtime's own timer would cost a system call for each connection.
                self.alarm.wake_at(*limit, cx.waker());
                let (_, mut caller_write) = self.caller.split();
                let flushed = self.to_caller.poll_flush(cx, &mut caller_write, Pace::Through);
                return flushed.map_ok(|()| Dialed::Not);
            };
            let callee = callee?;
            callee.set_nodelay(true)?;
            self.alarm.off();
            self.callee = Callee::Connected(callee);
        }
        Poll::Ready(Ok(Dialed::Yes))
    }
}

/// An error, if there was one; whether it is ready does not matter.
fn so_far(polled: Poll<io::Result<()>>) -> io::Result<()> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Ok(()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    EndOfConnection,
    EndOfRequest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialed {
    Yes,
    Not,
}

/// Whether a connection has said its last word to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Yes,
    No,
}

/// Makes the kernel send a reset instead of an end when the socket is closed.
pub(super) fn reset(stream: &TcpStream) {
    // A socket that is gone already needs no reset.
    stream.set_zero_linger().unwrap_or_default();
}
