//! The paces of one direction, without real sockets.

use std::future::poll_fn;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, Repeat, Sink};
use tokio::net::TcpStream;

use super::*;

pub(super) const MS: u64 = 1_000_000;

pub(super) fn direction(timer: &Arc<Timer>) -> (Direction, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    (Direction::new(Towards::Callee, Arc::clone(&counters), timer), counters)
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
    // Each turn ends after a while; so many turns are more than enough.
    for _ in 0..2 * HELD_BYTES_MAX / TURN_BYTES {
        poll_fn(|cx| {
            assert!(direction.poll(cx, &mut endless, &mut sink, pace).is_pending());
            Poll::Ready(())
        })
        .await;
    }
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

#[tokio::test(flavor = "current_thread")]
async fn a_fault_does_not_wait_for_what_an_earlier_one_held() {
    let timer = Arc::new(Timer::new().unwrap());
    let (mut direction, _) = direction(&timer);
    let (mut input, mut source) = tokio::io::duplex(64);
    let (mut sink, mut output) = tokio::io::duplex(64);
    let hour = Pace::Delayed { delay: 3_600_000 * MS, jitter: 0 };
    let short = Pace::Delayed { delay: MS, jitter: 0 };
    input.write_all(b"first").await.unwrap();
    let mut polled = |cx: &mut Context<'_>| direction.poll(cx, &mut source, &mut sink, hour);
    let first = poll_fn(|cx| Poll::Ready(polled(cx))).await;
    assert!(first.is_pending());
    // The same connection, another fault: held and new bytes are due under it.
    input.write_all(b"later").await.unwrap();
    let mut all = [0; 10];
    let carry = poll_fn(|cx| direction.poll(cx, &mut source, &mut sink, short));
    tokio::select! {
        read = output.read_exact(&mut all) => { read.unwrap(); }
        end = carry => panic!("it ended: {end:?}"),
        error = timer.drive() => panic!("the timer ended: {error:?}"),
        () = tokio::time::sleep(std::time::Duration::from_secs(10)) => panic!("nothing came"),
    }
    assert_eq!(&all, b"firstlater");
}

impl Endpoint for DuplexStream {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

impl Endpoint for Repeat {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

impl Endpoint for Sink {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}
