//! What the users of one load share: who pauses until when, what is under way, and what was
//! measured. Borrowed for moments only. Does not wait, connect or send.
//!
//! Times are nanoseconds since the run began unless they are called offsets: those count from the
//! load's start.

use std::sync::{Mutex, MutexGuard, PoisonError};

use harness_core::load::RequestOutcome;
use harness_core::plan::{JourneyPlan, JourneysPlan};

use super::answer::Judged;
use super::think::pause_ns;
use super::wire::Told;
use crate::desk::{BEAT_NS, PAUSE_NS_MIN};
use crate::draw::{Purpose, below, draw};
use crate::merge::{TickPart, WorkerEnd};
use crate::mix::Arrival;
use crate::recorder::{Ending, Recorder, WINDOW_NS};
use crate::timer::{Timeline, process_cpu_ns};

/// Bits of a draw's number that count within one user.
const USER_SHIFT: u32 = 40;

/// What is fixed about a walk.
#[derive(Debug, Clone)]
pub(super) struct WalkSetup {
    pub(super) timeline: Timeline,
    pub(super) from_ns: u64,
    pub(super) until_ns: u64,
    pub(super) timeout_ns: u64,
    pub(super) seed: u64,
    /// By place in the mix: whether its requests carry a number of their own.
    pub(super) keyed: Vec<bool>,
    pub(super) journeys: JourneysPlan,
}

/// The shared state.
#[derive(Debug)]
pub(super) struct Walk {
    setup: WalkSetup,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    recorder: Recorder,
    users: Vec<User>,
    claimed: usize,
    visits: u64,
    requests: u64,
    ids: u64,
    under_way: u64,
    /// Nothing is due at or after this offset.
    length_ns: u64,
    tick: TickPart,
    tick_index: u32,
    alive_ns: u64,
    end: WorkerEnd,
}

/// One user.
#[derive(Debug)]
struct User {
    at: At,
    /// Pauses so far.
    pauses: u64,
    /// Visits so far.
    visits: u64,
}

#[derive(Debug, Clone, Copy)]
enum At {
    /// Wants to send at this offset.
    Pausing(u64),
    /// Has a request under way.
    Waiting(Flight),
    /// Sends nothing any more.
    Home,
}

#[derive(Debug, Clone, Copy)]
struct Flight {
    arrival: Arrival,
    sent_ns: Option<u64>,
}

/// A visit that begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visit {
    /// Among the journeys.
    pub(super) journey: usize,
    /// Among all visits of the load: chooses the values of feeds.
    pub(super) number: u64,
}

/// What a user does after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The step of this place in the same journey.
    Step(usize),
    /// Another visit.
    Visit,
}

impl Walk {
    /// All users pause before their first step.
    pub(super) fn new(setup: WalkSetup) -> Self {
        let length_ns = setup.until_ns.saturating_sub(setup.from_ns);
        let count = u64::from(setup.journeys.users);
        let ramp_ns = setup.journeys.ramp_up.micros().saturating_mul(1000);
        let users = (0..count).map(|user| {
            let starts_ns =
                u64::try_from(u128::from(ramp_ns) * u128::from(user) / u128::from(count));
            let mut state = User { at: At::Home, pauses: 0, visits: 0 };
            state.pause(&setup, user, starts_ns.expect("a part of the ramp"), Next::Visit, None);
            state
        });
        let users = users.collect();
        let state = State {
            recorder: Recorder::new(setup.keyed.len(), length_ns),
            users,
            claimed: 0,
            visits: 0,
            requests: 0,
            ids: 0,
            under_way: 0,
            length_ns,
            tick: TickPart::default(),
            tick_index: 0,
            alive_ns: setup.timeline.now_ns(),
            end: WorkerEnd::default(),
        };
        Self { setup, state: Mutex::new(state) }
    }

    /// A panic of one user leaves the sums of the others as whole as before.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clock.
    pub(super) fn timeline(&self) -> Timeline {
        self.setup.timeline
    }

    /// Gives each caller another user; `None` when all are taken.
    pub(super) fn claim(&self) -> Option<usize> {
        let mut state = self.state();
        let user = state.claimed;
        (user < state.users.len()).then(|| {
            state.claimed += 1;
            user
        })
    }

    /// A user's next visit.
    pub(super) fn visit(&self, user: usize) -> Visit {
        let mut state = self.state();
        let number = state.visits;
        state.visits += 1;
        let visits = state.users[user].visits;
        state.users[user].visits += 1;
        Visit { journey: chosen(&self.setup, user as u64, visits), number }
    }

    /// The journey of a visit.
    pub(super) fn journey(&self, visit: Visit) -> &JourneyPlan {
        &self.setup.journeys.journeys[visit.journey]
    }

    /// When a user wants to send; `None` when it does not any more.
    pub(super) fn due_ns(&self, user: usize) -> Option<u64> {
        match self.state().users[user].at {
            At::Pausing(due_ns) => Some(self.setup.from_ns + due_ns),
            At::Waiting(_) | At::Home => None,
        }
    }

    /// A user's pause is over: its request, unless the load ended before.
    pub(super) fn sets_out(&self, user: usize, request: u32) -> Option<Arrival> {
        let request = request as usize;
        let mut guard = self.state();
        let state = &mut *guard;
        let At::Pausing(due_ns) = state.users[user].at else { return None };
        if due_ns >= state.length_ns {
            state.users[user].at = At::Home;
            return None;
        }
        let id = self.setup.keyed[request].then_some(state.ids);
        state.ids += u64::from(id.is_some());
        let arrival = Arrival { number: state.requests, due_ns, request, id };
        state.requests += 1;
        state.recorder.planned(&arrival);
        state.users[user].at = At::Waiting(Flight { arrival, sent_ns: None });
        state.under_way += 1;
        state.tick.due += 1;
        state.end.due += 1;
        Some(arrival)
    }

    /// A user's request goes out now.
    pub(super) fn sent(&self, user: usize) {
        let mut guard = self.state();
        let state = &mut *guard;
        let now_ns = self.setup.timeline.now_ns();
        let At::Waiting(flight) = &mut state.users[user].at else { return };
        flight.sent_ns = Some(now_ns);
        let lag_ns = now_ns.saturating_sub(self.setup.from_ns + flight.arrival.due_ns);
        state.end.sent += 1;
        state.tick.lag_ns_max = state.tick.lag_ns_max.max(lag_ns);
        state.recorder.sent(&flight.arrival, lag_ns);
    }

    /// A user's request has ended, and the user pauses before what comes next.
    pub(super) fn ended(&self, user: usize, visit: Visit, judged: &Judged, next: Next) {
        let mut guard = self.state();
        let state = &mut *guard;
        let now_ns = self.setup.timeline.now_ns();
        let At::Waiting(flight) = state.users[user].at else { return };
        state.record(&self.setup, flight, judged.outcome, judged.good, now_ns);
        let offset_ns = now_ns.saturating_sub(self.setup.from_ns);
        let who = &mut state.users[user];
        who.pause(&self.setup, user as u64, offset_ns, next, Some(visit));
    }

    /// Nothing more becomes due.
    pub(super) fn finish(&self) {
        let mut state = self.state();
        let now_ns = self.setup.timeline.now_ns().saturating_sub(self.setup.from_ns);
        state.length_ns = state.length_ns.min(now_ns);
    }

    /// Looks around: what can be told by now.
    pub(super) fn beat(&self) -> Vec<Told> {
        let mut guard = self.state();
        let state = &mut *guard;
        let now_ns = self.setup.timeline.now_ns();
        let mut told = Vec::new();
        if let Some((from_ns, to_ns)) = state.alive(now_ns, self.setup.from_ns) {
            told.push(Told::Pause(from_ns, to_ns));
        }
        let offset_ns = now_ns.saturating_sub(self.setup.from_ns);
        let passed_ns = offset_ns.min(state.length_ns).min(state.next_due_ns());
        while state.recorder.can_close(passed_ns) {
            let (index, part) = state.recorder.close();
            told.push(Told::Window(index, part));
        }
        while offset_ns >= u64::from(state.tick_index + 1) * WINDOW_NS {
            told.push(state.take_tick());
        }
        told
    }

    /// Whether the load has ended and every request of it, too.
    pub(super) fn is_over(&self) -> bool {
        let state = self.state();
        let now_ns = self.setup.timeline.now_ns().saturating_sub(self.setup.from_ns);
        now_ns >= state.length_ns && state.under_way == 0 && state.next_due_ns() >= state.length_ns
    }

    /// Ends everything and tells the rest. What was sent counts as timed out, what was not as
    /// unsent.
    pub(super) fn end(&self) -> Vec<Told> {
        self.finish();
        let mut told = self.beat();
        let mut guard = self.state();
        let state = &mut *guard;
        let now_ns = self.setup.timeline.now_ns();
        for user in 0..state.users.len() {
            let at = std::mem::replace(&mut state.users[user].at, At::Home);
            if let At::Waiting(flight) = at {
                let sent = flight.sent_ns.is_some();
                let outcome = if sent { RequestOutcome::Timeout } else { RequestOutcome::Unsent };
                state.record(&self.setup, flight, outcome, false, now_ns);
            }
        }
        told.push(state.take_tick());
        let length_ns = state.length_ns;
        let recorder = std::mem::replace(&mut state.recorder, Recorder::new(0, 0));
        let windows = recorder.finish(length_ns);
        told.extend(windows.map(|(index, part)| Told::Window(index, part)));
        state.end.cpu_ns = process_cpu_ns();
        told.push(Told::Ended(state.end));
        told
    }
}

impl State {
    fn record(
        &mut self,
        setup: &WalkSetup,
        flight: Flight,
        outcome: RequestOutcome,
        good: bool,
        now_ns: u64,
    ) {
        let sent = flight.sent_ns.is_some();
        let service_ns = flight.sent_ns.map_or(0, |sent_ns| now_ns.saturating_sub(sent_ns));
        let late = sent && service_ns > setup.timeout_ns;
        let (outcome, good) = if late { (RequestOutcome::Timeout, false) } else { (outcome, good) };
        let latency_ns = now_ns.saturating_sub(setup.from_ns + flight.arrival.due_ns);
        let ending = Ending { outcome, good, latency_ns, service_ns, sent };
        self.recorder.ended(&flight.arrival, ending);
        self.under_way -= 1;
        if good {
            self.tick.good += 1;
            self.tick.latency.record(latency_ns);
        } else {
            self.tick.bad += 1;
        }
    }

    /// The earliest offset at which a user wants to send.
    fn next_due_ns(&self) -> u64 {
        let due = self.users.iter().filter_map(|user| match user.at {
            At::Pausing(due_ns) => Some(due_ns),
            At::Waiting(_) | At::Home => None,
        });
        due.min().unwrap_or(u64::MAX)
    }

    /// Notes a sign of life; a time without one, where it is a pause of this process.
    fn alive(&mut self, now_ns: u64, from_ns: u64) -> Option<(u64, u64)> {
        let began_ns = self.alive_ns.max(from_ns);
        let gap_ns = now_ns.saturating_sub(self.alive_ns);
        self.alive_ns = now_ns;
        (gap_ns > PAUSE_NS_MIN && now_ns > from_ns).then(|| {
            self.recorder.paused(began_ns - from_ns..now_ns - from_ns);
            (began_ns, now_ns)
        })
    }

    fn take_tick(&mut self) -> Told {
        let mut part = std::mem::take(&mut self.tick);
        part.in_flight = self.under_way;
        self.tick_index += 1;
        Told::Tick(self.tick_index - 1, part)
    }
}

impl User {
    /// Pauses from an offset on, as long as what comes next wants.
    fn pause(
        &mut self,
        setup: &WalkSetup,
        user: u64,
        offset_ns: u64,
        next: Next,
        visit: Option<Visit>,
    ) {
        let (journey, step) = match (next, visit) {
            (Next::Step(step), Some(visit)) => (visit.journey, step),
            (Next::Visit, _) | (Next::Step(_), None) => (chosen(setup, user, self.visits), 0),
        };
        let think = setup.journeys.journeys[journey].steps[step].think;
        let number = user << USER_SHIFT | self.pauses;
        self.pauses += 1;
        let pause_ns = pause_ns(think, setup.seed, number);
        self.at = At::Pausing(offset_ns.saturating_add(pause_ns));
    }
}

/// The journey of a user's visit with this number: by weight, from the seed.
fn chosen(setup: &WalkSetup, user: u64, visit: u64) -> usize {
    let weights = setup.journeys.journeys.iter().map(|journey| u64::from(journey.weight.max(1)));
    let total: u64 = weights.clone().sum();
    let number = user << USER_SHIFT | visit;
    let mut point = below(draw(setup.seed, Purpose::Journey, number), total);
    for (place, weight) in weights.enumerate() {
        if point < weight {
            return place;
        }
        point -= weight;
    }
    unreachable!("a draw is below the sum of all weights")
}

/// How often the process looks around.
pub(super) const BEAT: std::time::Duration = std::time::Duration::from_nanos(BEAT_NS);
