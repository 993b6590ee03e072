//! Bulk through the proxy while faults come and go: no byte is lost, repeated or reordered, and no
//! connection is dropped.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use harness_core::units::Duration;
use injectors::proxy::wire::ProxyEffect;

use crate::world::{Proxy, connect};

const LEASE_MS: u64 = 60_000;
const STREAMS: usize = 4;
const STREAM_BYTES: usize = 24 * 1024 * 1024;

/// Sends back what comes, on each connection; it lives as long as the test.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut answer = stream.try_clone().unwrap();
                std::io::copy(&mut stream, &mut answer).unwrap();
                answer.shutdown(Shutdown::Write).unwrap();
            });
        }
    });
    address
}

/// The byte at a place of a stream.
fn byte(stream: usize, at: usize) -> u8 {
    ((at + stream) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[0]
}

/// Sends a whole stream and checks every byte that comes back.
fn converse(number: usize, mut caller: TcpStream) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut requests = caller.try_clone().unwrap();
        let sender = thread::spawn(move || {
            for start in (0..STREAM_BYTES).step_by(128 * 1024) {
                let piece: Vec<u8> = (start..start + 128 * 1024).map(|n| byte(number, n)).collect();
                requests.write_all(&piece).unwrap();
            }
            requests.shutdown(Shutdown::Write).unwrap();
        });
        let (mut seen, mut piece) = (0, vec![0; 256 * 1024]);
        loop {
            let length = caller.read(&mut piece).unwrap();
            if length == 0 {
                break;
            }
            let wrong = (0..length).find(|n| piece[*n] != byte(number, seen + n));
            assert!(wrong.is_none(), "stream {number}: a wrong byte {wrong:?} after {seen}");
            seen += length;
        }
        assert_eq!(seen, STREAM_BYTES, "stream {number}");
        sender.join().unwrap();
    })
}

#[tokio::test]
async fn streams_stay_whole_while_faults_come_and_go() {
    let proxy = Proxy::start(&[echo()]);
    let streams: Vec<_> =
        (0..STREAMS).map(|number| converse(number, connect(proxy.address()).unwrap())).collect();
    let mut faults = 0_u64;
    while streams.iter().any(|stream| !stream.is_finished()) {
        let effect = match faults % 3 {
            0 => ProxyEffect::Blackhole,
            n => ProxyEffect::Latency {
                delay: Duration::from_millis(n),
                jitter: Duration::from_millis(n - 1),
            },
        };
        let name = format!("fault-{faults}");
        assert_eq!(proxy.put(&name, effect, LEASE_MS).await.status, 200);
        assert_eq!(proxy.delete(&name).await["was"], "inForce");
        faults += 1;
        // Without a fault for a while: some MiB, or the end.
        let before = proxy.route().await.bytes_to_caller;
        while proxy.route().await.bytes_to_caller < before + 2 * 1024 * 1024
            && streams.iter().any(|stream| !stream.is_finished())
        {}
    }
    for stream in streams {
        stream.join().unwrap();
    }
    let route = proxy.route().await;
    let all = (STREAMS * STREAM_BYTES) as u64;
    assert_eq!((route.bytes_to_callee, route.bytes_to_caller), (all, all));
    assert_eq!((route.connections, route.held_bytes), (STREAMS as u64, 0));
    assert!(faults >= 5, "{faults} faults say little");
}
