//! The load driver for HTTP: starts the workers, puts their parts together, ends them.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::thread::JoinHandle;

use harness_core::load::{LoadDriver, LoadError, LoadJob, LoadSummary, SampleSink, Stop};
use harness_core::system::BoxFuture;
use harness_core::time::Clock;
use rustls::pki_types::CertificateDer;
use tokio::sync::{mpsc, watch};

use crate::listen::{Orders, listen};
use crate::merge::Merger;
use crate::mix::Share;
use crate::request::{Requests, Sender};
use crate::target::{Protocol, Target};
use crate::timer::Timeline;
use crate::worker::{Report, WorkerSetup, run_worker};

/// Reports of all workers that may wait for the receiver; beyond it windows stay open a little
/// longer.
const REPORTS_MAX: usize = 1024;
/// Workers beyond this gain nothing on any machine that we know.
const WORKERS_MAX: u32 = 256;

/// Sends planned requests over HTTP/1.1 or HTTP/2, plain or TLS, in an open loop.
#[derive(Clone)]
pub struct HttpDriver {
    clock: Arc<dyn Clock>,
    roots: Vec<CertificateDer<'static>>,
}

impl HttpDriver {
    /// A driver whose times are those of the run's clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, roots: Vec::new() }
    }

    /// The same, which trusts these certificates (DER) beside the machine's own roots.
    pub fn trusting(mut self, roots: impl IntoIterator<Item = Vec<u8>>) -> Self {
        self.roots.extend(roots.into_iter().map(CertificateDer::from));
        self
    }

    async fn drive(
        &self,
        job: LoadJob<'_>,
        out: &dyn SampleSink,
        stop: &dyn Stop,
    ) -> Result<LoadSummary, LoadError> {
        check(&job)?;
        let protocol = if job.plan.http2 { Protocol::Http2 } else { Protocol::Http1 };
        let target = Target::new(job.target, protocol, &self.roots).await?;
        let sender = Sender {
            run: job.run,
            trial: job.trial,
            arm: job.arm,
            id_prefix: job.id_prefix,
            seed: job.seed,
        };
        let requests = Arc::new(Requests::new(job.plan, &target, sender)?);
        let timeline = Timeline::new(&*self.clock);
        let workers = job.plan.workers.min(job.plan.connections_max).clamp(1, WORKERS_MAX);
        let mut merger = Merger::new(job.trial, job.from, requests.kinds(), workers as usize)
            .tracing(job.plan.correlation.then_some(job.seed));
        let mut crew = Crew::start(&job, workers, timeline, &target, &requests)?;
        listen(&mut crew.reports, &crew.orders, &mut merger, out, stop).await?;
        crew.join();
        merger.hand_on_the_rest(out);
        Ok(merger.summary(timeline.now_ns().saturating_sub(job.from.nanos())))
    }
}

impl LoadDriver for HttpDriver {
    fn run<'a>(
        &'a self,
        job: LoadJob<'a>,
        out: &'a dyn SampleSink,
        stop: &'a dyn Stop,
    ) -> BoxFuture<'a, Result<LoadSummary, LoadError>> {
        Box::pin(self.drive(job, out, stop))
    }
}

/// What the types of the plan do not rule out.
fn check(job: &LoadJob<'_>) -> Result<(), LoadError> {
    let plan = job.plan;
    let problem = if plan.mix.is_empty() {
        "a mix without requests"
    } else if plan.connections_max == 0 || plan.in_flight_max == 0 {
        "requests without a connection or a place in flight"
    } else if plan.journeys().is_some() {
        "journeys"
    } else if plan.timeout.micros() == 0 {
        "requests without any time"
    } else {
        return Ok(());
    };
    Err(LoadError::Unsupported { driver: crate::DRIVER, what: problem.to_owned() })
}

/// The workers of one job. Dropping it stops them.
struct Crew {
    orders: Orders,
    reports: mpsc::Receiver<Report>,
    threads: Vec<JoinHandle<()>>,
}

impl Crew {
    fn start(
        job: &LoadJob<'_>,
        workers: u32,
        timeline: Timeline,
        target: &Target,
        requests: &Arc<Requests>,
    ) -> Result<Self, LoadError> {
        let orders = Orders::new();
        let (told, reports) = mpsc::channel(REPORTS_MAX);
        let plan = Arc::new(job.plan.clone());
        let in_flight = Arc::new(AtomicU32::new(0));
        let mut crew = Self { orders, reports, threads: Vec::new() };
        for worker in 0..workers {
            let setup = WorkerSetup {
                share: Share { worker, workers },
                timeline,
                from_ns: job.from.nanos(),
                until_ns: job.until.nanos(),
                plan: plan.clone(),
                seed: job.seed,
                target: target.clone(),
                requests: requests.clone(),
                in_flight: in_flight.clone(),
                stop: crew.orders.stop.subscribe(),
                finish: crew.orders.finish.subscribe(),
                reports: told.clone(),
            };
            let alarm = Alarm(crew.orders.stop.clone());
            let thread = std::thread::Builder::new().name(format!("load-{worker}"));
            let thread = thread.spawn(move || {
                run_worker(setup);
                drop(alarm);
            });
            let thread = thread.map_err(|error| LoadError::Machine {
                action: "start a thread for the load",
                why: error.to_string(),
            })?;
            crew.threads.push(thread);
        }
        Ok(crew)
    }

    /// Takes the threads back, which have told everything. A panic in one of them goes on here.
    fn join(mut self) {
        for thread in self.threads.drain(..) {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// Stops all workers when one of them panics: the rest alone is not the planned load.
struct Alarm(Arc<watch::Sender<bool>>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.send_replace(true);
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.orders.stop.send_replace(true);
    }
}
