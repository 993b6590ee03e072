//! One direction of a connection: bytes that were read, when they are due, and their writing.
//!
//! All state is in [`Direction`] and none in a future, so an order that changes at any moment
//! loses, repeats and reorders nothing. Bytes are stamped when they are read; waiting for one
//! piece never delays the reading of the next.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::clock::monotonic_nanos;
use super::standing::Counters;
use super::timer::Timer;

/// One read takes at most this much.
const READ_BYTES: usize = 64 * 1024;
/// A delayed direction that holds so much reads no more until some of it is written. It bounds
/// the throughput of a delayed connection to this much per delay.
const HELD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The same, for many small pieces.
const HELD_PIECES_MAX: usize = 16 * 1024;

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
    /// Each piece this much after it was read, in nanoseconds.
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
    /// Empty for the end of the stream.
    bytes: Bytes,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Direction {
    towards: Towards,
    counters: Arc<Counters>,
    timer: Arc<Timer>,
    ticket: u64,
    waits_for: Option<u64>,
    held: VecDeque<Piece>,
    held_bytes: usize,
    last_due: u64,
    noise: u64,
    read_bytes: u64,
    read_ended: bool,
    write_ended: bool,
}

impl Direction {
    pub(super) fn new(towards: Towards, counters: Arc<Counters>, timer: Arc<Timer>) -> Self {
        let ticket = timer.ticket();
        Self {
            towards,
            counters,
            timer,
            ticket,
            waits_for: None,
            held: VecDeque::new(),
            held_bytes: 0,
            last_due: 0,
            noise: ticket,
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
        self.hold(bytes, 0);
    }

    /// Holds the end of the stream, due at once.
    pub(super) fn push_end(&mut self) {
        self.read_ended = true;
        self.held.push_back(Piece { due: 0, bytes: Bytes::new() });
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
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
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
            ready!(self.poll_read(cx, source, sink, pace))?;
        }
    }

    /// Writes what is held and due. Ready when nothing is held any more.
    pub(super) fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut W,
        pace: Pace,
    ) -> Poll<io::Result<()>> {
        while let Some(piece) = self.held.front_mut() {
            if pace != Pace::Through && piece.due > monotonic_nanos() {
                let due = piece.due;
                self.timer.wake_at(due, self.ticket, self.waits_for, cx.waker());
                self.waits_for = Some(due);
                return Poll::Pending;
            }
            if piece.bytes.is_empty() {
                ready!(Pin::new(&mut *sink).poll_shutdown(cx))?;
                self.write_ended = true;
            } else {
                let written = ready!(Pin::new(&mut *sink).poll_write(cx, &piece.bytes))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                piece.bytes.advance(written);
                self.held_bytes -= written;
                self.counters.held_bytes.fetch_sub(written as u64, Ordering::Relaxed);
                let whole = !piece.bytes.has_remaining();
                self.passed().fetch_add(written as u64, Ordering::Relaxed);
                if !whole {
                    continue;
                }
            }
            self.held.pop_front();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut R,
        sink: &mut W,
        pace: Pace,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(source).poll_read(cx, &mut buffer))?;
            let bytes = buffer.filled();
            self.read_bytes += bytes.len() as u64;
            let due = self.due(pace);
            if bytes.is_empty() {
                self.read_ended = true;
                self.held.push_back(Piece { due, bytes: Bytes::new() });
                return Poll::Ready(Ok(()));
            }
            let mut written = 0;
            if pace == Pace::Through
                && self.held.is_empty()
                && let Poll::Ready(result) = Pin::new(sink).poll_write(cx, bytes)
            {
                written = result?;
                self.passed().fetch_add(written as u64, Ordering::Relaxed);
            }
            if written < bytes.len() {
                self.hold(Bytes::copy_from_slice(&bytes[written..]), due);
            }
            Poll::Ready(Ok(()))
        })
    }

    fn hold(&mut self, bytes: Bytes, due: u64) {
        self.held_bytes += bytes.len();
        self.counters.held_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.held.push_back(Piece { due, bytes });
    }

    /// When a piece that is read now is to be written; never before the piece in front of it.
    fn due(&mut self, pace: Pace) -> u64 {
        let Pace::Delayed { delay, jitter } = pace else { return 0 };
        let spread = match jitter {
            0 => 0,
            jitter => self.random() % (2 * jitter + 1),
        };
        let due = (monotonic_nanos() + delay + spread).saturating_sub(jitter);
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
        if let Some(due) = self.waits_for {
            self.timer.forget(due, self.ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const MS: u64 = 1_000_000;

    fn direction(timer: &Arc<Timer>) -> (Direction, Arc<Counters>) {
        let counters = Arc::new(Counters::default());
        (Direction::new(Towards::Callee, Arc::clone(&counters), Arc::clone(timer)), counters)
    }

    /// Sends `pieces` one by one without waiting, and gives the whole output with the time that
    /// it took.
    async fn send(pieces: usize, pace: Pace) -> (Vec<u8>, u64) {
        let timer = Arc::new(Timer::new().unwrap());
        let (mut direction, counters) = direction(&timer);
        let (mut input, mut source) = tokio::io::duplex(64);
        let (mut sink, mut output) = tokio::io::duplex(16);
        let began = monotonic_nanos();
        let write = async {
            for number in 0..pieces {
                input.write_all(format!("{number};").as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(input);
        };
        let mut all = Vec::new();
        let carry = poll_fn(|cx| direction.poll(cx, &mut source, &mut sink, pace));
        let work = async { tokio::join!(write, carry, output.read_to_end(&mut all)) };
        let ((), carried, read) = tokio::select! {
            done = work => done,
            error = timer.drive() => panic!("the timer ended: {error:?}"),
        };
        carried.unwrap();
        read.unwrap();
        let took = monotonic_nanos() - began;
        assert_eq!(counters.held_bytes.load(Ordering::Relaxed), 0);
        assert_eq!(counters.bytes_to_callee.load(Ordering::Relaxed), all.len() as u64);
        (all, took)
    }

    fn expected(pieces: usize) -> String {
        let texts: Vec<String> = (0..pieces).map(|number| format!("{number};")).collect();
        texts.concat()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn bytes_pass_whole_and_in_order_at_every_pace() {
        for pace in [
            Pace::Through,
            Pace::Delayed { delay: 2 * MS, jitter: 0 },
            Pace::Delayed { delay: 2 * MS, jitter: 2 * MS },
        ] {
            let (all, _) = send(300, pace).await;
            assert_eq!(String::from_utf8(all).unwrap(), expected(300), "{pace:?}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn delays_are_not_added_up() {
        let (all, took) = send(20, Pace::Delayed { delay: 30 * MS, jitter: 0 }).await;
        assert_eq!(String::from_utf8(all).unwrap(), expected(20));
        // One after the other it would be 600 ms.
        assert!((30 * MS..300 * MS).contains(&took), "{took} ns");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_delayed_direction_reads_no_more_than_its_bound() {
        let timer = Arc::new(Timer::new().unwrap());
        let (mut direction, counters) = direction(&timer);
        let mut endless = tokio::io::repeat(7);
        let mut sink = tokio::io::sink();
        let pace = Pace::Delayed { delay: 3_600_000 * MS, jitter: 0 };
        poll_fn(|cx| {
            assert!(direction.poll(cx, &mut endless, &mut sink, pace).is_pending());
            Poll::Ready(())
        })
        .await;
        let bound = HELD_BYTES_MAX as u64;
        let held = counters.held_bytes.load(Ordering::Relaxed);
        assert!((bound..bound + READ_BYTES as u64).contains(&held), "{held}");
        drop(direction);
        assert_eq!(counters.held_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn jitter_stays_in_its_range_and_uses_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let (mut direction, _) = direction(&Arc::new(Timer::new().unwrap()));
        let drawn: Vec<u64> = (0..2000).map(|_| direction.random() % 201).collect();
        assert!(drawn.iter().any(|d| *d < 20) && drawn.iter().any(|d| *d > 180));
        let mean = drawn.iter().sum::<u64>() / 2000;
        assert!((90..110).contains(&mean), "{mean}");
    }
}
