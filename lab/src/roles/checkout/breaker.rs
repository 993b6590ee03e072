//! The circuit breaker towards payments, as a pure state machine.
//!
//! It opens after five failures in a row, or when more than half of the last twenty calls were
//! bad (failed, or slower than the bound). Open, it refuses for half a second; then half-open,
//! it lets one trial call through at a time and closes after two good ones in a row.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const FAILURES_IN_A_ROW: u32 = 5;
const WINDOW_CALLS: usize = 20;
const GOOD_TRIALS: u32 = 2;
const OPEN_FOR: Duration = Duration::from_millis(500);
/// Not closed and not asked for so long, it wants a trial call that is no order.
const IDLE_FOR: Duration = Duration::from_secs(1);
/// A call that takes longer, waiting included, counts against the window.
pub(super) const SLOW: Duration = Duration::from_millis(250);

/// The three states; the numbers are those of the metric `breaker_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Calls pass.
    Closed = 0,
    /// One trial call at a time passes.
    HalfOpen = 1,
    /// No call passes.
    Open = 2,
}

impl State {
    /// The name in events.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

/// How one call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallEnd {
    Good,
    Slow,
    Failed,
    /// Nobody waited for the end, so it says nothing.
    Abandoned,
}

/// Leave to make one call; `epoch` tells calls of an earlier state apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leave {
    epoch: u64,
}

/// A change of state and its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) from: State,
    pub(super) to: State,
    pub(super) reason: &'static str,
}

#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    /// Counts changes of state; a call that began before the last one is not counted.
    epoch: u64,
    failures_in_a_row: u32,
    /// Whether each of the last calls was bad.
    window: VecDeque<bool>,
    opened: Option<Instant>,
    trial_under_way: bool,
    good_trials: u32,
    /// When it last changed or gave leave.
    active: Option<Instant>,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self {
            state: State::Closed,
            epoch: 0,
            failures_in_a_row: 0,
            window: VecDeque::with_capacity(WINDOW_CALLS),
            opened: None,
            trial_under_way: false,
            good_trials: 0,
            active: None,
        }
    }

    /// Whether it is not closed and no order has tried it for a while: without orders it would
    /// stay open for ever.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let idle = self.active.is_none_or(|active| now >= active + IDLE_FOR);
        self.state != State::Closed && !self.trial_under_way && idle
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Asks for leave to call. The change, if any, is that from open to half-open.
    pub(super) fn ask(&mut self, now: Instant) -> (Option<Leave>, Option<Change>) {
        let waited = self.opened.is_some_and(|opened| now >= opened + OPEN_FOR);
        let change = (self.state == State::Open && waited)
            .then(|| self.enter(State::HalfOpen, now, "time to try"));
        let leave = match self.state {
            State::Closed => true,
            State::HalfOpen => !std::mem::replace(&mut self.trial_under_way, true),
            State::Open => false,
        };
        if leave {
            self.active = Some(now);
        }
        (leave.then_some(Leave { epoch: self.epoch }), change)
    }

    /// Records how a call ended for which there was leave.
    pub(super) fn record(&mut self, now: Instant, leave: Leave, end: CallEnd) -> Option<Change> {
        if leave.epoch != self.epoch {
            return None;
        }
        match self.state {
            State::Closed => self.record_closed(now, end),
            State::HalfOpen => {
                self.trial_under_way = false;
                self.record_trial(now, end)
            }
            State::Open => None,
        }
    }

    /// Closes at once and forgets everything: the operator's reset.
    pub(super) fn reset(&mut self, now: Instant) -> Option<Change> {
        if self.state == State::Closed {
            self.failures_in_a_row = 0;
            self.window.clear();
            return None;
        }
        Some(self.enter(State::Closed, now, "reset"))
    }

    fn record_closed(&mut self, now: Instant, end: CallEnd) -> Option<Change> {
        let bad = match end {
            CallEnd::Abandoned => return None,
            CallEnd::Good => false,
            CallEnd::Slow | CallEnd::Failed => true,
        };
        self.failures_in_a_row =
            if end == CallEnd::Failed { self.failures_in_a_row + 1 } else { 0 };
        if self.window.len() == WINDOW_CALLS {
            self.window.pop_front();
        }
        self.window.push_back(bad);
        let bad_calls = self.window.iter().filter(|bad| **bad).count();
        if self.failures_in_a_row >= FAILURES_IN_A_ROW {
            Some(self.enter(State::Open, now, "failures in a row"))
        } else if self.window.len() == WINDOW_CALLS && bad_calls * 2 > WINDOW_CALLS {
            Some(self.enter(State::Open, now, "most of the last calls failed or were slow"))
        } else {
            None
        }
    }

    fn record_trial(&mut self, now: Instant, end: CallEnd) -> Option<Change> {
        match end {
            CallEnd::Abandoned => None,
            CallEnd::Slow | CallEnd::Failed => {
                Some(self.enter(State::Open, now, "the trial call failed or was slow"))
            }
            CallEnd::Good => {
                self.good_trials += 1;
                (self.good_trials >= GOOD_TRIALS)
                    .then(|| self.enter(State::Closed, now, "the trial calls were good"))
            }
        }
    }

    fn enter(&mut self, to: State, now: Instant, reason: &'static str) -> Change {
        let change = Change { from: self.state, to, reason };
        self.state = to;
        self.epoch += 1;
        self.failures_in_a_row = 0;
        self.window.clear();
        self.opened = (to == State::Open).then_some(now);
        self.trial_under_way = false;
        self.good_trials = 0;
        self.active = Some(now);
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(breaker: &mut Breaker, now: Instant, end: CallEnd) -> Option<State> {
        let (leave, _) = breaker.ask(now);
        breaker.record(now, leave?, end).map(|change| change.to)
    }

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new();
        for _ in 0..FAILURES_IN_A_ROW {
            call(&mut breaker, now, CallEnd::Failed);
        }
        assert_eq!(breaker.state(), State::Open);
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_a_good_call_starts_the_count_again() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        for end in [CallEnd::Failed, CallEnd::Failed, CallEnd::Failed, CallEnd::Failed] {
            assert_eq!(call(&mut breaker, now, end), None);
        }
        assert_eq!(call(&mut breaker, now, CallEnd::Good), None);
        for _ in 0..4 {
            assert_eq!(call(&mut breaker, now, CallEnd::Failed), None);
        }
        assert_eq!(call(&mut breaker, now, CallEnd::Failed), Some(State::Open));
    }

    #[test]
    fn more_than_half_slow_of_twenty_open_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        for turn in 0..WINDOW_CALLS * 2 {
            let end = if turn % 2 == 0 { CallEnd::Slow } else { CallEnd::Good };
            assert_eq!(call(&mut breaker, now, end), None, "half is not more than half");
        }
        let ends: Vec<_> = (0..4).map(|_| call(&mut breaker, now, CallEnd::Slow)).collect();
        assert!(ends.contains(&Some(State::Open)), "{ends:?}");
    }

    #[test]
    fn open_it_refuses_until_its_time_and_then_tries_one_call() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.ask(now + OPEN_FOR / 2), (None, None));
        let (first, change) = breaker.ask(now + OPEN_FOR);
        assert_eq!(change.map(|change| change.to), Some(State::HalfOpen));
        assert!(first.is_some());
        assert_eq!(breaker.ask(now + OPEN_FOR), (None, None), "one trial at a time");
    }

    #[test]
    fn two_good_trials_close_it_and_a_bad_one_opens_it_again() {
        let now = Instant::now();
        let later = now + OPEN_FOR;
        let mut breaker = opened(now);
        assert_eq!(call(&mut breaker, later, CallEnd::Good), None);
        assert_eq!(call(&mut breaker, later, CallEnd::Good), Some(State::Closed));
        let mut breaker = opened(now);
        assert_eq!(call(&mut breaker, later, CallEnd::Good), None);
        assert_eq!(call(&mut breaker, later, CallEnd::Slow), Some(State::Open));
        assert_eq!(breaker.ask(later + OPEN_FOR / 2), (None, None), "the time starts again");
    }

    #[test]
    fn an_abandoned_trial_makes_room_for_the_next_one() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(call(&mut breaker, now + OPEN_FOR, CallEnd::Abandoned), None);
        assert!(breaker.ask(now + OPEN_FOR).0.is_some());
    }

    #[test]
    fn a_call_that_began_before_a_change_is_not_counted() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        let (early, _) = breaker.ask(now);
        for _ in 0..FAILURES_IN_A_ROW {
            call(&mut breaker, now, CallEnd::Failed);
        }
        let (trial, _) = breaker.ask(now + OPEN_FOR);
        assert!(trial.is_some());
        assert_eq!(breaker.record(now + OPEN_FOR, early.unwrap(), CallEnd::Failed), None);
        assert_eq!(breaker.state(), State::HalfOpen);
    }

    #[test]
    fn without_orders_it_asks_for_a_trial_of_its_own() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert!(!breaker.is_idle(now + OPEN_FOR));
        assert!(breaker.is_idle(now + IDLE_FOR));
        assert!(breaker.ask(now + IDLE_FOR).0.is_some());
        assert!(!breaker.is_idle(now + IDLE_FOR * 3), "a trial is under way");
        assert!(!Breaker::new().is_idle(now + IDLE_FOR));
    }

    #[test]
    fn a_reset_closes_it() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.reset(now).map(|change| change.to), Some(State::Closed));
        assert_eq!(breaker.reset(now), None);
        assert!(breaker.ask(now).0.is_some());
    }
}
