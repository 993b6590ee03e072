//! What callers and callees see under the effects on streams and on single requests, and that
//! turning one on or off loses nothing that it does not mean to lose.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use harness_core::time::Clock as _;
use harness_core::units::{Duration as Lasting, Ratio};
use injectors::proxy::wire::{FaultRequest, HttpEffect, ProxyEffect, Pulse};

use crate::world::read_status;
use crate::world::{Callee, EDGE, LIMIT, Proxy, REQUEST, TestClock, ask, ask_fresh, connect};

const LEASE_MS: u64 = 60_000;
/// How long a silent connection is watched for a byte.
const SILENCE: Duration = Duration::from_millis(250);

fn errors(percent: u64) -> ProxyEffect {
    ProxyEffect::Http(HttpEffect {
        method: None,
        path: None,
        errors: Ratio::from_percent(percent),
        status: 503,
        delayed: Ratio::ZERO,
        delay: Lasting::ZERO,
        seed: 11,
    })
}

#[tokio::test]
async fn half_open_lets_the_callee_work_and_the_answer_comes_when_it_is_over() {
    let callee = Callee::start();
    let proxy = Proxy::start(&[callee.address]);
    let mut old = connect(proxy.address()).unwrap();
    assert_eq!(ask(&mut old).unwrap(), 200);
    assert_eq!(proxy.put("half", ProxyEffect::HalfOpen, LEASE_MS).await.status, 200);
    let mut new = connect(proxy.address()).unwrap();
    for stream in [&mut old, &mut new] {
        stream.write_all(REQUEST).unwrap();
        stream.set_read_timeout(Some(SILENCE)).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        stream.set_read_timeout(Some(LIMIT)).unwrap();
    }
    assert_eq!(callee.requests(), 3, "the callee has done what it was asked");
    proxy.delete("half").await;
    for stream in [&mut old, &mut new] {
        assert_eq!(read_status(stream).unwrap(), 200, "the held answer comes");
        assert_eq!(ask(stream).unwrap(), 200, "and the connection goes on");
    }
    assert_eq!(callee.requests(), 5);
}

#[tokio::test]
async fn an_answer_is_cut_after_its_bytes_and_other_connections_live() {
    let callee = Callee::start();
    let proxy = Proxy::start(&[callee.address]);
    let mut pooled = connect(proxy.address()).unwrap();
    assert_eq!(ask(&mut pooled).unwrap(), 200);
    let cut = ProxyEffect::Truncate { after_bytes: 10 };
    assert_eq!(proxy.put("cut", cut, LEASE_MS).await.status, 200);
    let mut cut = connect(proxy.address()).unwrap();
    cut.write_all(REQUEST).unwrap();
    let mut read = Vec::new();
    cut.read_to_end(&mut read).unwrap();
    assert_eq!(read, b"HTTP/1.1 2");
    proxy.delete("cut").await;
    assert_eq!(ask(&mut pooled).unwrap(), 200, "it was idle, so nothing of it was cut");
    assert_eq!(ask_fresh(proxy.address()).unwrap(), 200);
}

#[tokio::test]
async fn a_byte_in_so_many_is_changed_and_none_is_lost() {
    let callee = Callee::start();
    let proxy = Proxy::start(&[callee.address]);
    let mut stream = connect(proxy.address()).unwrap();
    assert_eq!(ask(&mut stream).unwrap(), 200);
    let corrupt = ProxyEffect::Corrupt { every_bytes: 8 };
    assert_eq!(proxy.put("bits", corrupt, LEASE_MS).await.status, 200);
    stream.write_all(REQUEST).unwrap();
    let healthy = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let mut read = vec![0; healthy.len()];
    stream.read_exact(&mut read).unwrap();
    for (at, (seen, sent)) in read.iter().zip(healthy).enumerate() {
        let flipped = if at % 8 == 7 { 0x80 } else { 0 };
        assert_eq!(*seen, sent ^ flipped, "byte {at}");
    }
    proxy.delete("bits").await;
    assert_eq!(ask(&mut stream).unwrap(), 200);
}

#[tokio::test]
async fn some_requests_get_an_error_and_the_connection_is_kept() {
    let callee = Callee::start();
    let proxy = Proxy::start(&[callee.address]);
    let mut stream = connect(proxy.address()).unwrap();
    assert_eq!(ask(&mut stream).unwrap(), 200);
    assert_eq!(proxy.put("some", errors(50), LEASE_MS).await.status, 200);
    let statuses: Vec<u16> = (0..200).map(|_| ask(&mut stream).unwrap()).collect();
    let failed = statuses.iter().filter(|status| **status == 503).count();
    // Five standard deviations are 36.
    assert!((64..=136).contains(&failed), "{failed} of 200");
    assert_eq!(callee.requests(), 1 + 200 - failed as u64, "an error does not reach the callee");
    // Answers to requests that are sent together come in order and none is missing.
    stream.write_all(&REQUEST.repeat(20)).unwrap();
    let together: Vec<u16> = (0..20).map(|_| read_status(&mut stream).unwrap()).collect();
    assert!(together.iter().all(|status| [200, 503].contains(status)), "{together:?}");
    proxy.delete("some").await;
    for _ in 0..20 {
        assert_eq!(ask(&mut stream).unwrap(), 200);
    }
    assert_eq!(proxy.route().await.connections, 1);
}

#[tokio::test]
async fn requests_lose_nothing_however_often_a_fault_comes_and_goes() {
    let callee = Callee::start();
    let proxy = Proxy::start(&[callee.address]);
    let pulse = |on, off| Pulse { on: Lasting::from_millis(on), off: Lasting::from_millis(off) };
    let slow = Lasting::from_millis(3);
    let delayed = HttpEffect {
        method: None,
        path: None,
        errors: Ratio::from_percent(30),
        status: 503,
        delayed: Ratio::from_percent(50),
        delay: slow,
        seed: 5,
    };
    let stall = ProxyEffect::Stall { share: Ratio::from_percent(50), pause: slow, seed: 5 };
    for (name, effect) in [("http", ProxyEffect::Http(delayed)), ("stall", stall)] {
        let request = FaultRequest {
            edge: EDGE.into(),
            effect,
            pulse: Some(pulse(20, 20)),
            lease_ms: 60_000,
        };
        let body = serde_json::to_value(request).unwrap();
        let path = format!("/v1/faults/{name}");
        let put = proxy.control(hyper::Method::PUT, &path, Some(body)).await.unwrap();
        assert_eq!(put.status, 200, "{}", put.summary());
        let before = callee.requests();
        let address = proxy.address();
        let callers: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(move || {
                    let mut stream = connect(address).unwrap();
                    let began = TestClock.now();
                    let (mut good, mut failed) = (0_u64, 0_u64);
                    while TestClock.now().since(began) < Lasting::from_millis(600) {
                        match ask(&mut stream).unwrap() {
                            200 => good += 1,
                            503 => failed += 1,
                            other => panic!("status {other}"),
                        }
                    }
                    (good, failed)
                })
            })
            .collect();
        let seen: Vec<(u64, u64)> = callers.into_iter().map(|one| one.join().unwrap()).collect();
        let good: u64 = seen.iter().map(|one| one.0).sum();
        let failed: u64 = seen.iter().map(|one| one.1).sum();
        assert_eq!(callee.requests() - before, good, "each good answer is of one request");
        assert_eq!(failed > 0, name == "http", "{seen:?}");
        assert!(good > 0);
        assert_eq!(proxy.delete(name).await["was"], "inForce");
    }
}

#[tokio::test]
async fn a_flapping_edge_refuses_and_answers_in_turn_and_is_whole_afterwards() {
    let callee = Callee::start();
    let proxy = Proxy::start(&[callee.address]);
    let pulse = Pulse { on: Lasting::from_millis(60), off: Lasting::from_millis(60) };
    let request = FaultRequest {
        edge: EDGE.into(),
        effect: ProxyEffect::Refuse,
        pulse: Some(pulse),
        lease_ms: 60_000,
    };
    let body = serde_json::to_value(request).unwrap();
    proxy.control(hyper::Method::PUT, "/v1/faults/flap", Some(body)).await.unwrap();
    let (mut turns, mut last) = (0, None);
    let began = TestClock.now();
    while turns < 6 {
        let up = ask_fresh(proxy.address()).is_ok();
        turns += u32::from(last.is_some_and(|last| last != up));
        last = Some(up);
        let took = TestClock.now().since(began);
        assert!(took < Lasting::from_secs(10), "{turns} turns in {took}");
    }
    proxy.delete("flap").await;
    for _ in 0..20 {
        assert_eq!(ask_fresh(proxy.address()).unwrap(), 200);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_limited_connection_takes_its_time_and_loses_no_byte() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap();
    let sink = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all
    });
    let proxy = Proxy::start(&[upstream]);
    let limit = ProxyEffect::Bandwidth { bytes_per_second: 200_000 };
    assert_eq!(proxy.put("thin", limit, LEASE_MS).await.status, 200);
    let sent: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    let began = TestClock.now();
    let mut stream = connect(proxy.address()).unwrap();
    stream.write_all(&sent).unwrap();
    drop(stream);
    let received = sink.join().unwrap();
    let took = TestClock.now().since(began);
    assert!(received == sent, "{} of {} bytes came", received.len(), sent.len());
    assert!(took >= Lasting::from_millis(480), "half a second is the limit, it took {took}");
}
