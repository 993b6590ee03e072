//! One trial: its load, its phases, its faults, and what makes it invalid.

use std::collections::BTreeMap;

use super::fault::{FaultRun, Meaning, Step};
use super::guard::Guards;
use super::orders::Orders;
use super::steady::SteadyTracker;
use crate::event::{Command, Done, Event, Invalid, InvalidReason};
use crate::ids::{CommandId, FaultId, TrialIndex};
use crate::plan::{Assertion, Phase, Plan, TrialPlan};
use crate::signal::{AlertNotice, AlertStatus, SignalEvent};
use crate::time::RunTime;
use crate::units::Duration;

mod phases;

/// While load runs, the conductor is woken at least so often.
const PULSE: Duration = Duration::from_millis(500);

/// Why the conductor asked to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    PhaseEnd(Phase),
    Begin(usize),
    End(usize),
    Pulse,
}

/// Where the load stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LoadState {
    Starting,
    Running,
    Ending,
    Ended,
}

/// Where the question for ids stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CollectState {
    NotAsked,
    Asked(CommandId),
    Answered,
}

/// One trial under way.
#[derive(Debug)]
pub(super) struct TrialRun {
    index: TrialIndex,
    delay: Duration,
    load_command: CommandId,
    load: LoadState,
    phase: Option<Phase>,
    phase_began: RunTime,
    timers: BTreeMap<CommandId, Timer>,
    faults: Vec<FaultRun>,
    /// In a placebo trial: marks that have not ended yet.
    marks_open: usize,
    injections: u32,
    /// The fault phase has begun: what is found from now on makes the trial ambiguous.
    begun: bool,
    guards: Guards,
    steady: SteadyTracker,
    invalid: Vec<Invalid>,
    collect: CollectState,
    /// Only reverts and endings follow.
    winding_down: bool,
    gave_up: bool,
}

impl TrialRun {
    pub(super) fn start(plan: &Plan, trial: &TrialPlan, at: RunTime, orders: &mut Orders) -> Self {
        let arm = plan.arm(trial);
        Self {
            index: trial.index,
            delay: trial.delay,
            load_command: orders.issue(Command::StartLoad { trial: trial.index }),
            load: LoadState::Starting,
            phase: None,
            phase_began: at,
            timers: BTreeMap::new(),
            faults: arm.faults.iter().cloned().map(FaultRun::new).collect(),
            marks_open: 0,
            injections: 0,
            begun: false,
            guards: Guards::new(&plan.safety.guardrails, at),
            steady: SteadyTracker::default(),
            invalid: Vec::new(),
            collect: CollectState::NotAsked,
            winding_down: false,
            gave_up: false,
        }
    }

    /// Takes an event. `Some` says why the run must be aborted.
    pub(super) fn on_event(
        &mut self,
        at: RunTime,
        plan: &Plan,
        hurry: bool,
        event: &Event,
        orders: &mut Orders,
    ) -> Option<String> {
        match event {
            Event::Woke { command } => {
                let timer = self.timers.remove(command)?;
                return self.on_timer(at, plan, timer, orders);
            }
            Event::Done { command, outcome } => {
                return self.on_done(at, plan, hurry, *command, outcome, orders);
            }
            Event::Load(tick) if self.load == LoadState::Running && !self.winding_down => {
                return self.guards.on_tick(&plan.safety.guardrails, at, tick);
            }
            Event::Window(window) if window.trial == self.index => {
                self.steady.on_window(&plan.steady, window);
                self.maybe_restored(at, plan, orders);
            }
            Event::Signal(SignalEvent::Observed(observation)) => {
                self.steady.on_observation(observation);
                self.maybe_restored(at, plan, orders);
            }
            Event::Signal(SignalEvent::Alert(notice)) => self.on_alert(plan, notice),
            Event::Stalled { lasting } if !self.winding_down => {
                let because = format!("the harness stood still for {lasting}");
                self.note(InvalidReason::Stalled, because);
            }
            Event::Started { .. }
            | Event::Load(_)
            | Event::Window(_)
            | Event::Signal(SignalEvent::Action(_))
            | Event::Abort(_)
            | Event::Lost(_)
            | Event::Enough { .. }
            | Event::Stalled { .. } => {}
        }
        None
    }

    fn on_timer(
        &mut self,
        at: RunTime,
        plan: &Plan,
        timer: Timer,
        orders: &mut Orders,
    ) -> Option<String> {
        match timer {
            Timer::Pulse => {
                if self.load == LoadState::Running {
                    self.wake(at + PULSE, Timer::Pulse, orders);
                    if !self.winding_down {
                        return self.guards.on_pulse(&plan.safety.guardrails, at);
                    }
                }
            }
            Timer::PhaseEnd(_) | Timer::Begin(_) if self.winding_down => {}
            Timer::PhaseEnd(phase) => self.phase_ends(at, plan, phase, orders),
            Timer::Begin(place) => self.begin_fault(plan, place, orders),
            Timer::End(place) => self.end_fault(at, plan, place, orders),
        }
        None
    }

    fn on_done(
        &mut self,
        at: RunTime,
        plan: &Plan,
        hurry: bool,
        command: CommandId,
        outcome: &Done,
        orders: &mut Orders,
    ) -> Option<String> {
        if command == self.load_command {
            self.on_load(at, plan, outcome, orders);
        } else if self.collect == CollectState::Asked(command) {
            self.collect = CollectState::Answered;
        } else if let Some(place) = self.faults.iter().position(|fault| fault.awaits(command)) {
            let leftover = self.on_fault(at, plan, hurry, place, outcome, orders);
            self.after_fault_step(at, plan, hurry, orders);
            return leftover;
        }
        None
    }

    fn on_load(&mut self, at: RunTime, plan: &Plan, outcome: &Done, orders: &mut Orders) {
        match (self.load, outcome) {
            (LoadState::Starting, Done::LoadStarted { from }) => {
                self.load = LoadState::Running;
                if self.winding_down {
                    self.stop_load(true, orders);
                    return;
                }
                self.begin_phase(*from, Phase::Warmup, orders);
                self.wake(*from + plan.phases.warmup, Timer::PhaseEnd(Phase::Warmup), orders);
                self.wake(at + PULSE, Timer::Pulse, orders);
            }
            (LoadState::Ending, Done::LoadEnded(_)) => {
                self.load = LoadState::Ended;
                if !self.winding_down {
                    let collect = Command::Collect { trial: self.index };
                    self.collect = CollectState::Asked(orders.issue(collect));
                }
            }
            (_, Done::LoadEnded(_) | Done::LoadFailed { .. }) => {
                let because = match outcome {
                    Done::LoadFailed { why } => why.clone(),
                    _ => "the load ended by itself".to_owned(),
                };
                self.load = LoadState::Ended;
                self.note(InvalidReason::LoadMissing, because);
                self.wind_down(false, orders);
            }
            _ => {}
        }
    }

    fn on_fault(
        &mut self,
        at: RunTime,
        plan: &Plan,
        hurry: bool,
        place: usize,
        outcome: &Done,
        orders: &mut Orders,
    ) -> Option<String> {
        let fault = &mut self.faults[place];
        let name = fault.id.clone();
        match fault.on_done(self.index, hurry, outcome, orders) {
            Meaning::Progress => {
                if let Step::Verifying(_) = self.faults[place].step {
                    let lasts = plan.fault(&name).map_or(Duration::ZERO, |fault| fault.lasts);
                    let began = match outcome {
                        Done::Injected { began, .. } => *began,
                        _ => at,
                    };
                    self.wake(began + lasts, Timer::End(place), orders);
                }
                None
            }
            Meaning::Invalid(reason, because) => {
                self.note(reason, format!("{name}: {because}"));
                self.revert_now(place, hurry, orders);
                None
            }
            Meaning::Unproven => {
                self.revert_now(place, hurry, orders);
                None
            }
            Meaning::Leftover(because) => {
                self.note(InvalidReason::NotReverted, format!("{name}: {because}"));
                Some(format!("{name} is not seen to be put back: {because}"))
            }
        }
    }

    /// After any step of a fault: goes on with arming, reverting, or the next phase.
    fn after_fault_step(&mut self, at: RunTime, plan: &Plan, hurry: bool, orders: &mut Orders) {
        if self.winding_down {
            self.revert_next(hurry, orders);
            return;
        }
        let arming = self.faults.iter().any(|fault| matches!(fault.step, Step::Arming(_)));
        if !self.begun && !arming {
            if self.faults.iter().any(|fault| fault.step == Step::NotArmed) {
                self.wind_down(hurry, orders);
            } else {
                self.begin_fault_phase(at, plan, orders);
            }
        }
        self.maybe_recovering(at, plan, orders);
        self.maybe_restored(at, plan, orders);
    }

    fn on_alert(&mut self, plan: &Plan, notice: &AlertNotice) {
        let watched = plan.expectations.iter().any(|expectation| match &expectation.assertion {
            Assertion::Detection { alert, .. } | Assertion::Quiet { alert } => {
                alert == &notice.alert
            }
            Assertion::SuccessRate { .. }
            | Assertion::Latency { .. }
            | Assertion::Recovery { .. }
            | Assertion::Invariant { .. }
            | Assertion::ErrorBudget { .. }
            | Assertion::Degradation { .. }
            | Assertion::Automation { .. }
            | Assertion::Telemetry { .. }
            | Assertion::Regression { .. }
            | Assertion::Cost { .. } => false,
        });
        if watched && !self.begun && notice.status == AlertStatus::Firing {
            self.note(InvalidReason::AlertBefore, format!("{} fired", notice.alert));
        }
    }

    /// Stops at once and reverts everything, newest first.
    pub(super) fn abort(&mut self, because: &str, hurry: bool, orders: &mut Orders) {
        if self.is_over() {
            return;
        }
        self.note(InvalidReason::Aborted, because.to_owned());
        // The faults first: every microsecond counts there.
        self.wind_down(hurry, orders);
        if self.load == LoadState::Ending {
            orders.issue(Command::StopLoad { trial: self.index, now: true });
        }
    }

    /// From now on only reverts and endings.
    fn wind_down(&mut self, hurry: bool, orders: &mut Orders) {
        if !self.winding_down {
            self.winding_down = true;
            self.timers.retain(|_, timer| *timer == Timer::Pulse);
            self.revert_next(hurry, orders);
        }
        self.stop_load(true, orders);
    }

    fn stop_load(&mut self, now: bool, orders: &mut Orders) {
        if self.load == LoadState::Running {
            orders.issue(Command::StopLoad { trial: self.index, now });
            self.load = LoadState::Ending;
        }
    }

    /// Reverts a fault that needs it; where the trial winds down, it waits for its turn.
    fn revert_now(&mut self, place: usize, hurry: bool, orders: &mut Orders) {
        if self.faults[place].needs_revert() && !self.winding_down {
            self.faults[place].revert(self.index, hurry, orders);
        }
    }

    /// One revert at a time, in the opposite order of the injections; what failed comes last.
    fn revert_next(&mut self, hurry: bool, orders: &mut Orders) {
        if self.faults.iter().any(|fault| matches!(fault.step, Step::Reverting(_))) {
            return;
        }
        let waiting = self.faults.iter_mut().filter(|fault| fault.needs_revert());
        if let Some(fault) = waiting.max_by_key(|fault| fault.urgency()) {
            fault.revert(self.index, hurry, orders);
        }
    }

    /// A placebo injects nothing.
    fn is_placebo(&self) -> bool {
        self.faults.is_empty()
    }

    fn note(&mut self, reason: InvalidReason, because: String) {
        if self.invalid.iter().all(|known| known.reason != reason) {
            self.invalid.push(Invalid { reason, because, before_injection: !self.begun });
        }
    }

    fn wake(&mut self, at: RunTime, timer: Timer, orders: &mut Orders) {
        self.timers.insert(orders.issue(Command::Wake { at }), timer);
    }

    /// Leaves everything as it stands.
    pub(super) fn give_up(&mut self) {
        self.gave_up = true;
    }

    /// Whether nothing more will come from this trial.
    pub(super) fn is_over(&self) -> bool {
        let settled = self.faults.iter().all(FaultRun::is_settled);
        let collected = self.winding_down || self.collect == CollectState::Answered;
        self.gave_up || (self.load == LoadState::Ended && settled && collected)
    }

    /// The trial's number, why it is invalid, and the faults that are owed.
    pub(super) fn finish(self) -> (TrialIndex, Vec<Invalid>, Vec<FaultId>) {
        let owed = self.faults.into_iter().filter(FaultRun::is_owed).map(|fault| fault.id);
        (self.index, self.invalid, owed.collect())
    }
}
