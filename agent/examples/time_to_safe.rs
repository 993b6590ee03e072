//! How long after an interrupt everything in the proxy flows again: 20 edges of one proxy process
//! are black holes, and each of 1,000 callers' connections has a request held back.
//!
//! `time_to_safe ROUNDS open` prints two numbers a line: milliseconds from the interrupt until the
//! callee has all that was held back, which it answers only then, and until the callers have the
//! last answer. With `opened-under-fault` the connections are opened while the faults are in
//! force, so that the proxy has yet to dial for each of them. A real engine with the real injector,
//! its witness and a ledger on disk; only the system around the proxy is small.
//! `ci/bench/safety.sh` runs it.

#![expect(clippy::disallowed_methods, reason = "a benchmark has a clock and tasks of its own")]
#![expect(clippy::print_stdout, reason = "its figures are its output")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration as StdDuration, Instant};

use harness_core::event::{AbortRequest, Done, Event};
use harness_core::exit::EndOfRun;
use harness_core::journal::{Entry, What};
use harness_core::load::{
    KindSamples, LoadDriver, LoadError, LoadJob, LoadSummary, LoadTick, RequestOutcome, SampleSink,
    Stop, WINDOW, WindowSamples,
};
use harness_core::plan::{Arm, Plan, SignalPlan, TrialMode};
use harness_core::signal::{Source, Sources};
use harness_core::system::{BoxFuture, Host, Opened, Processed, Steadiness, System, SystemError};
use harness_core::time::{Clock, WallTime};
use harness_core::topology::{Edge, Topology};
use harness_core::units::Duration;
use harness_engine::Ports;
use harness_engine::clock::RunClock;
use harness_engine::run::{Observer, RunInput, run};
use harness_engine::store::RunStore;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

const EDGES: usize = 20;
const CONNECTIONS_PER_EDGE: usize = 50;
const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
const HELD: &[u8] = b"GET /held HTTP/1.1\r\nhost: a\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const STEP_MAX: StdDuration = StdDuration::from_secs(30);
/// A plan as `gameday plan --json` prints it; all but its faults and times is kept.
const PLAN: &str = include_str!("../../harness/policy/src/rego/plan.json");

/// A proxy process on all edges; killed at the end.
struct Proxy {
    child: Child,
    folder: tempfile::TempDir,
    listen: Vec<SocketAddr>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

impl Proxy {
    fn start(upstream: SocketAddr) -> ended::Result<Self> {
        let folder = tempfile::tempdir()?;
        let held: Vec<_> = (0..EDGES)
            .map(|_| std::net::TcpListener::bind("127.0.0.1:0"))
            .collect::<Result<_, _>>()?;
        let listen: Vec<_> =
            held.iter().map(std::net::TcpListener::local_addr).collect::<Result<_, _>>()?;
        drop(held);
        let mut routes = Vec::new();
        for (index, listen) in listen.iter().enumerate() {
            routes.push(json!({"edge": edge(index), "listen": listen, "upstream": upstream}));
        }
        let config = json!({"format": "gameday.proxy/1", "routes": routes});
        let file = |name| folder.path().join(name);
        std::fs::write(file("proxy.json"), config.to_string())?;
        let program = std::env::current_exe()?;
        let program = program.parent().and_then(Path::parent).map(|bin| bin.join("agent-proxy"));
        let child = Command::new(program.ok_or("no folder of programs")?)
            .arg("--config")
            .arg(file("proxy.json"))
            .arg("--socket")
            .arg(file("proxy.sock"))
            .stdin(Stdio::null())
            .spawn()?;
        let began = Instant::now();
        while std::os::unix::net::UnixStream::connect(file("proxy.sock")).is_err() {
            if began.elapsed() > STEP_MAX {
                return Err("the proxy did not become ready".into());
            }
            std::thread::sleep(StdDuration::from_millis(5));
        }
        Ok(Self { child, folder, listen })
    }

    fn topology(&self) -> Topology {
        let edges = self.listen.iter().enumerate().map(|(index, listen)| Edge {
            name: edge(index).as_str().into(),
            caller: format!("caller{index:02}"),
            callee: "callee".into(),
            addresses: vec![listen.to_string()],
            interposable: true,
        });
        let socket = self.folder.path().join("proxy.sock");
        Topology {
            entry: "http://127.0.0.1:1".to_owned(),
            edges: edges.collect(),
            controls: [("proxy".to_owned(), socket.display().to_string())].into(),
            ..Topology::default()
        }
    }
}

/// Errors of a benchmark: it ends with the first.
mod ended {
    pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
}

fn edge(index: usize) -> String {
    format!("caller{index:02}->callee")
}

/// The system around the proxy: always there, always steady.
#[derive(Clone)]
struct Around(Topology);

impl Host for Around {
    fn record(&self) -> Option<Value> {
        None
    }

    fn open(&self, _: Duration) -> BoxFuture<'_, Result<Opened, SystemError>> {
        let system: Arc<dyn System> = Arc::new(self.clone());
        Box::pin(std::future::ready(Ok(Opened { system, topology: self.0.clone() })))
    }

    fn close<'a>(&'a self, _: &'a Value, _: Duration) -> BoxFuture<'a, Result<(), SystemError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn left_behind<'a>(
        &'a self,
        _: &'a Value,
        _: Duration,
    ) -> BoxFuture<'a, Result<Vec<String>, SystemError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}

impl System for Around {
    fn topology(&self, _: Duration) -> BoxFuture<'_, Result<Topology, SystemError>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }

    fn reset(&self, _: Duration) -> BoxFuture<'_, Result<(), SystemError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn steadiness(&self, _: Duration) -> BoxFuture<'_, Result<Steadiness, SystemError>> {
        Box::pin(std::future::ready(Ok(Steadiness::Steady)))
    }

    fn processed<'a>(
        &'a self,
        _: &'a str,
        _: Duration,
    ) -> BoxFuture<'a, Result<Processed, SystemError>> {
        Box::pin(std::future::ready(Ok(Processed::default())))
    }
}

/// Sends nothing, and says that one request in each window went well, so that there is a steady
/// state: the callers' connections are the load.
struct NoLoad(Arc<RunClock>);

impl LoadDriver for NoLoad {
    fn run<'a>(
        &'a self,
        job: LoadJob<'a>,
        out: &'a dyn SampleSink,
        stop: &'a dyn Stop,
    ) -> BoxFuture<'a, Result<LoadSummary, LoadError>> {
        Box::pin(async move {
            let (mut start, mut index) = (job.from, 0);
            while !stop.is_finishing() && start < job.until {
                let left = (start + WINDOW).since(self.0.now()).as_std();
                drop(tokio::time::timeout(left, stop.finishing()).await);
                let mut kind = KindSamples { planned: 1, good: 1, ..KindSamples::default() };
                kind.outcomes.insert(RequestOutcome::Status(200), 1);
                kind.latency_us.record(1000).expect("within the bounds");
                let mut window = WindowSamples::new(job.trial, index, start);
                window.kinds.insert("GET /".into(), kind);
                out.window(window);
                out.tick(LoadTick { due: 1, good: 1, ..LoadTick::default() });
                (start, index) = (start + WINDOW, index + 1);
            }
            Ok(LoadSummary {
                due: u64::from(index),
                sent: u64::from(index),
                accepted: Vec::new(),
                unknown: Vec::new(),
                lag_us_p50: 0,
                lag_us_p99: 0,
                lag_us_max: 0,
                cpu_cores: 0.0,
                pauses: 0,
                paused: Duration::ZERO,
                traces: Vec::new(),
            })
        })
    }
}

struct NoSources;

impl Sources for NoSources {
    fn source(
        &self,
        _: &SignalPlan,
        _: &Topology,
        _: Arc<dyn Clock>,
    ) -> Result<Arc<dyn Source>, String> {
        Err("there is none".to_owned())
    }
}

/// Counts faults that were seen in force.
#[derive(Default)]
struct InForce(AtomicUsize);

impl Observer for InForce {
    fn entry(&self, entry: &Entry) {
        if let What::Event(Event::Done { outcome: Done::Effective { .. }, .. }) = &entry.what {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn paying(&self, _: &str) {}
}

/// One trial with a black hole on every edge.
fn plan(topology: &Topology) -> ended::Result<Plan> {
    let mut plan: Plan = serde_json::from_str(PLAN)?;
    let pattern = plan.faults.first().ok_or("the plan has a fault")?.clone();
    plan.system.topology = topology.declared();
    plan.faults = (0..EDGES)
        .map(|index| {
            let mut fault = pattern.clone();
            fault.id = format!("f{index:02}").as_str().into();
            fault.spec = json!({"edge": edge(index), "mode": "blackhole"});
            fault.lasts = Duration::from_secs(60);
            fault.radius.edges = vec![edge(index)];
            fault
        })
        .collect();
    plan.safety.radius.edges = u32::try_from(EDGES)?;
    let faults = plan.faults.iter().map(|fault| fault.id.clone()).collect();
    let arm = plan.trials.planned.first().ok_or("the plan has a trial")?.arm.clone();
    plan.arms = vec![Arm { name: arm.clone(), faults }];
    plan.trials.planned.retain(|trial| trial.arm == arm);
    plan.trials.planned.truncate(1);
    plan.trials.spare.clear();
    plan.trials.mode = TrialMode::Observed;
    plan.phases.warmup = Duration::from_millis(100);
    plan.phases.baseline = Duration::from_millis(100);
    plan.phases.fault = Duration::from_secs(60);
    plan.steady.hold = Duration::from_millis(100);
    plan.steady.success_at_least = harness_core::units::Ratio::ZERO;
    plan.steady.latency = None;
    plan.steady.sentinels.clear();
    plan.signals.clear();
    plan.expectations.clear();
    plan.safety.guardrails.clear();
    plan.safety.lease = Duration::from_secs(60);
    Ok(plan)
}

/// What the callee knows of the requests that were held back.
#[derive(Default)]
struct Released {
    /// Those of this round that have come.
    count: AtomicUsize,
    /// When the last one of a round came.
    all: watch::Sender<Option<Instant>>,
}

impl Released {
    /// Takes note of one, and waits until all of its round have come.
    async fn one(&self) {
        let mut all = self.all.subscribe();
        if self.count.fetch_add(1, Ordering::SeqCst) + 1 == EDGES * CONNECTIONS_PER_EDGE {
            self.all.send_replace(Some(Instant::now()));
        }
        drop(all.wait_for(Option::is_some).await);
    }

    fn next_round(&self) {
        self.count.store(0, Ordering::SeqCst);
        self.all.send_replace(None);
    }
}

/// Answers every request, for ever; those that were held back when all of them have come.
async fn upstream(listener: TcpListener, released: Arc<Released>) {
    let mut connections = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let released = Arc::clone(&released);
        connections.spawn(async move {
            let mut piece = [0; 1024];
            while let Ok(length) = stream.read(&mut piece).await {
                // One request fits into one piece here.
                if piece.starts_with(HELD) {
                    released.one().await;
                }
                if length == 0 || stream.write_all(ANSWER).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// When the callers open their connections.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opening {
    /// Before the faults: what is held back are bytes.
    Before,
    /// While they are in force: the proxy dials only afterwards.
    Under,
}

/// The world around the harness.
#[derive(Clone, Copy)]
struct Callers<'a> {
    opening: Opening,
    /// Of the callers and the callee.
    threads: &'a Handle,
    /// What the callee got of what was held back.
    released: &'a Released,
}

async fn connect(listen: Vec<SocketAddr>) -> ended::Result<Vec<TcpStream>> {
    let mut streams = Vec::new();
    for address in listen {
        for _ in 0..CONNECTIONS_PER_EDGE {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
    }
    Ok(streams)
}

/// Has one request answered on each connection.
async fn use_once(mut streams: Vec<TcpStream>) -> ended::Result<Vec<TcpStream>> {
    for stream in &mut streams {
        stream.write_all(REQUEST).await?;
        answer(stream).await?;
    }
    Ok(streams)
}

async fn answer(stream: &mut TcpStream) -> std::io::Result<()> {
    let length = stream.read(&mut [0; 1024]).await?;
    if length == 0 {
        return Err(std::io::Error::other("a connection was closed"));
    }
    Ok(())
}

/// Sends one request on each of the callers' connections; none of them is answered yet.
async fn hold(streams: Vec<TcpStream>) -> ended::Result<JoinSet<std::io::Result<Instant>>> {
    let mut held = JoinSet::new();
    for mut stream in streams {
        stream.write_all(HELD).await?;
        held.spawn(async move { answer(&mut stream).await.map(|()| Instant::now()) });
    }
    Ok(held)
}

/// `number` tells the runs apart: a proxy refuses what it was told to revert before.
async fn round(
    proxy: &Proxy,
    number: i64,
    callers: Callers<'_>,
) -> ended::Result<[StdDuration; 2]> {
    let Callers { opening, threads: callers, released } = callers;
    released.next_round();
    let folder = tempfile::tempdir()?;
    let topology = proxy.topology();
    let plan = plan(&topology)?;
    let (dir, _lock) = RunStore::new(folder.path()).create(&plan, WallTime(1000 * number))?;
    let in_force = Arc::new(InForce::default());
    let clock = Arc::new(RunClock::start());
    let (interrupt, interrupts) = mpsc::channel(4);
    let input = RunInput {
        run: dir.id().clone(),
        plan: Arc::new(plan),
        ports: Ports {
            host: Arc::new(Around(topology)),
            registry: injectors::registry(),
            driver: Arc::new(NoLoad(Arc::clone(&clock))),
            sources: Arc::new(NoSources),
            clock,
        },
        files: dir.files()?,
        interrupts,
        switches: Vec::new(),
        observer: Arc::clone(&in_force) as Arc<dyn Observer>,
        enough: None,
        watchdog: None,
    };
    let listen = proxy.listen.clone();
    let before = match opening {
        Opening::Before => {
            callers.spawn(async { use_once(connect(listen).await?).await }).await??
        }
        Opening::Under => Vec::new(),
    };
    let running = tokio::spawn(run(input));
    let began = Instant::now();
    while in_force.0.load(Ordering::SeqCst) < EDGES {
        if running.is_finished() || began.elapsed() > STEP_MAX {
            return Err(format!("not in force: {:?}", running.await?).into());
        }
        tokio::time::sleep(StdDuration::from_millis(10)).await;
    }
    let listen = proxy.listen.clone();
    let streams = match opening {
        Opening::Before => before,
        Opening::Under => callers.spawn(connect(listen)).await??,
    };
    let mut held = callers.spawn(hold(streams)).await??;
    // All of them are in the proxy; an answer now would be a hole in the black hole.
    tokio::time::sleep(StdDuration::from_millis(200)).await;
    if let Some(early) = held.try_join_next() {
        return Err(format!("a request was not held back: {early:?}").into());
    }
    let interrupted = Instant::now();
    interrupt.send(AbortRequest::Signal { count: 1 }).await?;
    let mut last = StdDuration::ZERO;
    while let Some(answered) = tokio::time::timeout(STEP_MAX, held.join_next()).await? {
        last = last.max(answered??.duration_since(interrupted));
    }
    let summary = running.await??;
    if !matches!(summary.end, EndOfRun::Aborted { .. }) || !summary.owed.is_empty() {
        return Err(format!("the run did not end clean: {summary:?}").into());
    }
    let all = released.all.borrow().ok_or("the callee did not get all that was held back")?;
    Ok([all.duration_since(interrupted), last])
}

fn main() -> ended::Result<()> {
    const USAGE: &str = "usage: time_to_safe ROUNDS open|opened-under-fault";
    let rounds: u32 = std::env::args().nth(1).ok_or(USAGE)?.parse()?;
    let opening = match std::env::args().nth(2).as_deref() {
        Some("open") => Opening::Before,
        Some("opened-under-fault") => Opening::Under,
        _ => return Err(USAGE.into()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Callers and callee are not the harness: they have threads of their own.
    let others = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let listener = others.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let released = Arc::new(Released::default());
    others.spawn(upstream(listener, Arc::clone(&released)));
    runtime.block_on(async {
        let proxy = Proxy::start(address)?;
        for number in 0..rounds {
            let around = Callers { opening, threads: others.handle(), released: &released };
            let [callee, callers] = round(&proxy, i64::from(number), around).await?;
            println!("{:.3} {:.3}", callee.as_secs_f64() * 1e3, callers.as_secs_f64() * 1e3);
        }
        Ok(())
    })
}
