//! Plans, sinks, clocks and targets for the tests of the load engine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration as StdDuration, Instant};

use harness_core::ids::{RunId, TrialIndex};
use harness_core::load::{
    KindSamples, LoadDriver, LoadError, LoadJob, LoadSummary, LoadTick, RequestOutcome, SampleSink,
    Stop, WindowSamples,
};
use harness_core::plan::{
    Arrivals, Key, LoadPlan, RequestPlan, Reuse, Shape, StatusRange, TimerMode,
};
use harness_core::system::BoxFuture;
use harness_core::time::{Clock, RunTime, WallTime};
use harness_core::units::{Duration, Rate};
use load::HttpDriver;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// The machine's clock, from the start of the test.
pub(crate) struct TestClock(Instant);

#[expect(clippy::disallowed_methods, reason = "this is a clock for tests")]
impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for TestClock {
    fn now(&self) -> RunTime {
        RunTime::from_nanos(u64::try_from(self.0.elapsed().as_nanos()).unwrap())
    }

    fn wall(&self) -> WallTime {
        WallTime(0)
    }
}

/// Keeps all that it is given.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) windows: Mutex<Vec<WindowSamples>>,
    pub(crate) ticks: Mutex<Vec<LoadTick>>,
}

impl SampleSink for Kept {
    fn window(&self, samples: WindowSamples) {
        self.windows.lock().unwrap().push(samples);
    }

    fn tick(&self, tick: LoadTick) {
        self.ticks.lock().unwrap().push(tick);
    }
}

/// A stop that the test pulls, or with which it lets the load finish.
#[derive(Default)]
pub(crate) struct TestStop {
    pulled: AtomicBool,
    finishing: AtomicBool,
    notify: Notify,
}

impl TestStop {
    pub(crate) fn pull(&self) {
        self.pulled.store(true, Ordering::SeqCst);
        self.notify.notify_waiters();
    }

    pub(crate) fn finish(&self) {
        self.finishing.store(true, Ordering::SeqCst);
        self.notify.notify_waiters();
    }

    /// Waits until one of the two that makes `is_reached` true.
    async fn reached(&self, is_reached: impl Fn() -> bool) {
        loop {
            // Registered before the look, so that no call in between is missed.
            let mut notified = std::pin::pin!(self.notify.notified());
            notified.as_mut().enable();
            if is_reached() {
                return;
            }
            notified.await;
        }
    }
}

impl Stop for TestStop {
    fn is_stopped(&self) -> bool {
        self.pulled.load(Ordering::SeqCst)
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.reached(|| self.is_stopped()))
    }

    fn is_finishing(&self) -> bool {
        self.is_stopped() || self.finishing.load(Ordering::SeqCst)
    }

    fn finishing(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.reached(|| self.is_finishing()))
    }
}

/// `GET /` at an even rate, over up to 50 connections, in one worker.
pub(crate) fn plan(per_second: u32) -> LoadPlan {
    LoadPlan {
        shape: Shape::Constant { rate: Rate::per_second_whole(per_second) },
        arrivals: Arrivals::Constant,
        timeout: Duration::from_secs(5),
        mix: vec![request("GET", "/", 1)],
        feeds: BTreeMap::new(),
        good: vec![StatusRange { from: 200, to: 299 }],
        connections_max: 50,
        reuse: Reuse::Always {},
        in_flight_max: 10_000,
        timer: TimerMode::Precise,
        correlation: false,
        workers: 1,
        http2: false,
    }
}

pub(crate) fn request(method: &str, path: &str, weight: u32) -> RequestPlan {
    RequestPlan {
        kind: format!("{method} {path}").as_str().into(),
        weight,
        method: method.to_owned(),
        path: path.to_owned(),
        headers: BTreeMap::new(),
        body: None,
        key: Key::None,
        body_contains: None,
    }
}

/// What a load gave.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) windows: Vec<WindowSamples>,
    pub(crate) ticks: Vec<LoadTick>,
    pub(crate) summary: LoadSummary,
}

impl Outcome {
    /// All windows and kinds together.
    pub(crate) fn total(&self) -> KindSamples {
        let mut total = KindSamples::default();
        for kind in self.windows.iter().flat_map(|window| window.kinds.values()) {
            total.merge(kind);
        }
        total
    }

    pub(crate) fn count(&self, outcome: RequestOutcome) -> u64 {
        self.total().outcomes.get(&outcome).copied().unwrap_or(0)
    }

    /// What holds for every load whatever the target does.
    pub(crate) fn check_accounts(&self) {
        for (place, window) in self.windows.iter().enumerate() {
            assert_eq!(window.index as usize, place, "windows come in order, each once");
            for (kind, samples) in &window.kinds {
                let ended: u64 = samples.outcomes.values().sum();
                assert_eq!(samples.planned, ended, "{kind} in window {place}");
                assert_eq!(samples.good, samples.latency_us.len(), "{kind} in window {place}");
                assert_eq!(samples.good, samples.service_us.len(), "{kind} in window {place}");
            }
        }
        let total = self.total();
        assert_eq!(total.planned, self.summary.due);
        let lags: u64 = self.windows.iter().map(|window| window.lag_us.len()).sum();
        assert_eq!(lags, self.summary.sent);
    }
}

/// Drives a plan for a time.
pub(crate) async fn drive(plan: &LoadPlan, target: &str, millis: u64) -> Outcome {
    let driver = |clock| HttpDriver::new(clock);
    drive_with(driver, plan, target, millis, &TestStop::default()).await.unwrap()
}

/// Drives a plan for a time, or until the stop is pulled.
pub(crate) async fn drive_with<D: LoadDriver>(
    driver: impl FnOnce(Arc<dyn Clock>) -> D,
    plan: &LoadPlan,
    target: &str,
    millis: u64,
    stop: &TestStop,
) -> Result<Outcome, LoadError> {
    let outcome = drive_unchecked(driver, plan, target, millis, stop).await?;
    outcome.check_accounts();
    Ok(outcome)
}

/// The same, of which the accounts need not be whole.
pub(crate) async fn drive_unchecked<D: LoadDriver>(
    driver: impl FnOnce(Arc<dyn Clock>) -> D,
    plan: &LoadPlan,
    target: &str,
    millis: u64,
    stop: &TestStop,
) -> Result<Outcome, LoadError> {
    let clock: Arc<dyn Clock> = Arc::new(TestClock::new());
    let driver = driver(clock.clone());
    let from = clock.now() + Duration::from_millis(20);
    let run = RunId::new("run-1");
    let job = LoadJob {
        plan,
        run: &run,
        trial: TrialIndex(3),
        arm: "fault",
        target,
        seed: 7,
        id_prefix: "run-1-3",
        from,
        until: from + Duration::from_millis(millis),
    };
    let kept = Kept::default();
    let summary = driver.run(job, &kept, stop).await?;
    let windows = kept.windows.into_inner().unwrap();
    let ticks = kept.ticks.into_inner().unwrap();
    Ok(Outcome { windows, ticks, summary })
}

/// A target made of what it does with each connection; ends with the test's runtime.
pub(crate) struct TestTarget {
    pub(crate) address: SocketAddr,
    /// Requests of which the head was read.
    pub(crate) requests: Arc<AtomicU64>,
    /// Connections that were accepted.
    pub(crate) connections: Arc<AtomicU64>,
    _server: tokio::task::JoinSet<()>,
}

impl TestTarget {
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}

/// What a target does with one connection: called with it and the counter of requests.
pub(crate) async fn target<F, Fut>(serve: F) -> TestTarget
where
    F: Fn(Connection) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (requests, connections) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (seen, accepted) = (requests.clone(), connections.clone());
    let mut server = tokio::task::JoinSet::new();
    server.spawn(async move {
        let mut open = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            accepted.fetch_add(1, Ordering::SeqCst);
            let requests = seen.clone();
            open.spawn(serve(Connection { stream, requests, buffer: Vec::new() }));
        }
    });
    TestTarget { address, requests, connections, _server: server }
}

/// One connection of a target, with what was read and not yet used.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) requests: Arc<AtomicU64>,
    buffer: Vec<u8>,
}

impl Connection {
    /// The next request, head and body; `None` at the end.
    pub(crate) async fn request(&mut self) -> Option<String> {
        loop {
            if let Some(length) = complete(&self.buffer) {
                let rest = self.buffer.split_off(length);
                let request = std::mem::replace(&mut self.buffer, rest);
                self.requests.fetch_add(1, Ordering::SeqCst);
                return Some(String::from_utf8(request).unwrap());
            }
            let mut piece = [0_u8; 4096];
            match self.stream.read(&mut piece).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.buffer.extend_from_slice(&piece[..count]),
            }
        }
    }

    /// Writes bytes; a client that has gone is no error.
    pub(crate) async fn write(&mut self, text: &str) {
        drop(self.stream.write_all(text.as_bytes()).await);
    }

    /// Answers everything with `200 ok`.
    pub(crate) async fn answer_all(mut self) {
        while self.request().await.is_some() {
            self.write(OK).await;
        }
    }

    /// Closes so that the client sees a reset.
    pub(crate) fn reset(self) {
        #[expect(deprecated, reason = "a linger of zero is meant: it makes the reset")]
        self.stream.set_linger(Some(StdDuration::ZERO)).unwrap();
    }
}

/// The length of a whole request at the front, if there is one.
fn complete(bytes: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(bytes);
    let head = text.find("\r\n\r\n")? + 4;
    let length = text[..head]
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
        })
        .unwrap_or(0);
    (bytes.len() >= head + length).then_some(head + length)
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
