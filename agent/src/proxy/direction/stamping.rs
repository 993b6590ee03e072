//! Between real sockets: a delay counts from when the bytes came, however late the proxy wakes.

use std::future::poll_fn;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::ReceiveTimestampns;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::splicing::pair;
use super::tests::{MS, direction};
use super::*;

/// One turn of the direction.
async fn turn(
    direction: &mut Direction,
    source: &mut TcpStream,
    sink: &mut TcpStream,
    pace: Pace,
) -> Poll<io::Result<()>> {
    let (mut read, _) = source.split();
    let (_, mut write) = sink.split();
    poll_fn(|cx| Poll::Ready(direction.poll(cx, &mut read, &mut write, pace))).await
}

#[tokio::test(flavor = "current_thread")]
async fn a_delay_counts_from_when_the_kernel_received_the_bytes() {
    let timer = Arc::new(Timer::new().unwrap());
    let (mut direction, _) = direction(&timer);
    let ((mut caller, mut source), (mut sink, mut far)) = (pair(None).await, pair(None).await);
    let pace = Pace::Delayed { delay: 2_000 * MS, jitter: 0 };
    assert!(turn(&mut direction, &mut source, &mut sink, pace).await.is_pending());
    // The kernel begins to stamp a little after it was asked to: the first may count from the read.
    for tries in 1.. {
        assert!(tries < 6, "the kernel stamps nothing");
        let sent = monotonic_nanos();
        caller.write_all(b"bytes").await.unwrap();
        // The proxy's thread stands still, and the bytes are there long before it reads them.
        std::thread::sleep(std::time::Duration::from_millis(500));
        source.readable().await.unwrap();
        assert!(turn(&mut direction, &mut source, &mut sink, pace).await.is_pending());
        let delay = direction.held.back().unwrap().due - sent;
        assert!(delay >= 2_000 * MS, "early: {delay} ns");
        if delay < 2_400 * MS {
            break;
        }
    }
    assert!(turn(&mut direction, &mut source, &mut sink, Pace::Through).await.is_pending());
    let mut first = [0; 5];
    far.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"bytes");
}

#[tokio::test(flavor = "current_thread")]
async fn the_kernel_stamps_only_while_bytes_are_delayed() {
    let timer = Arc::new(Timer::new().unwrap());
    let (mut direction, _) = direction(&timer);
    let ((_near, mut source), (mut sink, _far)) = (pair(None).await, pair(None).await);
    let delayed = Pace::Delayed { delay: 3_600_000 * MS, jitter: 0 };
    for (pace, stamped) in [
        (Pace::Through, false),
        (delayed, true),
        (Pace::Through, false),
        (delayed, true),
        (delayed, true),
    ] {
        assert!(turn(&mut direction, &mut source, &mut sink, pace).await.is_pending());
        assert_eq!(getsockopt(&source, ReceiveTimestampns).unwrap(), stamped, "{pace:?}");
    }
}
