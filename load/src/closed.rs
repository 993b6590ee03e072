//! A closed loop: each connection sends its next request when the last one is answered.
//!
//! For comparing peak throughput with other tools, and for nothing else: such a load slows down
//! with its target, so its latencies hide every stall. It is never judged.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use harness_core::ids::{RunId, TrialIndex};
use harness_core::load::{LoadError, RequestOutcome, Stop, latency_histogram};
use harness_core::plan::LoadPlan;
use harness_core::time::Clock;
use harness_core::units::Duration;
use hdrhistogram::Histogram;
use rustls::pki_types::CertificateDer;
use serde::Serialize;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::lane::Connections;
use crate::latencies::micros;
use crate::mix::{Arrival, Mix, Share};
use crate::report::Percentiles;
use crate::request::{Requests, Sender};
use crate::session::{Failure, Session};
use crate::target::{Protocol, Target};
use crate::timer::{Timeline, thread_cpu_ns};

/// How long a lane rests after a failure, so that a target that refuses is not hammered.
const REST: std::time::Duration = std::time::Duration::from_millis(10);

/// What a closed loop did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClosedReport {
    /// How long it ran.
    pub seconds: f64,
    /// Requests that ended, per second.
    pub rate: f64,
    /// Requests that ended.
    pub requests: u64,
    /// How they ended.
    pub outcomes: BTreeMap<RequestOutcome, u64>,
    /// From the real send time, of those with an answer; says nothing about stalls.
    pub service_us: Percentiles,
    /// CPU time of the workers as a share of one core.
    pub cpu_cores: f64,
}

/// Sums of one worker, later of all.
#[derive(Debug)]
struct Tally {
    outcomes: BTreeMap<RequestOutcome, u64>,
    service_us: Histogram<u64>,
    cpu_ns: u64,
}

/// Keeps all connections of `plan` busy with its mix for `length`. Shape, arrivals, timer, timeout
/// and the bound on requests in flight play no part. Requests still under way at the end are not
/// counted.
pub async fn run_closed(
    clock: &dyn Clock,
    plan: &LoadPlan,
    target: &str,
    length: Duration,
    stop: &dyn Stop,
) -> Result<ClosedReport, LoadError> {
    if plan.mix.is_empty() || plan.connections_max == 0 {
        let what = "a closed loop without requests or connections".to_owned();
        return Err(LoadError::Unsupported { driver: crate::DRIVER, what });
    }
    let protocol = if plan.http2 { Protocol::Http2 } else { Protocol::Http1 };
    let target = Target::new(target, protocol, &[] as &[CertificateDer<'static>]).await?;
    let run = RunId::new("closed");
    let sender =
        Sender { run: &run, trial: TrialIndex(0), arm: "closed", id_prefix: "closed", seed: 0 };
    let requests = Arc::new(Requests::new(plan, &target, sender)?);
    let mix = Mix::new(&plan.mix, 0);
    let timeline = Timeline::new(clock);
    let workers = plan.workers.clamp(1, plan.connections_max);
    let (ending, ended) = watch::channel(false);
    let begun_ns = timeline.now_ns();
    let mut threads = Vec::new();
    for worker in 0..workers {
        let share = Share { worker, workers };
        let setup = Setup {
            share,
            connections_max: share.of(plan.connections_max),
            target: target.clone(),
            requests: requests.clone(),
            mix: mix.clone(),
            timeline,
            ended: ended.clone(),
        };
        let thread = std::thread::Builder::new().name(format!("closed-{worker}"));
        threads.push(thread.spawn(move || work(setup)).map_err(|error| machine(&error))?);
    }
    drop(ended);
    tokio::select! {
        () = tokio::time::sleep(length.as_std()) => {}
        () = stop.stopped() => {}
        // A worker that could not begin has dropped its end.
        () = ending.closed() => {}
    }
    ending.send_replace(true);
    let elapsed_ns = timeline.now_ns() - begun_ns;
    let mut sum = Tally::new();
    for thread in threads {
        match thread.join() {
            Ok(tally) => sum.add(&tally?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    Ok(sum.report(elapsed_ns))
}

fn machine(error: &std::io::Error) -> LoadError {
    LoadError::Machine { action: "start a worker of the load", why: error.to_string() }
}

struct Setup {
    share: Share,
    connections_max: u32,
    target: Target,
    requests: Arc<Requests>,
    mix: Mix,
    timeline: Timeline,
    ended: watch::Receiver<bool>,
}

/// One worker's thread.
fn work(setup: Setup) -> Result<Tally, LoadError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .map_err(|error| machine(&error))?;
    let tally = Rc::new(RefCell::new(Tally::new()));
    let mut ended = setup.ended;
    let loops = Loops {
        connections: Connections::new(setup.target, setup.connections_max),
        requests: setup.requests,
        mix: setup.mix,
        timeline: setup.timeline,
        share: setup.share,
        next: RefCell::new(0),
        tally: tally.clone(),
    };
    runtime.block_on(async {
        let loops = Rc::new(loops);
        let mut lanes = JoinSet::new();
        for lane in 0..setup.connections_max as usize {
            lanes.spawn_local(lane_loop(loops.clone(), lane));
        }
        // A sender that is gone is an end as well.
        drop(ended.wait_for(|ended| *ended).await);
    });
    drop(runtime);
    let mut tally = Rc::into_inner(tally).expect("the lanes are gone").into_inner();
    tally.cpu_ns = thread_cpu_ns();
    Ok(tally)
}

/// What the lanes of one worker share.
struct Loops {
    connections: Connections,
    requests: Arc<Requests>,
    mix: Mix,
    timeline: Timeline,
    share: Share,
    next: RefCell<u64>,
    tally: Rc<RefCell<Tally>>,
}

impl Loops {
    fn arrival(&self) -> Arrival {
        let mut next = self.next.borrow_mut();
        let number = *next * u64::from(self.share.workers) + u64::from(self.share.worker);
        *next += 1;
        Arrival { number, due_ns: 0, request: self.mix.choose(number), id: Some(number) }
    }
}

async fn lane_loop(loops: Rc<Loops>, lane: usize) {
    let mut session: Option<Session> = None;
    loop {
        let open = match session.take().filter(|open| !open.is_closed()) {
            Some(open) => session.insert(open),
            None => match loops.connections.open(lane).await {
                Ok(open) => session.insert(open),
                Err(outcome) => {
                    loops.tally.borrow_mut().count(outcome);
                    tokio::time::sleep(REST).await;
                    continue;
                }
            },
        };
        let arrival = loops.arrival();
        let mut sent_ns = 0;
        let on_send = || sent_ns = loops.timeline.now_ns();
        let answer = open.exchange(&loops.requests, &arrival, on_send).await;
        if answer == Ok(RequestOutcome::Other) {
            // A request that cannot be made must not be tried at full speed.
            tokio::time::sleep(REST).await;
        }
        let mut tally = loops.tally.borrow_mut();
        match answer {
            Ok(outcome) => {
                tally.count(outcome);
                let service_ns = loops.timeline.now_ns().saturating_sub(sent_ns);
                tally.service_us.saturating_record(u64::from(micros(service_ns)));
            }
            Err(Failure::Ended(outcome)) => {
                tally.count(outcome);
                session = None;
            }
            Err(Failure::NotSent) => session = None,
        }
    }
}

impl Tally {
    fn new() -> Self {
        Self { outcomes: BTreeMap::new(), service_us: latency_histogram(), cpu_ns: 0 }
    }

    fn count(&mut self, outcome: RequestOutcome) {
        *self.outcomes.entry(outcome).or_default() += 1;
    }

    fn add(&mut self, other: &Self) {
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(*outcome).or_default() += count;
        }
        self.service_us.add(&other.service_us).expect("all histograms have the same bounds");
        self.cpu_ns += other.cpu_ns;
    }

    fn report(self, elapsed_ns: u64) -> ClosedReport {
        let seconds = elapsed_ns.max(1) as f64 / 1e9;
        let requests: u64 = self.outcomes.values().sum();
        ClosedReport {
            seconds,
            rate: requests as f64 / seconds,
            requests,
            service_us: Percentiles::of(&self.service_us, self.service_us.len()),
            outcomes: self.outcomes,
            cpu_cores: self.cpu_ns as f64 / elapsed_ns.max(1) as f64,
        }
    }
}
