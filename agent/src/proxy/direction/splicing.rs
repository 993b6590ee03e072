//! Between real sockets: the way from copying to splicing and back loses, repeats and reorders
//! nothing, whatever faults come and go. Where nothing else is said, the data thread counts as one
//! without time left.

use std::cell::Cell;
use std::future::poll_fn;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpSocket, TcpStream};

use super::tests::{self, MS};
use super::*;

const MIB: usize = 1024 * 1024;
/// Small against a pipe, so that a pipe is not empty when a fault begins.
const QUEUE_BYTES: u32 = 64 * 1024;
const HOUR: Pace = Pace::Delayed { delay: 3_600_000 * MS, jitter: 0 };

fn direction(timer: &Arc<Timer>) -> (Direction, Arc<Counters>) {
    let (mut direction, counters) = tests::direction(timer);
    direction.splices = Splices::Yes;
    (direction, counters)
}

/// What the work gives, while a direction carries for it without a fault.
async fn carried<T>(
    direction: &mut Direction,
    source: &mut ReadHalf<'_>,
    sink: &mut WriteHalf<'_>,
    work: impl Future<Output = T>,
) -> T {
    tokio::select! {
        done = work => done,
        end = poll_fn(|cx| direction.poll(cx, source, sink, Pace::Through)) => {
            panic!("it ended: {end:?}")
        }
    }
}

/// Two ends of one connection; from the first to the second its queues may be limited.
pub(super) async fn pair(queue_bytes: Option<u32>) -> (TcpStream, TcpStream) {
    let (near, far) = (TcpSocket::new_v4().unwrap(), TcpSocket::new_v4().unwrap());
    if let Some(bytes) = queue_bytes {
        near.set_send_buffer_size(bytes).unwrap();
        far.set_recv_buffer_size(bytes).unwrap();
    }
    far.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = far.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(near.connect(address), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// Bytes that tell where in the stream they stand.
fn content(from: usize, length: usize) -> Vec<u8> {
    let byte = |at: usize| (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[0];
    (from..from + length).map(byte).collect()
}

/// Numbers below a bound, from a seed.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(0x1405_7B7E_F767_814F);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

async fn wait(noise: &mut Noise, turns_max: usize) {
    for _ in 0..noise.below(turns_max) {
        tokio::task::yield_now().await;
    }
}

async fn write(mut input: TcpStream, bytes: usize, mut noise: Noise) {
    let mut sent = 0;
    while sent < bytes {
        let bound = [100, 10_000, 300_000][noise.below(3)];
        let length = (1 + noise.below(bound)).min(bytes - sent);
        input.write_all(&content(sent, length)).await.unwrap();
        sent += length;
        wait(&mut noise, 3).await;
    }
    input.shutdown().await.unwrap();
}

/// Reads to the end; each byte must be the next one.
async fn read(mut output: TcpStream, mut noise: Noise) -> usize {
    let (mut seen, mut piece) = (0, vec![0; 256 * 1024]);
    loop {
        let room = 1 + noise.below(256 * 1024);
        let length = output.read(&mut piece[..room]).await.unwrap();
        assert!(piece[..length] == content(seen, length), "wrong bytes after {seen}");
        seen += length;
        if length == 0 {
            return seen;
        }
        // Now and then slow, so that bytes pile up.
        let turns_max = if noise.below(8) == 0 { 60 } else { 3 };
        wait(&mut noise, turns_max).await;
    }
}

/// A random order: `None` is a blackhole, in which nothing is polled.
fn order(noise: &mut Noise) -> Option<Pace> {
    let delay = noise.below(2_000_000) as u64;
    match noise.below(8) {
        0 => None,
        1 => Some(Pace::Delayed { delay, jitter: 0 }),
        2 => Some(Pace::Delayed { delay, jitter: delay }),
        3 => Some(HOUR),
        _ => Some(Pace::Through),
    }
}

/// Sends so many bytes while the order changes all the time; gives how many were spliced.
async fn toggled(bytes: usize, seed: u64) -> u64 {
    let timer = Arc::new(Timer::new().unwrap());
    let (mut direction, counters) = direction(&timer);
    let ((input, mut source), (mut sink, output)) =
        tokio::join!(pair(None), pair(Some(QUEUE_BYTES)));
    let (mut source, mut sink) = (source.split().0, sink.split().1);
    let standing = Cell::new(Some(Pace::Through));
    let toggle = async {
        let mut noise = Noise(seed + 1);
        loop {
            wait(&mut noise, 60).await;
            standing.set(order(&mut noise));
        }
    };
    // One task: what wakes the toggle polls the direction too.
    let carry = poll_fn(|cx| match standing.get() {
        Some(pace) => direction.poll(cx, &mut source, &mut sink, pace),
        None => Poll::Pending,
    });
    let (write, read) = (write(input, bytes, Noise(seed + 2)), read(output, Noise(seed + 3)));
    let work = async { tokio::join!(write, carry, read) };
    let ((), carried, received) = tokio::select! {
        done = work => done,
        () = toggle => unreachable!("it toggles for ever"),
        error = timer.drive() => panic!("the timer ended: {error:?}"),
    };
    carried.unwrap();
    assert_eq!(received, bytes, "seed {seed}");
    assert_eq!(counters.held_bytes.load(Ordering::Relaxed), 0, "seed {seed}");
    assert_eq!(counters.bytes_to_callee.load(Ordering::Relaxed), bytes as u64, "seed {seed}");
    counters.spliced_bytes.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "current_thread")]
async fn a_stream_stays_whole_while_faults_come_and_go() {
    let (bytes, seeds) = (3 * MIB, 12);
    let mut spliced = 0;
    for seed in 0..seeds {
        spliced += toggled(bytes, 1000 * seed).await;
    }
    // Both ways were taken, else this shows nothing.
    let all = seeds * bytes as u64;
    assert!((all / 100..all - all / 100).contains(&spliced), "{spliced} of {all}");
}

#[tokio::test(flavor = "current_thread")]
async fn small_messages_are_copied_and_bulk_is_not() {
    let timer = Arc::new(Timer::new().unwrap());
    let (mut direction, counters) = direction(&timer);
    let ((mut input, mut source), (mut sink, mut output)) = tokio::join!(pair(None), pair(None));
    let (mut source, mut sink) = (source.split().0, sink.split().1);
    let talk = async {
        let mut piece = vec![0; MIB];
        for _ in 0..200 {
            input.write_all(&content(0, 4000)).await.unwrap();
            output.read_exact(&mut piece[..4000]).await.unwrap();
        }
        let after_talk = counters.spliced_bytes.load(Ordering::Relaxed);
        for _ in 0..8 {
            let bulk = content(7, MIB);
            let (sent, read) = tokio::join!(input.write_all(&bulk), output.read_exact(&mut piece));
            sent.unwrap();
            read.unwrap();
            assert!(piece == bulk);
        }
        after_talk
    };
    let after_talk = carried(&mut direction, &mut source, &mut sink, talk).await;
    assert_eq!(after_talk, 0);
    let spliced = counters.spliced_bytes.load(Ordering::Relaxed);
    assert!(spliced > 4 * MIB as u64, "{spliced}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_thread_with_time_left_copies_bulk() {
    let timer = Arc::new(Timer::new().unwrap());
    let (mut direction, counters) = tests::direction(&timer);
    let ((mut input, mut source), (mut sink, mut output)) = tokio::join!(pair(None), pair(None));
    let (mut source, mut sink) = (source.split().0, sink.split().1);
    let bulk = async {
        let mut piece = vec![0; MIB];
        for _ in 0..8 {
            let sent = content(7, MIB);
            let (wrote, read) = tokio::join!(input.write_all(&sent), output.read_exact(&mut piece));
            wrote.unwrap();
            read.unwrap();
            // A thread that waits is not without time.
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        }
    };
    carried(&mut direction, &mut source, &mut sink, bulk).await;
    assert_eq!(counters.bytes_to_callee.load(Ordering::Relaxed), 8 * MIB as u64);
    assert_eq!(counters.spliced_bytes.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "current_thread")]
async fn a_thread_without_time_left_splices_bulk() {
    let timer = Arc::new(Timer::new().unwrap());
    let (mut direction, counters) = tests::direction(&timer);
    let ((mut input, mut source), (mut sink, mut output)) = tokio::join!(pair(None), pair(None));
    let (mut source, mut sink) = (source.split().0, sink.split().1);
    // Both ends and the direction share one thread, and none of them ever waits for long.
    let bulk = async {
        let (sent, mut piece) = (content(7, MIB), vec![0; MIB]);
        while counters.spliced_bytes.load(Ordering::Relaxed) == 0 {
            let (wrote, read) = tokio::join!(input.write_all(&sent), output.read_exact(&mut piece));
            wrote.unwrap();
            read.unwrap();
            assert!(piece == sent);
        }
    };
    let work = carried(&mut direction, &mut source, &mut sink, bulk);
    tokio::time::timeout(std::time::Duration::from_secs(30), work).await.expect("it splices");
}

#[tokio::test(flavor = "current_thread")]
async fn a_fault_holds_what_is_in_the_pipe_and_its_end_lets_it_go() {
    let timer = Arc::new(Timer::new().unwrap());
    let (mut direction, counters) = direction(&timer);
    let ((input, mut source), (mut sink, mut output)) = tokio::join!(pair(None), pair(None));
    let (mut source, mut sink) = (source.split().0, sink.split().1);
    // Nobody reads: the sink's queue fills up, then the pipe.
    let mut written = 0;
    let stuck = poll_fn(|cx| {
        assert!(direction.poll(cx, &mut source, &mut sink, Pace::Through)?.is_pending());
        while let Ok(length) = input.try_write(&content(written, 64 * 1024)) {
            written += length;
        }
        if matches!(direction.held.front(), Some(Piece { content: Content::Pipe(_), .. })) {
            return Poll::Ready(io::Result::Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    });
    tokio::time::timeout(std::time::Duration::from_secs(20), stuck).await.unwrap().unwrap();
    drop(input);
    let held = counters.held_bytes.load(Ordering::Relaxed);
    assert!(held > 0);
    let passed = counters.bytes_to_callee.load(Ordering::Relaxed);
    let mut all = vec![0; usize::try_from(passed).unwrap()];
    {
        let carry = poll_fn(|cx| direction.poll(cx, &mut source, &mut sink, HOUR));
        tokio::select! {
            read = output.read_exact(&mut all) => { read.unwrap(); }
            end = carry => panic!("it ended: {end:?}"),
        }
    }
    // The rest is held although there is room for it.
    assert_eq!(counters.bytes_to_callee.load(Ordering::Relaxed), passed);
    assert!(counters.held_bytes.load(Ordering::Relaxed) >= held);
    assert_eq!(output.try_read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let carry = poll_fn(|cx| direction.poll(cx, &mut source, &mut sink, Pace::Through));
    let (carried, read) = tokio::join!(carry, output.read_to_end(&mut all));
    carried.unwrap();
    read.unwrap();
    assert!(all == content(0, written), "{} of {written} bytes came", all.len());
}
