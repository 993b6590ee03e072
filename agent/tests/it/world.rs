//! A world for tests: a small HTTP callee, a proxy process in front of it, and its control.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use harness_core::time::{Clock, RunTime, WallTime};
use harness_core::topology::ProcessIdentity;
use harness_core::units;
use hyper::Method;
use injectors::http::{Address, Answer, CallError, call};
use injectors::proxy::wire::{FaultRequest, ProxyEffect, RouteReport, Routes};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;

/// Nothing in these tests waits longer for one thing.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
/// The edge that most tests use.
pub(crate) const EDGE: &str = "checkout->payments";

/// A callee that answers every request with 200 and counts them; it lives as long as the test.
pub(crate) struct Callee {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Arc<AtomicU64>,
}

impl Callee {
    pub(crate) fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    /// Behind a listener that may belong to another network namespace.
    pub(crate) fn on(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let count = Arc::clone(&count);
                std::thread::spawn(move || answer(stream.unwrap(), &count));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Answers requests without a body until the caller ends.
fn answer(mut stream: TcpStream, count: &AtomicU64) {
    stream.set_nodelay(true).unwrap();
    let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(length) = stream.read(&mut piece) {
        if length == 0 {
            return;
        }
        seen.extend_from_slice(&piece[..length]);
        while let Some(end) = seen.windows(4).position(|part| part == b"\r\n\r\n") {
            seen.drain(..end + 4);
            count.fetch_add(1, Ordering::SeqCst);
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
    }
}

/// A proxy process; killed with the test.
pub(crate) struct Proxy {
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) socket: PathBuf,
    pub(crate) folder: TempDir,
    way: Vec<String>,
    child: Child,
}

impl Proxy {
    /// A proxy with one route per upstream, all on [`EDGE`].
    pub(crate) fn start(upstreams: &[SocketAddr]) -> Self {
        Self::start_by(&[], upstreams)
    }

    /// The same by way of another command, which becomes it: `ip netns exec NAME`.
    pub(crate) fn start_by(way: &[&str], upstreams: &[SocketAddr]) -> Self {
        let way: Vec<String> = way.iter().map(|word| (*word).to_owned()).collect();
        let folder = tempfile::tempdir().unwrap();
        // Held together until the last is chosen, so that no two are the same.
        let held: Vec<_> =
            upstreams.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let listen: Vec<_> = held.iter().map(|l| l.local_addr().unwrap()).collect();
        drop(held);
        let routes: Vec<_> = listen
            .iter()
            .zip(upstreams)
            .map(|(l, u)| serde_json::json!({"edge": EDGE, "listen": l, "upstream": u}))
            .collect();
        let config = serde_json::json!({"format": "gameday.proxy/1", "routes": routes});
        std::fs::write(folder.path().join("proxy.json"), config.to_string()).unwrap();
        let socket = folder.path().join("proxy.sock");
        let child = spawn(&way, &folder);
        let mut proxy = Self { listen, socket, folder, way, child };
        proxy.await_ready();
        proxy
    }

    fn await_ready(&mut self) {
        for _ in 0..2000 {
            if std::os::unix::net::UnixStream::connect(&self.socket).is_ok() {
                return;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "the proxy ended: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the proxy did not become ready: {}", self.log());
    }

    /// Kills the process and starts another in its place.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.way, &self.folder);
        self.await_ready();
    }

    pub(crate) fn kill(&mut self) {
        // Another may have killed it before.
        self.child.kill().unwrap_or_default();
        self.child.wait().unwrap();
    }

    /// The process, while it lives.
    pub(crate) fn identity(&self) -> Option<ProcessIdentity> {
        injectors::process::identity(self.child.id())
    }

    /// Kills the process, also while others look at this; it is reaped later.
    pub(crate) fn kill_aside(&self) {
        self.signal(Signal::KILL);
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.pid()), ended).unwrap();
    }

    /// Stops the process where it stands.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("proxy.log")).unwrap_or_default()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listen[0]
    }

    /// One control request.
    pub(crate) async fn control(
        &self,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Result<Answer, CallError> {
        let within = units::Duration::from_secs(10);
        call(&Address::Unix(self.socket.clone()), method, path, body.as_ref(), within).await
    }

    pub(crate) async fn put(&self, name: &str, effect: ProxyEffect, lease_ms: u64) -> Answer {
        let request = FaultRequest { edge: EDGE.into(), effect, pulse: None, lease_ms };
        let body = serde_json::to_value(request).unwrap();
        self.control(Method::PUT, &format!("/v1/faults/{name}"), Some(body)).await.unwrap()
    }

    pub(crate) async fn delete(&self, name: &str) -> serde_json::Value {
        let answer = self.control(Method::DELETE, &format!("/v1/faults/{name}"), None).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.summary());
        answer.json().unwrap()
    }

    pub(crate) async fn route(&self) -> RouteReport {
        let answer = self.control(Method::GET, "/v1/routes", None).await.unwrap();
        answer.json::<Routes>().unwrap().routes.remove(0)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have been killed by the test.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(|_| ()).unwrap_or_default();
    }
}

fn spawn(way: &[String], folder: &TempDir) -> Child {
    let file = |name| folder.path().join(name);
    let mut words = way.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_agent-proxy")]);
    Command::new(words.next().unwrap())
        .args(words)
        .arg("--config")
        .arg(file("proxy.json"))
        .arg("--socket")
        .arg(file("proxy.sock"))
        .arg("--log")
        .arg(file("proxy.log"))
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

/// The monotonic clock, and the wall clock beside it.
pub(crate) struct TestClock;

impl Clock for TestClock {
    fn now(&self) -> RunTime {
        let now = clock_gettime(ClockId::Monotonic);
        RunTime::from_nanos(u64::try_from(now.tv_sec * 1_000_000_000 + now.tv_nsec).unwrap())
    }

    fn wall(&self) -> WallTime {
        let now = clock_gettime(ClockId::Realtime);
        WallTime(now.tv_sec * 1000 + now.tv_nsec / 1_000_000)
    }
}

/// A caller's connection.
pub(crate) fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub(crate) const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";

/// One request on an open connection; the status of its answer.
pub(crate) fn ask(stream: &mut TcpStream) -> std::io::Result<u16> {
    stream.write_all(REQUEST)?;
    read_status(stream)
}

/// Reads one answer of which the body is as long as its head says.
pub(crate) fn read_status(stream: &mut TcpStream) -> std::io::Result<u16> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |text| text.parse().unwrap());
    stream.read_exact(&mut vec![0; length])?;
    Ok(head.split(' ').nth(1).unwrap().parse().unwrap())
}

/// One request on a connection of its own.
pub(crate) fn ask_fresh(address: SocketAddr) -> std::io::Result<u16> {
    ask(&mut connect(address)?)
}

/// Says by name that a test is left out, and why; the gate fails on those that were not allowed.
#[expect(clippy::print_stderr, reason = "who runs the tests should see it")]
pub(crate) fn skip(name: &str, why: &str) {
    let line = format!("{name}: {why}");
    eprintln!("skipped: {line}");
    #[expect(clippy::disallowed_methods, reason = "the gate names the list of skipped tests")]
    if let Some(list) = std::env::var_os("GAMEDAY_SKIPS") {
        let mut list = std::fs::File::options().append(true).create(true).open(list).unwrap();
        writeln!(list, "{line}").unwrap();
    }
}
