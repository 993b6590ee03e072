//! One direction of a connection: bytes that were read, when they are due, and their writing.
//!
//! All state is in [`Direction`] and none in a future, so an order that changes at any moment
//! loses, repeats and reorders nothing. A delay counts from when the kernel received the bytes;
//! waiting for one piece never delays the reading of the next. Bulk without a fault passes inside
//! the kernel, through a pipe, when the data thread has no time left to copy it; what is in the
//! pipe when a fault begins is taken out and falls under the fault.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::arrival::{self, Stamps};
use super::busy;
use super::clock::monotonic_nanos;
use super::pipe::{Endpoint, Pipe};
use super::standing::Counters;
use super::timer::{Alarm, Timer};

/// One read takes at most this much: it stays in the core's nearest cache until it is written.
const READ_BYTES: usize = 32 * 1024;
/// A delayed direction that holds so much reads no more until some of it is written. It bounds
/// the throughput of a delayed connection to this much per delay.
const HELD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The same, for many small pieces.
const HELD_PIECES_MAX: usize = 16 * 1024;
/// So much in large reads, one after the other, is bulk. Small messages never are spliced: it costs
/// them a system call more.
const BULK_BYTES: usize = 256 * 1024;
/// A read of less is not large.
const LARGE_READ_BYTES: usize = 16 * 1024;
/// After so much others have their turn, so that a stream does not make delayed bytes late.
const TURN_BYTES: usize = 1024 * 1024;

thread_local! {
    /// All connections of the data thread read through one buffer; it is only borrowed between
    /// two awaits.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// How fast bytes pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// At once.
    Through,
    /// Each piece this much after it came, in nanoseconds.
    Delayed {
        /// The middle of the delay.
        delay: u64,
        /// Uniformly at most this much more or less.
        jitter: u64,
    },
}

/// Which of a route's counters a direction feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Towards {
    /// Requests.
    Callee,
    /// Answers.
    Caller,
}

#[derive(Debug)]
struct Piece {
    due: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Memory(Bytes),
    /// Only without a fault, and alone.
    Pipe(Pipe),
    /// The end of the stream.
    End,
}

/// Splicing spares the proxy half of its work and costs both ends more of theirs, who get the bytes
/// in single pages. So it is for a proxy that has no time left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Splices {
    /// The data thread had time left whenever bulk came.
    NotYet,
    Yes,
    /// The kernel does not splice these sockets.
    No,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Direction {
    towards: Towards,
    counters: Arc<Counters>,
    alarm: Alarm,
    held: VecDeque<Piece>,
    held_bytes: usize,
    last_due: u64,
    noise: u64,
    /// Under which the held pieces were stamped.
    pace: Pace,
    /// How much came in large reads since the last small one.
    bulk_bytes: usize,
    splices: Splices,
    stamps: Stamps,
    read_bytes: u64,
    read_ended: bool,
    write_ended: bool,
}

impl Direction {
    pub(super) fn new(towards: Towards, counters: Arc<Counters>, timer: &Arc<Timer>) -> Self {
        let alarm = Alarm::new(timer);
        let noise = alarm.ticket();
        Self {
            towards,
            counters,
            alarm,
            held: VecDeque::new(),
            held_bytes: 0,
            last_due: 0,
            noise,
            pace: Pace::Through,
            bulk_bytes: 0,
            splices: Splices::NotYet,
            stamps: Stamps::Off,
            read_bytes: 0,
            read_ended: false,
            write_ended: false,
        }
    }

    /// Bytes read since the start.
    pub(super) fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// Whether everything read was written.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether the source has ended.
    pub(super) fn is_read_ended(&self) -> bool {
        self.read_ended
    }

    /// Whether the end was passed on: nothing more will come out.
    pub(super) fn is_ended(&self) -> bool {
        self.write_ended
    }

    /// Holds bytes that are due at once.
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.hold(bytes.len(), Piece { due: 0, content: Content::Memory(bytes) });
    }

    /// Holds the end of the stream, due at once.
    pub(super) fn push_end(&mut self) {
        self.read_ended = true;
        self.held.push_back(Piece { due: 0, content: Content::End });
    }

    /// Reads and writes as far as it goes. Ready when the end was passed on.
    pub(super) fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut R,
        sink: &mut W,
        pace: Pace,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Endpoint + Unpin,
        W: AsyncWrite + Endpoint + Unpin,
    {
        self.take_up(pace)?;
        self.stamps.turn(source.socket(), pace != Pace::Through);
        let mut turn = 0;
        loop {
            let flushed = self.poll_flush(cx, sink, pace)?;
            if self.write_ended {
                return Poll::Ready(Ok(()));
            }
            let room = match pace {
                Pace::Through => flushed.is_ready(),
                Pace::Delayed { .. } => {
                    self.held_bytes < HELD_BYTES_MAX && self.held.len() < HELD_PIECES_MAX
                }
            };
            if self.read_ended || !room {
                return Poll::Pending;
            }
            if turn >= TURN_BYTES {
                return pin!(tokio::task::yield_now()).poll(cx).map(Ok);
            }
            let spliced =
                if pace == Pace::Through { self.poll_splice(cx, source, sink)? } else { None };
            turn += match spliced {
                Some(polled) => ready!(polled),
                None => ready!(self.poll_read(cx, source, sink, pace))?,
            };
        }
    }

    /// Writes what is held and due. Ready when nothing is held any more.
    pub(super) fn poll_flush<W: AsyncWrite + Endpoint + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut W,
        pace: Pace,
    ) -> Poll<io::Result<()>> {
        while let Some(piece) = self.held.front_mut() {
            if pace != Pace::Through && piece.due > monotonic_nanos() {
                self.alarm.wake_at(piece.due, cx.waker());
                return Poll::Pending;
            }
            let (written, left) = match &mut piece.content {
                Content::End => {
                    ready!(Pin::new(&mut *sink).poll_shutdown(cx))?;
                    self.write_ended = true;
                    (0, 0)
                }
                Content::Memory(bytes) => {
                    let written = ready!(Pin::new(&mut *sink).poll_write(cx, bytes))?;
                    if written == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    bytes.advance(written);
                    (written, bytes.len())
                }
                Content::Pipe(pipe) => {
                    let socket = sink.socket().expect("a pipe is filled only between sockets");
                    let written = ready!(pipe.poll_drain(cx, socket))?;
                    (written, pipe.bytes())
                }
            };
            if left == 0 {
                self.held.pop_front();
            }
            self.held_bytes -= written;
            self.counters.held_bytes.fetch_sub(written as u64, Ordering::Relaxed);
            self.passed().fetch_add(written as u64, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads into a pipe, where that is worth it: how much, 0 at the end. `None`: copy.
    fn poll_splice<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        source: &R,
        sink: &W,
    ) -> io::Result<Option<Poll<usize>>>
    where
        R: Endpoint,
        W: Endpoint,
    {
        if self.bulk_bytes < BULK_BYTES || !self.is_spliced() {
            return Ok(None);
        }
        let (Some(source), Some(_)) = (source.socket(), sink.socket()) else { return Ok(None) };
        let Some(mut pipe) = Pipe::take() else { return Ok(None) };
        let Poll::Ready(filled) = pipe.poll_fill(cx, source) else {
            return Ok(Some(Poll::Pending));
        };
        let filled = match filled {
            Err(error) if is_unsupported(&error) => {
                self.splices = Splices::No;
                return Ok(None);
            }
            filled => filled?,
        };
        if filled == 0 {
            self.push_end();
        } else {
            self.note_read(filled);
            self.counters.spliced_bytes.fetch_add(filled as u64, Ordering::Relaxed);
            self.hold(filled, Piece { due: 0, content: Content::Pipe(pipe) });
        }
        Ok(Some(Poll::Ready(filled)))
    }

    /// Reads into memory: how much, 0 at the end.
    fn poll_read<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut R,
        sink: &mut W,
        pace: Pace,
    ) -> Poll<io::Result<usize>>
    where
        R: AsyncRead + Endpoint + Unpin,
        W: AsyncWrite + Unpin,
    {
        SCRATCH.with_borrow_mut(|scratch| {
            let (length, came) = match source.socket() {
                Some(socket) if self.stamps == Stamps::On => {
                    let (length, came) = ready!(arrival::poll_read(cx, socket, scratch))?;
                    (length, Some(came))
                }
                _ => {
                    let mut buffer = ReadBuf::new(scratch);
                    ready!(Pin::new(source).poll_read(cx, &mut buffer))?;
                    (buffer.filled().len(), None)
                }
            };
            let bytes = &scratch[..length];
            let due = self.due(pace, came);
            if bytes.is_empty() {
                self.read_ended = true;
                self.held.push_back(Piece { due, content: Content::End });
                return Poll::Ready(Ok(0));
            }
            self.note_read(bytes.len());
            let mut written = 0;
            if pace == Pace::Through
                && self.held.is_empty()
                && let Poll::Ready(result) = Pin::new(sink).poll_write(cx, bytes)
            {
                written = result?;
                self.passed().fetch_add(written as u64, Ordering::Relaxed);
            }
            let rest = &bytes[written..];
            if !rest.is_empty() {
                let content = Content::Memory(Bytes::copy_from_slice(rest));
                self.hold(rest.len(), Piece { due, content });
            }
            Poll::Ready(Ok(bytes.len()))
        })
    }

    fn is_spliced(&mut self) -> bool {
        if self.splices == Splices::NotYet && busy::has_no_time_left() {
            self.splices = Splices::Yes;
        }
        self.splices == Splices::Yes
    }

    fn note_read(&mut self, bytes: usize) {
        self.read_bytes += bytes as u64;
        let large = bytes >= LARGE_READ_BYTES;
        self.bulk_bytes = if large { self.bulk_bytes.saturating_add(bytes) } else { 0 };
    }

    /// Goes over to another pace: what has not left yet falls under it, also what is in a pipe.
    fn take_up(&mut self, pace: Pace) -> io::Result<()> {
        if self.pace == pace {
            return Ok(());
        }
        self.pace = pace;
        self.last_due = 0;
        if pace == Pace::Through {
            // It is written at once, whenever it was due.
            return Ok(());
        }
        for mut piece in std::mem::take(&mut self.held) {
            if let Content::Pipe(pipe) = piece.content {
                piece.content = Content::Memory(pipe.into_bytes()?);
            }
            piece.due = self.due(pace, None);
            self.held.push_back(piece);
        }
        Ok(())
    }

    fn hold(&mut self, bytes: usize, piece: Piece) {
        self.held_bytes += bytes;
        self.counters.held_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.held.push_back(piece);
    }

    /// When a piece is to be written that came then, or now; never before the piece in front of it.
    fn due(&mut self, pace: Pace, came: Option<u64>) -> u64 {
        let Pace::Delayed { delay, jitter } = pace else { return 0 };
        let spread = match jitter {
            0 => 0,
            jitter => self.random() % (2 * jitter + 1),
        };
        let came = came.unwrap_or_else(monotonic_nanos);
        let due = (came + delay + spread).saturating_sub(jitter);
        self.last_due = due.max(self.last_due);
        self.last_due
    }

    /// `SplitMix64` (Steele, Lea, Flood 2014): noise for jitter, no cryptography.
    fn random(&mut self) -> u64 {
        self.noise = self.noise.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.noise;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn passed(&self) -> &AtomicU64 {
        match self.towards {
            Towards::Callee => &self.counters.bytes_to_callee,
            Towards::Caller => &self.counters.bytes_to_caller,
        }
    }
}

impl Drop for Direction {
    fn drop(&mut self) {
        self.counters.held_bytes.fetch_sub(self.held_bytes as u64, Ordering::Relaxed);
    }
}

/// Whether a splice is refused for what the descriptors are, and not for what happened to them.
fn is_unsupported(error: &io::Error) -> bool {
    [Errno::INVAL, Errno::NOSYS, Errno::PERM, Errno::OPNOTSUPP]
        .iter()
        .any(|refused| error.raw_os_error() == Some(refused.raw_os_error()))
}

#[cfg(test)]
mod splicing;
#[cfg(test)]
mod stamping;
#[cfg(test)]
mod tests;
