//! A worker's own state: which requests wait, which lane does what, and what was measured.
//!
//! Shared by the pacer and the lanes of one thread; borrowed for moments only, never across a
//! wait. Times are nanoseconds since the run began unless they are called offsets. Does not wait,
//! connect or send.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Waker;

use harness_core::load::RequestOutcome;
use harness_core::plan::{LoadPlan, Reuse};

use crate::merge::{TickPart, WorkerEnd};
use crate::mix::Arrival;
use crate::recorder::{Ending, Recorder, WINDOW_NS, WindowPart};
use crate::timer::{Idleness, Timeline};

/// A worker that did nothing for longer than this, although it looks around every
/// [`BEAT_NS`], stood still. The same bound as the harness's own standstills; shorter ones show as
/// send lag, which has its own bound.
pub(crate) const PAUSE_NS_MIN: u64 = 100_000_000;
/// How often a worker looks around.
pub(crate) const BEAT_NS: u64 = 10_000_000;

/// One of the places at which a request can be under way.
#[derive(Debug, Default)]
struct Lane {
    /// What it is to send next.
    next: Option<Waiting>,
    current: Option<Current>,
    waker: Option<Waker>,
    /// After this, the current step has taken too long.
    deadline_ns: Option<u64>,
    expired: bool,
}

/// A request that is due.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    arrival: Arrival,
    due_ns: u64,
    /// Since when it waits for a lane; `None` when it never did.
    queued_ns: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Current {
    waiting: Waiting,
    /// When a lane took it up.
    taken_ns: u64,
    sent_ns: Option<u64>,
    /// Counted as sent, with its lag.
    counted: bool,
}

/// What a lane has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dispatch {
    /// Nothing for the caller to do.
    Done,
    /// A new lane must be started.
    Open(usize),
}

/// The shared state of one worker.
#[derive(Debug)]
pub(crate) struct Desk {
    timeline: Timeline,
    idleness: Idleness,
    from_ns: u64,
    rules: Rules,
    lanes_max: usize,
    state: RefCell<State>,
}

/// What decides about a request and does not change.
#[derive(Debug)]
struct Rules {
    plan: Arc<LoadPlan>,
    /// Requests under way or waiting, of all workers.
    in_flight: Arc<AtomicU32>,
}

#[derive(Debug)]
struct State {
    recorder: Recorder,
    lanes: Vec<Lane>,
    /// Lanes with an open connection and nothing to do; the last one used is taken first.
    warm: Vec<usize>,
    /// Lanes without a connection and nothing to do.
    cold: Vec<usize>,
    /// Bounded by the plan's `in_flight_max`.
    backlog: VecDeque<Waiting>,
    tick: TickPart,
    tick_index: u32,
    own_in_flight: u64,
    alive_ns: u64,
    /// Until then, what waits behind a pause is held up by it.
    recovering_until_ns: u64,
    pauses: Vec<(u64, u64)>,
    end: WorkerEnd,
}

/// What a desk is made from.
#[derive(Debug)]
pub(crate) struct DeskSetup {
    /// The worker's clock.
    pub(crate) timeline: Timeline,
    /// Of the worker's thread.
    pub(crate) idleness: Idleness,
    /// The load's start, and its end.
    pub(crate) from_ns: u64,
    /// The load's length.
    pub(crate) length_ns: u64,
    /// The plan.
    pub(crate) plan: Arc<LoadPlan>,
    /// Requests under way or waiting, of all workers.
    pub(crate) in_flight: Arc<AtomicU32>,
    /// Requests that this worker can have under way at once; at least 1.
    pub(crate) lanes_max: usize,
}

impl Desk {
    /// An empty desk.
    pub(crate) fn new(setup: DeskSetup) -> Self {
        let state = State {
            recorder: Recorder::new(setup.plan.mix.len(), setup.length_ns),
            lanes: Vec::new(),
            warm: Vec::new(),
            cold: Vec::new(),
            backlog: VecDeque::new(),
            tick: TickPart::default(),
            tick_index: 0,
            own_in_flight: 0,
            alive_ns: setup.timeline.now_ns(),
            recovering_until_ns: 0,
            pauses: Vec::new(),
            end: WorkerEnd::default(),
        };
        Self {
            timeline: setup.timeline,
            idleness: setup.idleness,
            from_ns: setup.from_ns,
            rules: Rules { plan: setup.plan, in_flight: setup.in_flight },
            lanes_max: setup.lanes_max,
            state: RefCell::new(state),
        }
    }

    /// How long a connection is kept.
    pub(crate) fn reuse(&self) -> Reuse {
        self.rules.plan.reuse
    }

    /// The time, noted as a sign of life.
    pub(crate) fn now_ns(&self) -> u64 {
        let now = self.timeline.now_ns();
        self.state.borrow_mut().alive(now, self.from_ns);
        now
    }

    /// A request is due: it goes to a lane, waits for one, or is too many.
    pub(crate) fn due(&self, arrival: Arrival, now_ns: u64) -> Dispatch {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        state.recorder.planned(&arrival);
        state.tick.due += 1;
        state.end.due += 1;
        let due_ns = self.from_ns + arrival.due_ns;
        state.note_recovery(&arrival, due_ns, now_ns);
        if !self.rules.admits_one_more() {
            state.overrun(&arrival);
            return Dispatch::Done;
        }
        state.own_in_flight += 1;
        let waiting = Waiting { arrival, due_ns, queued_ns: None };
        if let Some(lane) = state.warm.pop().or_else(|| state.cold.pop()) {
            let lane = &mut state.lanes[lane];
            lane.next = Some(waiting);
            if let Some(waker) = &lane.waker {
                waker.wake_by_ref();
            }
            return Dispatch::Done;
        }
        if state.lanes.len() < self.lanes_max {
            state.lanes.push(Lane { next: Some(waiting), ..Lane::default() });
            return Dispatch::Open(state.lanes.len() - 1);
        }
        state.backlog.push_back(Waiting { queued_ns: Some(now_ns), ..waiting });
        Dispatch::Done
    }

    /// What a lane is to send now, if anything. The waker is kept for later.
    pub(crate) fn take(&self, lane: usize, waker: &Waker) -> Option<Arrival> {
        let mut state = self.state.borrow_mut();
        let lane = &mut state.lanes[lane];
        let Some(waiting) = lane.next.take() else {
            lane.keep(waker);
            return None;
        };
        let taken_ns = self.timeline.now_ns();
        lane.current = Some(Current { waiting, taken_ns, sent_ns: None, counted: false });
        lane.deadline_ns = Some(taken_ns + self.rules.timeout_ns());
        lane.expired = false;
        Some(waiting.arrival)
    }

    /// Whether the lane's current step has taken too long. The waker is kept for that moment.
    pub(crate) fn is_expired(&self, lane: usize, waker: &Waker) -> bool {
        let mut state = self.state.borrow_mut();
        let lane = &mut state.lanes[lane];
        lane.keep(waker);
        lane.expired
    }

    /// The lane's request goes out now, on a connection that was open before or not.
    pub(crate) fn sent(&self, lane: usize, connected: Connected) {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let now = self.timeline.now_ns();
        let lane = &mut state.lanes[lane];
        lane.deadline_ns = Some(now + self.rules.timeout_ns());
        let current = lane.current.as_mut().expect("a lane sends what it has taken");
        current.sent_ns = Some(now);
        if std::mem::replace(&mut current.counted, true) {
            return;
        }
        let ready_ns = match connected {
            Connected::Before => now,
            Connected::Now => current.taken_ns,
        };
        let waiting = current.waiting;
        let lag_ns = match waiting.queued_ns {
            None => ready_ns.saturating_sub(waiting.due_ns),
            // All lanes were busy: the time until the thread last had nothing to do is the
            // target's, the rest is ours.
            Some(queued_ns) => {
                let ours = ready_ns.saturating_sub(queued_ns.max(self.idleness.last_ns()));
                queued_ns.saturating_sub(waiting.due_ns) + ours
            }
        };
        state.end.sent += 1;
        state.tick.lag_ns_max = state.tick.lag_ns_max.max(lag_ns);
        state.recorder.sent(&waiting.arrival, lag_ns);
    }

    /// The lane's request did not leave after all, and is tried on another connection.
    pub(crate) fn not_sent(&self, lane: usize) {
        if let Some(current) = &mut self.state.borrow_mut().lanes[lane].current {
            current.sent_ns = None;
        }
    }

    /// The lane's request has its outcome; the lane gets the next one or rests.
    pub(crate) fn ended(&self, lane: usize, outcome: RequestOutcome, rest: Rest) {
        let now = self.now_ns();
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let current = state.lanes[lane].current.take().expect("a lane ends what it has taken");
        state.lanes[lane].deadline_ns = None;
        self.rules.record(state, &current, outcome, now);
        if let Some(waiting) = state.backlog.pop_front() {
            state.lanes[lane].next = Some(waiting);
        } else {
            match rest {
                Rest::Warm => state.warm.push(lane),
                Rest::Cold => state.cold.push(lane),
            }
        }
    }

    /// A resting lane lost its connection.
    pub(crate) fn cooled(&self, lane: usize) {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        if let Some(place) = state.warm.iter().rposition(|warm| *warm == lane) {
            state.warm.remove(place);
            state.cold.push(lane);
        }
    }

    /// Wakes the lanes whose step has taken too long.
    pub(crate) fn sweep(&self, now_ns: u64) {
        let mut state = self.state.borrow_mut();
        for lane in &mut state.lanes {
            if lane.deadline_ns.is_some_and(|deadline| now_ns > deadline) {
                lane.deadline_ns = None;
                lane.expired = true;
                if let Some(waker) = &lane.waker {
                    waker.wake_by_ref();
                }
            }
        }
    }

    /// The next window that can be closed, given that nothing due before `until_ns` is to come.
    pub(crate) fn closed_window(&self, until_ns: u64) -> Option<(u32, WindowPart)> {
        let mut state = self.state.borrow_mut();
        let until_offset = until_ns.saturating_sub(self.from_ns);
        state.recorder.can_close(until_offset).then(|| state.recorder.close())
    }

    /// The next tick that has passed.
    pub(crate) fn passed_tick(&self, now_ns: u64) -> Option<(u32, TickPart)> {
        let mut state = self.state.borrow_mut();
        let end_ns = self.from_ns + u64::from(state.tick_index + 1) * WINDOW_NS;
        (now_ns >= end_ns).then(|| {
            let mut part = std::mem::take(&mut state.tick);
            part.in_flight = state.own_in_flight;
            state.tick_index += 1;
            (state.tick_index - 1, part)
        })
    }

    /// Times at which the worker stood still, since the last call.
    pub(crate) fn pauses(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.state.borrow_mut().pauses)
    }

    /// Whether nothing is under way or waiting.
    pub(crate) fn is_settled(&self) -> bool {
        self.state.borrow().own_in_flight == 0
    }

    /// Ends everything. What was sent counts as timed out, what was not as unsent. The lanes are
    /// gone by now.
    pub(crate) fn finish(self, until_ns: u64) -> Remainder {
        let now = self.timeline.now_ns();
        let Self { rules, state, from_ns, .. } = self;
        let mut state = state.into_inner();
        let under_way: Vec<Current> =
            state.lanes.iter_mut().filter_map(|lane| lane.current.take()).collect();
        for current in under_way {
            let sent = current.sent_ns.is_some();
            let outcome = if sent { RequestOutcome::Timeout } else { RequestOutcome::Unsent };
            rules.record(&mut state, &current, outcome, now);
        }
        let next = state.lanes.iter_mut().filter_map(|lane| lane.next.take());
        let waiting: Vec<Waiting> = next.chain(std::mem::take(&mut state.backlog)).collect();
        for waiting in waiting {
            let current = Current { waiting, taken_ns: now, sent_ns: None, counted: false };
            rules.record(&mut state, &current, RequestOutcome::Unsent, now);
        }
        let until_offset = until_ns.saturating_sub(from_ns);
        Remainder {
            end: state.end,
            tick: (state.tick_index, state.tick),
            windows: state.recorder.finish(until_offset).collect(),
        }
    }
}

impl Rules {
    fn timeout_ns(&self) -> u64 {
        self.plan.timeout.micros().saturating_mul(1000)
    }

    /// Takes a place among the requests under way, if there is one.
    fn admits_one_more(&self) -> bool {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let admitted = before < self.plan.in_flight_max;
        if !admitted {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
        admitted
    }

    fn record(&self, state: &mut State, current: &Current, outcome: RequestOutcome, now: u64) {
        let service_ns = current.sent_ns.map_or(0, |sent| now.saturating_sub(sent));
        // The sweep for what is late comes every now and then; the class does not depend on it.
        let late = current.sent_ns.is_some() && service_ns > self.timeout_ns();
        let outcome = if late { RequestOutcome::Timeout } else { outcome };
        let good = matches!(outcome, RequestOutcome::Status(status) if self.plan.is_good(status));
        let latency_ns = now.saturating_sub(current.waiting.due_ns);
        let sent = current.sent_ns.is_some();
        let ending = Ending { outcome, good, latency_ns, service_ns, sent };
        state.recorder.ended(&current.waiting.arrival, ending);
        if good {
            state.tick.good += 1;
            state.tick.latency.record(latency_ns);
        } else {
            state.tick.bad += 1;
        }
        state.own_in_flight -= 1;
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a desk has not told when it ends.
#[derive(Debug)]
pub(crate) struct Remainder {
    /// Sums over all.
    pub(crate) end: WorkerEnd,
    /// The tick that was not over.
    pub(crate) tick: (u32, TickPart),
    /// All windows that were open.
    pub(crate) windows: Vec<(u32, WindowPart)>,
}

/// Whether the connection of a request had to be made for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connected {
    /// It was open.
    Before,
    /// It was made while the request waited.
    Now,
}

/// How a lane rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Its connection is open.
    Warm,
    /// It has none.
    Cold,
}

impl Lane {
    fn keep(&mut self, waker: &Waker) {
        match &mut self.waker {
            Some(kept) => kept.clone_from(waker),
            None => self.waker = Some(waker.clone()),
        }
    }
}

impl State {
    fn alive(&mut self, now_ns: u64, from_ns: u64) {
        let gap_ns = now_ns.saturating_sub(self.alive_ns);
        if gap_ns > PAUSE_NS_MIN && now_ns > from_ns {
            let began = self.alive_ns.max(from_ns);
            self.pauses.push((began, now_ns));
            self.recorder.paused(began - from_ns..now_ns - from_ns);
            self.recovering_until_ns = now_ns + gap_ns;
        }
        self.alive_ns = now_ns;
    }

    /// Marks a request that is late, or waits behind others, because of a pause before it.
    fn note_recovery(&mut self, arrival: &Arrival, due_ns: u64, now_ns: u64) {
        const LATE_NS: u64 = 1_000_000;
        if now_ns >= self.recovering_until_ns {
            return;
        }
        if self.backlog.is_empty() && now_ns.saturating_sub(due_ns) < LATE_NS {
            self.recovering_until_ns = 0;
        } else {
            self.recorder.held_up(arrival);
        }
    }

    fn overrun(&mut self, arrival: &Arrival) {
        let outcome = RequestOutcome::Overrun;
        let ending = Ending { outcome, good: false, latency_ns: 0, service_ns: 0, sent: false };
        self.recorder.ended(arrival, ending);
        self.tick.bad += 1;
    }
}
