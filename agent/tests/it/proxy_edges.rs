//! What callers and callees see of the proxy, without a fault and under each of them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::time::Duration;

use harness_core::time::Clock as _;
use harness_core::units;
use injectors::proxy::wire::ProxyEffect;

use crate::world::{Callee, Proxy, REQUEST, TestClock, ask, ask_fresh, connect, read_status};

const LEASE_MS: u64 = 60_000;
/// How long a blackhole is watched for a byte.
const SILENCE: Duration = Duration::from_millis(250);

#[tokio::test]
async fn without_a_fault_bytes_pass_whole_in_both_directions() {
    // An echo of 8 MiB that also answers after the caller has said its last word.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap();
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.write_all(&all).unwrap();
    });
    let proxy = Proxy::start(&[upstream]);
    let sent: Vec<u8> = (0..8 * 1024 * 1024_u32).map(|n| (n % 251) as u8).collect();
    let mut stream = connect(proxy.address()).unwrap();
    stream.write_all(&sent).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    assert!(received == sent, "{} of {} bytes came back", received.len(), sent.len());
    echo.join().unwrap();
    let route = proxy.route().await;
    let length = sent.len() as u64;
    assert_eq!((route.bytes_to_callee, route.bytes_to_caller), (length, length));
    assert_eq!((route.connections, route.held_bytes), (1, 0));
}

#[tokio::test]
async fn an_absent_callee_is_seen_as_a_reset() {
    let upstream = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let proxy = Proxy::start(&[upstream]);
    assert_eq!(ask_fresh(proxy.address()).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn refuse_looks_like_a_process_that_is_gone_and_comes_back() {
    let callee = Callee::start();
    let proxy = Proxy::start(&[callee.address, callee.address]);
    let mut pooled = connect(proxy.address()).unwrap();
    assert_eq!(ask(&mut pooled).unwrap(), 200);
    for round in 0..20 {
        let name = format!("down-{round}");
        assert_eq!(proxy.put(&name, ProxyEffect::Refuse, LEASE_MS).await.status, 200);
        for address in &proxy.listen {
            let refused = connect(*address).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            let taken = TcpListener::bind(address).unwrap_err();
            assert_eq!(taken.kind(), ErrorKind::AddrInUse, "the port is kept");
        }
        assert_eq!(proxy.delete(&name).await["was"], "inForce");
        for address in &proxy.listen {
            assert_eq!(ask_fresh(*address).unwrap(), 200);
        }
    }
    let broken = ask(&mut pooled).unwrap_err();
    assert!(matches!(broken.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe));
}

#[tokio::test]
async fn reset_ends_old_and_new_connections() {
    let callee = Callee::start();
    let proxy = Proxy::start(&[callee.address]);
    let mut pooled = connect(proxy.address()).unwrap();
    assert_eq!(ask(&mut pooled).unwrap(), 200);
    assert_eq!(proxy.put("cut", ProxyEffect::Reset, LEASE_MS).await.status, 200);
    assert_eq!(pooled.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    for _ in 0..5 {
        // The reset may come before or after the connect call has returned.
        let seen = connect(proxy.address()).and_then(|mut fresh| fresh.read(&mut [0]));
        assert_eq!(seen.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(callee.requests(), 1);
    proxy.delete("cut").await;
    assert_eq!(ask_fresh(proxy.address()).unwrap(), 200);
}

#[tokio::test]
async fn a_blackhole_keeps_connections_and_their_bytes() {
    let callee = Callee::start();
    let proxy = Proxy::start(&[callee.address]);
    let mut old = connect(proxy.address()).unwrap();
    assert_eq!(ask(&mut old).unwrap(), 200);
    assert_eq!(proxy.put("hole", ProxyEffect::Blackhole, LEASE_MS).await.status, 200);
    let mut new = connect(proxy.address()).unwrap();
    for stream in [&mut old, &mut new] {
        stream.write_all(REQUEST).unwrap();
        stream.set_read_timeout(Some(SILENCE)).unwrap();
        let silent = stream.read(&mut [0]).unwrap_err();
        assert_eq!(silent.kind(), ErrorKind::WouldBlock);
        stream.set_read_timeout(Some(crate::world::LIMIT)).unwrap();
    }
    assert_eq!(callee.requests(), 1);
    proxy.delete("hole").await;
    for stream in [&mut old, &mut new] {
        assert_eq!(read_status(stream).unwrap(), 200, "the held request is answered");
        assert_eq!(ask(stream).unwrap(), 200, "and the connection goes on");
    }
    assert_eq!(callee.requests(), 5);
}

#[tokio::test]
async fn a_status_is_answered_without_the_callee_and_keeps_connections() {
    let callee = Callee::start();
    let proxy = Proxy::start(&[callee.address]);
    let mut old = connect(proxy.address()).unwrap();
    let mut unused = connect(proxy.address()).unwrap();
    assert_eq!(ask(&mut old).unwrap(), 200);
    assert_eq!(proxy.put("sick", ProxyEffect::Status(503), LEASE_MS).await.status, 200);
    let mut new = connect(proxy.address()).unwrap();
    for stream in [&mut old, &mut unused, &mut new] {
        assert_eq!(ask(stream).unwrap(), 503);
        stream.write_all(&[REQUEST, REQUEST].concat()).unwrap();
        assert_eq!((read_status(stream).unwrap(), read_status(stream).unwrap()), (503, 503));
    }
    // Half of a request is in the proxy when the fault ends.
    let (begun, rest) = REQUEST.split_at(10);
    old.write_all(begun).unwrap();
    assert_eq!(callee.requests(), 1);
    proxy.delete("sick").await;
    old.write_all(rest).unwrap();
    let begun_under_fault = read_status(&mut old).unwrap();
    assert!(matches!(begun_under_fault, 200 | 503), "{begun_under_fault}");
    for stream in [&mut old, &mut unused, &mut new] {
        assert_eq!(ask(stream).unwrap(), 200, "the connection goes on to the callee");
    }
    assert_eq!(proxy.route().await.answered, 9 + u64::from(begun_under_fault == 503));
}

#[tokio::test]
async fn an_answer_that_is_under_way_is_finished_before_the_status() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(&[listener.local_addr().unwrap()]);
    let mut caller = connect(proxy.address()).unwrap();
    caller.write_all(REQUEST).unwrap();
    let (mut upstream, _) = listener.accept().unwrap();
    upstream.read_exact(&mut vec![0; REQUEST.len()]).unwrap();
    assert_eq!(proxy.put("sick", ProxyEffect::Status(429), LEASE_MS).await.status, 200);
    upstream.write_all(b"HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(20));
    upstream.write_all(b"late").unwrap();
    assert_eq!(read_status(&mut caller).unwrap(), 204);
    assert_eq!(ask(&mut caller).unwrap(), 429);
}

#[tokio::test]
async fn latency_delays_each_round_trip_once_and_ends_at_once() {
    let callee = Callee::start();
    let proxy = Proxy::start(&[callee.address]);
    let mut stream = connect(proxy.address()).unwrap();
    assert_eq!(ask(&mut stream).unwrap(), 200);
    let (delay, jitter) = (units::Duration::from_millis(40), units::Duration::from_millis(5));
    let latency = ProxyEffect::Latency { delay, jitter };
    assert_eq!(proxy.put("slow", latency, LEASE_MS).await.status, 200);
    let mut took: Vec<u64> =
        (0..9).map(|_| timed(|| assert_eq!(ask(&mut stream).unwrap(), 200))).collect();
    took.sort_unstable();
    assert!(took[0] >= 35_000, "never early: {took:?}");
    assert!((35_000..75_000).contains(&took[4]), "in us: {took:?}");
    // A request that is held when the fault ends goes on at once.
    proxy.delete("slow").await;
    let hour = ProxyEffect::Latency { delay: units::Duration::from_secs(600), jitter };
    assert_eq!(proxy.put("slower", hour, LEASE_MS).await.status, 200);
    stream.write_all(REQUEST).unwrap();
    while proxy.route().await.held_bytes == 0 {
        tokio::task::yield_now().await;
    }
    proxy.delete("slower").await;
    assert_eq!(read_status(&mut stream).unwrap(), 200);
}

/// Microseconds of the monotonic clock.
fn timed(work: impl FnOnce()) -> u64 {
    let began = TestClock.now();
    work();
    TestClock.now().since(began).micros()
}
