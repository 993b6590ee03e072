//! A connection under an effect that needs more than a pace: shaped streams, single requests.

use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use injectors::proxy::wire::{HttpEffect, ProxyEffect};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::{Callee, Dialed, Ended, REQUEST_READ_BYTES, Relay, Until};
use crate::proxy::answer::{Persistence, response};
use crate::proxy::clock::monotonic_nanos;
use crate::proxy::direction::{Direction, Pace};
use crate::proxy::effects::{Action, Exchange, Next, Shaper, Shapers};
use crate::proxy::timer::Alarm;

/// What such an effect keeps for a connection.
pub(super) enum Special {
    None,
    Shaped(Box<Shaped>),
    Http(Box<Http>),
}

pub(super) struct Shaped {
    shapers: Shapers,
    outward: Alarm,
    inward: Alarm,
}

pub(super) struct Http {
    exchange: Exchange,
    alarm: Alarm,
}

impl Special {
    /// Whether it belongs to this effect.
    pub(super) fn carries_out(&self, effect: Option<&ProxyEffect>) -> bool {
        match self {
            Self::None => true,
            Self::Shaped(shaped) => shaped.shapers.carry_out(effect),
            Self::Http(http) => http.exchange.carries_out(effect),
        }
    }
}

impl Relay {
    /// Leaves an effect that is over: what waits for it passes at once, and a request that is
    /// being answered here is answered.
    pub(super) fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (outward, inward) = match &mut self.special {
            Special::None => return Poll::Ready(Ok(())),
            Special::Shaped(shaped) => {
                let Shapers { outward, inward, .. } = &mut shaped.shapers;
                (outward.rest(), inward.rest())
            }
            Special::Http(http) => {
                self.awaiting_answer = http.exchange.is_awaiting_answer();
                let Some(rest) = http.exchange.rest() else {
                    ready!(self.poll_http(cx, Until::EndOfRequest))?;
                    return self.poll_leave(cx);
                };
                (Some(rest).filter(|rest| !rest.is_empty()), None)
            }
        };
        self.special = Special::None;
        if let Some(rest) = outward {
            self.to_callee.push(rest);
            self.awaiting_answer = true;
        }
        if let Some(rest) = inward {
            self.to_caller.push(rest);
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_shaped_under(
        &mut self,
        cx: &mut Context<'_>,
        effect: &ProxyEffect,
    ) -> Poll<io::Result<()>> {
        if let Special::None = self.special {
            if ready!(self.poll_finish_answering(cx))? == Ended::Yes {
                return Poll::Ready(Ok(()));
            }
            let (outward, inward) = (Alarm::new(&self.timer), Alarm::new(&self.timer));
            let Some(shapers) = Shapers::of(effect, outward.ticket()) else {
                return self.poll_carry(cx, Pace::Through);
            };
            self.special = Special::Shaped(Box::new(Shaped { shapers, outward, inward }));
        }
        self.poll_shaped(cx)
    }

    fn poll_shaped(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if ready!(self.poll_dial(cx))? == Dialed::Not {
            return Poll::Pending;
        }
        let Callee::Connected(callee) = &mut self.callee else { unreachable!("dialled above") };
        let Special::Shaped(shaped) = &mut self.special else { unreachable!("the caller's match") };
        let (mut requests, mut answers_out) = self.caller.split();
        let (mut answers, mut requests_out) = callee.split();
        let Shapers { outward, inward, .. } = &mut shaped.shapers;
        let way = Way { direction: &mut self.to_callee, shaper: outward };
        let asked = way.poll(cx, &mut shaped.outward, &mut requests, &mut requests_out)?;
        self.awaiting_answer |= asked == Moved::Some;
        let way = Way { direction: &mut self.to_caller, shaper: inward };
        let answered = way.poll(cx, &mut shaped.inward, &mut answers, &mut answers_out)?;
        self.awaiting_answer &= answered == Moved::None;
        if self.to_caller.is_ended() && (self.to_callee.is_ended() || inward.is_cut()) {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    pub(super) fn poll_http_under(
        &mut self,
        cx: &mut Context<'_>,
        effect: &HttpEffect,
    ) -> Poll<io::Result<()>> {
        if let Special::None = self.special {
            if ready!(self.poll_until_between(cx))? == Ended::Yes {
                return Poll::Ready(Ok(()));
            }
            let alarm = Alarm::new(&self.timer);
            let exchange = Exchange::new(effect, alarm.ticket());
            self.special = Special::Http(Box::new(Http { exchange, alarm }));
        }
        self.poll_http(cx, Until::EndOfConnection)
    }

    /// What is under way goes on as without a fault, until the answer to it has begun. A
    /// connection of which one side has ended goes on so to its end.
    fn poll_until_between(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Ended>> {
        if ready!(self.poll_finish_answering(cx))? == Ended::Yes {
            return Poll::Ready(Ok(Ended::Yes));
        }
        if self.is_between() {
            return Poll::Ready(Ok(Ended::No));
        }
        if self.poll_carry(cx, Pace::Through)?.is_ready() {
            return Poll::Ready(Ok(Ended::Yes));
        }
        if self.is_between() { Poll::Ready(Ok(Ended::No)) } else { Poll::Pending }
    }

    fn is_between(&self) -> bool {
        let in_flight = self.awaiting_answer || !self.to_callee.is_empty();
        !in_flight && !self.to_callee.is_read_ended() && !self.to_caller.is_read_ended()
    }

    /// Ready at the end of the connection, or of a request that is answered here.
    fn poll_http(&mut self, cx: &mut Context<'_>, until: Until) -> Poll<io::Result<()>> {
        if ready!(self.poll_dial(cx))? == Dialed::Not {
            return Poll::Pending;
        }
        let Callee::Connected(callee) = &mut self.callee else { unreachable!("dialled above") };
        let Special::Http(http) = &mut self.special else { unreachable!("the caller's match") };
        let Http { exchange, alarm } = &mut **http;
        let (mut requests, mut answers_out) = self.caller.split();
        let (mut answers, mut requests_out) = callee.split();
        let mut scratch = [0_u8; REQUEST_READ_BYTES];
        loop {
            let sent = self.to_callee.poll_flush(cx, &mut requests_out, Pace::Through)?;
            ready!(self.to_caller.poll_flush(cx, &mut answers_out, Pace::Through))?;
            if self.to_caller.is_ended() {
                return Poll::Ready(Ok(()));
            }
            // Answers pass at any time: a callee that cannot write them reads no request.
            if let Poll::Ready(read) = poll_read(cx, &mut answers, &mut scratch)? {
                if read.is_empty() {
                    self.to_caller.push_end();
                } else {
                    exchange.note_answer(read);
                    self.to_caller.push(Bytes::copy_from_slice(read));
                }
                continue;
            }
            ready!(sent);
            match exchange.next(monotonic_nanos()) {
                Action::Forward(bytes) => self.to_callee.push(bytes),
                Action::Answer(status, then) => {
                    self.counters.answered.fetch_add(1, Ordering::Relaxed);
                    self.to_caller.push(Bytes::from(response(status, then)));
                    if then == Persistence::Close {
                        self.to_caller.push_end();
                    }
                    if until == Until::EndOfRequest {
                        return Poll::Ready(Ok(()));
                    }
                }
                Action::Wait(due) => {
                    alarm.wake_at(due, cx.waker());
                    return Poll::Pending;
                }
                Action::ReadCallee => return Poll::Pending,
                Action::ReadCaller if self.to_callee.is_read_ended() => return Poll::Pending,
                Action::ReadCaller => {
                    let read = ready!(poll_read(cx, &mut requests, &mut scratch))?;
                    if read.is_empty() {
                        self.to_callee.push_end();
                    } else {
                        exchange.take(read);
                    }
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    Some,
    None,
}

/// One direction and what shapes it.
struct Way<'a> {
    direction: &'a mut Direction,
    shaper: &'a mut Shaper,
}

impl Way<'_> {
    /// Reads and writes as far as it goes, and says whether anything was read.
    fn poll(
        self,
        cx: &mut Context<'_>,
        alarm: &mut Alarm,
        source: &mut ReadHalf<'_>,
        sink: &mut WriteHalf<'_>,
    ) -> io::Result<Moved> {
        let Self { direction, shaper } = self;
        let mut moved = Moved::None;
        let mut scratch = [0_u8; REQUEST_READ_BYTES];
        loop {
            if direction.poll_flush(cx, sink, Pace::Through)?.is_pending() || direction.is_ended() {
                return Ok(moved);
            }
            match shaper.next(monotonic_nanos()) {
                Next::Write(bytes) => direction.push(bytes),
                Next::End => direction.push_end(),
                Next::Nothing => return Ok(moved),
                Next::Wait(due) => {
                    alarm.wake_at(due, cx.waker());
                    return Ok(moved);
                }
                Next::Read(most) => {
                    let room = most.min(scratch.len());
                    match poll_read(cx, source, &mut scratch[..room])? {
                        Poll::Pending => return Ok(moved),
                        Poll::Ready([]) => direction.push_end(),
                        Poll::Ready(read) => {
                            shaper.take(read, monotonic_nanos());
                            moved = Moved::Some;
                        }
                    }
                }
            }
        }
    }
}

/// Reads once; nothing at the end of the stream.
fn poll_read<'a>(
    cx: &mut Context<'_>,
    source: &mut ReadHalf<'_>,
    scratch: &'a mut [u8],
) -> Poll<io::Result<&'a [u8]>> {
    let mut buffer = ReadBuf::new(scratch);
    ready!(Pin::new(source).poll_read(cx, &mut buffer))?;
    let read = buffer.filled().len();
    Poll::Ready(Ok(&scratch[..read]))
}
