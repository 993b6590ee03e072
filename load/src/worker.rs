//! One worker: a thread with its own runtime, which sends its share of the requests in time.
//!
//! Tells what it saw over a bounded channel and never waits for the receiver while it sends.

use std::io;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use harness_core::load::LoadError;
use harness_core::plan::LoadPlan;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::desk::{BEAT_NS, Desk, DeskSetup, Dispatch};
use crate::lane::{Connections, run_lane};
use crate::merge::{TickPart, WorkerEnd};
use crate::mix::{Arrival, ArrivalQueue, Share};
use crate::recorder::WindowPart;
use crate::request::Requests;
use crate::target::{Protocol, Target};
use crate::timer::{Idleness, Timeline, Timer, thread_cpu_ns};

/// At most this many requests become due before other tasks have their turn.
const BATCH_MAX: u32 = 256;
/// Streams on one HTTP/2 connection; most servers allow 100 or more.
const STREAMS_MAX: usize = 100;

/// What a worker tells.
#[derive(Debug)]
pub(crate) enum Report {
    /// Its part of a closed window.
    Window(u32, WindowPart),
    /// Its part of a passed tick.
    Tick(u32, TickPart),
    /// It stood still between these times.
    Pause(u64, u64),
    /// It has told everything.
    Ended(WorkerEnd),
    /// It could not begin.
    Failed(LoadError),
}

/// What a worker needs.
pub(crate) struct WorkerSetup {
    /// Its place among the workers.
    pub(crate) share: Share,
    /// The clock.
    pub(crate) timeline: Timeline,
    /// The load's start on it.
    pub(crate) from_ns: u64,
    /// Nothing is due at or after this.
    pub(crate) until_ns: u64,
    /// The plan.
    pub(crate) plan: Arc<LoadPlan>,
    /// Seeds arrivals and mix.
    pub(crate) seed: u64,
    /// Where to.
    pub(crate) target: Target,
    /// What.
    pub(crate) requests: Arc<Requests>,
    /// Requests under way or waiting, of all workers.
    pub(crate) in_flight: Arc<AtomicU32>,
    /// Turns true when it is time to stop.
    pub(crate) stop: watch::Receiver<bool>,
    /// Turns true when nothing more becomes due.
    pub(crate) finish: watch::Receiver<bool>,
    /// Where it tells.
    pub(crate) reports: mpsc::Sender<Report>,
}

/// The body of a worker's thread.
pub(crate) fn run_worker(setup: WorkerSetup) {
    let reports = setup.reports.clone();
    let told = match drive(setup) {
        Ok(()) => return,
        Err(error) => {
            LoadError::Machine { action: "start a worker of the load", why: error.to_string() }
        }
    };
    // A receiver that has gone does not want to know.
    drop(reports.blocking_send(Report::Failed(told)));
}

fn drive(setup: WorkerSetup) -> io::Result<()> {
    let idleness = Idleness::new(setup.timeline);
    let runtime = runtime(&idleness)?;
    let length_ns = setup.until_ns.saturating_sub(setup.from_ns);
    let connections_max = setup.share.of(setup.plan.connections_max).max(1);
    let streams = match setup.target.protocol {
        Protocol::Http1 => 1,
        Protocol::Http2 => STREAMS_MAX,
    };
    let desk = Rc::new(Desk::new(DeskSetup {
        timeline: setup.timeline,
        idleness,
        from_ns: setup.from_ns,
        length_ns,
        plan: setup.plan.clone(),
        in_flight: setup.in_flight,
        lanes_max: connections_max as usize * streams,
    }));
    let queue = ArrivalQueue::new(&setup.plan, setup.seed, length_ns, setup.share);
    let mut pacer = Pacer {
        desk: desk.clone(),
        connections: Rc::new(Connections::new(setup.target, connections_max)),
        requests: setup.requests,
        lanes: JoinSet::new(),
        timeline: setup.timeline,
        from_ns: setup.from_ns,
        until_ns: setup.until_ns,
        next_beat_ns: 0,
        reports: setup.reports.clone(),
        stop: setup.stop,
        finish: setup.finish,
    };
    let mode = setup.plan.timer;
    let ended_ns = runtime.block_on(async {
        let timer = Timer::new(mode, setup.timeline)?;
        io::Result::Ok(pacer.run(timer, queue).await)
    })?;
    // All lanes end here, and with them every connection.
    drop(pacer);
    drop(runtime);
    finish(desk, ended_ns, &setup.reports);
    Ok(())
}

fn runtime(idleness: &Idleness) -> io::Result<LocalRuntime> {
    let (parks, unparks) = (idleness.clone(), idleness.clone());
    Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || parks.parks())
        .on_thread_unpark(move || unparks.unparks())
        .build_local(LocalOptions::default())
}

fn finish(desk: Rc<Desk>, ended_ns: u64, reports: &mpsc::Sender<Report>) {
    let desk = Rc::into_inner(desk).expect("the lanes that shared it are gone");
    let pauses = desk.pauses();
    let mut rest = desk.finish(ended_ns);
    rest.end.cpu_ns = thread_cpu_ns();
    let told = pauses
        .into_iter()
        .map(|(from, to)| Report::Pause(from, to))
        .chain([Report::Tick(rest.tick.0, rest.tick.1)])
        .chain(rest.windows.into_iter().map(|(index, part)| Report::Window(index, part)))
        .chain([Report::Ended(rest.end)]);
    for report in told {
        if reports.blocking_send(report).is_err() {
            return;
        }
    }
}

/// Sends what is due when it is due, and looks around at every beat.
struct Pacer {
    desk: Rc<Desk>,
    connections: Rc<Connections>,
    requests: Arc<Requests>,
    lanes: JoinSet<()>,
    timeline: Timeline,
    from_ns: u64,
    until_ns: u64,
    next_beat_ns: u64,
    reports: mpsc::Sender<Report>,
    stop: watch::Receiver<bool>,
    finish: watch::Receiver<bool>,
}

impl Pacer {
    /// Ends when all is sent and answered, or at a stop; says up to when windows count.
    async fn run(&mut self, mut timer: Timer, mut queue: ArrivalQueue) -> u64 {
        let mut next = queue.next();
        let mut finishing = false;
        loop {
            let mut batch = 0;
            let mut now = self.desk.now_ns();
            while let Some(arrival) = next.filter(|arrival| self.due_ns(arrival) <= now)
                && batch < BATCH_MAX
            {
                self.dispatch(arrival, now);
                batch += 1;
                next = queue.next().filter(|_| !finishing);
                now = self.timeline.now_ns();
            }
            let next_ns = next.as_ref().map_or(u64::MAX, |arrival| self.due_ns(arrival));
            if now >= self.next_beat_ns && self.beat(now, next_ns).is_break() {
                return self.until_ns.min(now);
            }
            if batch == BATCH_MAX {
                tokio::task::yield_now().await;
                continue;
            }
            // All branches may be dropped at any wait: the timer is set anew each time.
            tokio::select! {
                biased;
                _ = self.stop.wait_for(|stopped| *stopped) => {
                    return self.until_ns.min(self.timeline.now_ns());
                }
                _ = self.finish.wait_for(|finish| *finish), if !finishing => {
                    finishing = true;
                    next = None;
                    self.until_ns = self.until_ns.min(self.timeline.now_ns());
                }
                () = timer.wait_until(next_ns.min(self.next_beat_ns)) => {}
            }
        }
    }

    fn due_ns(&self, arrival: &Arrival) -> u64 {
        self.from_ns + arrival.due_ns
    }

    fn dispatch(&mut self, arrival: Arrival, now_ns: u64) {
        match self.desk.due(arrival, now_ns) {
            Dispatch::Done => {}
            Dispatch::Open(lane) => {
                let (desk, requests) = (self.desk.clone(), self.requests.clone());
                let connections = self.connections.clone();
                self.lanes.spawn_local(run_lane(desk, connections, requests, lane));
            }
        }
    }

    /// Looks around: what is late, what can be told, whether this is the end.
    fn beat(&mut self, now_ns: u64, next_due_ns: u64) -> ControlFlow<()> {
        self.next_beat_ns = now_ns + BEAT_NS;
        self.desk.sweep(now_ns);
        if let Some(Err(ended)) = self.lanes.try_join_next()
            && let Ok(panic) = ended.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
        for (from, to) in self.desk.pauses() {
            // A full channel loses a pause's length; its windows stay marked.
            drop(self.reports.try_send(Report::Pause(from, to)));
        }
        // Windows end with the load, which may have been told to finish.
        let passed_ns = next_due_ns.min(now_ns).min(self.until_ns);
        while let Ok(permit) = self.reports.try_reserve() {
            match self.desk.closed_window(passed_ns) {
                Some((index, part)) => permit.send(Report::Window(index, part)),
                None => break,
            }
        }
        while let Ok(permit) = self.reports.try_reserve() {
            match self.desk.passed_tick(now_ns) {
                Some((index, part)) => permit.send(Report::Tick(index, part)),
                None => break,
            }
        }
        let over = *self.stop.borrow() || self.reports.is_closed();
        let all_done = next_due_ns == u64::MAX && now_ns >= self.until_ns;
        if over || all_done && self.desk.is_settled() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
