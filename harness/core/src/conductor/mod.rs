//! The run as a state machine: events in, commands out. Decides, never waits, and has no clock.
//!
//! What it guarantees: no `Inject` before `Armed` was answered; after an abort only reverts follow
//! and the first one follows at once; a run ends with every fault reverted or named as a leftover;
//! every (state, event) pair has an answer, and an answer to a superseded command is ignored.

mod abort;
mod fault;
mod guard;
mod orders;
mod replay;
mod steady;
mod trial;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

pub use replay::{Divergence, replay};

use crate::event::{Command, Done, Event, Invalid, InvalidReason, Issued};
use crate::exit::EndOfRun;
use crate::ids::{CommandId, FaultId, TrialIndex};
use crate::plan::{Plan, TrialPlan};
use crate::time::RunTime;
use orders::Orders;
use trial::TrialRun;

/// What a system that could not be closed is called among the leftovers.
pub const SYSTEM: &str = "system";

/// The state of a run.
#[derive(Debug)]
pub struct Conductor<'p> {
    plan: &'p Plan,
    orders: Orders,
    stage: Stage,
    queue: VecDeque<&'p TrialPlan>,
    spare: VecDeque<&'p TrialPlan>,
    /// Why the run ends early; set once.
    ending: Option<EndOfRun>,
    /// A second interrupt came: short deadlines.
    hurry: bool,
    leftovers: Vec<(TrialIndex, FaultId)>,
}

#[derive(Debug)]
enum Stage {
    NotStarted,
    Opening(CommandId),
    Settling(CommandId, TrialIndex),
    Trial(Box<TrialRun>),
    Closing(CommandId),
    Finished,
}

impl<'p> Conductor<'p> {
    /// A run of this plan that has not begun.
    pub fn new(plan: &'p Plan) -> Self {
        Self {
            plan,
            orders: Orders::default(),
            stage: Stage::NotStarted,
            queue: plan.trials.planned.iter().collect(),
            spare: plan.trials.spare.iter().collect(),
            ending: None,
            hurry: false,
            leftovers: Vec::new(),
        }
    }

    /// Whether the last command, `End`, was issued.
    pub fn is_finished(&self) -> bool {
        matches!(self.stage, Stage::Finished)
    }

    /// Takes what happened and answers with what is to be done, in this order.
    pub fn on_event(&mut self, at: RunTime, event: &Event) -> Vec<Issued> {
        match std::mem::replace(&mut self.stage, Stage::Finished) {
            Stage::NotStarted => self.not_started(event),
            Stage::Opening(command) => self.opening(at, command, event),
            Stage::Settling(command, trial) => self.settling(at, command, trial, event),
            Stage::Trial(trial) => self.in_trial(at, trial, event),
            Stage::Closing(command) => self.closing(command, event),
            Stage::Finished => {}
        }
        self.orders.take()
    }

    fn not_started(&mut self, event: &Event) {
        self.stage = match event {
            Event::Started { .. } => Stage::Opening(self.orders.issue(Command::Open)),
            Event::Abort(_) | Event::Lost(_) => {
                self.note_ending(event);
                return self.end();
            }
            Event::Woke { .. }
            | Event::Done { .. }
            | Event::Load(_)
            | Event::Window(_)
            | Event::Signal(_)
            | Event::Enough { .. }
            | Event::Stalled { .. } => Stage::NotStarted,
        };
    }

    fn opening(&mut self, at: RunTime, command: CommandId, event: &Event) {
        match event {
            Event::Done { command: answered, outcome } if *answered == command => match outcome {
                Done::Opened(_) if self.ending.is_none() => self.next_trial(at),
                Done::NotOpened { why } => {
                    self.set_ending(EndOfRun::Refused { because: why.clone() });
                    self.close();
                }
                _ => self.close(),
            },
            _ => {
                self.note_ending(event);
                self.stage = Stage::Opening(command);
            }
        }
    }

    fn settling(&mut self, at: RunTime, command: CommandId, trial: TrialIndex, event: &Event) {
        match event {
            Event::Done { command: answered, outcome } if *answered == command => {
                let plan = self.trial_plan(trial);
                match outcome {
                    _ if self.ending.is_some() => self.close(),
                    Done::Steady(_) => {
                        self.mark_begin(plan);
                        let run = TrialRun::start(self.plan, plan, at, &mut self.orders);
                        self.stage = Stage::Trial(Box::new(run));
                    }
                    Done::Unsteady { missing } => {
                        self.mark_begin(plan);
                        let because = format!("not steady: {}", missing.join(", "));
                        self.end_trial(
                            at,
                            plan,
                            vec![Invalid {
                                reason: InvalidReason::NotSteady,
                                because,
                                before_injection: true,
                            }],
                        );
                    }
                    other => {
                        let because = format!("could not settle the system: {other:?}");
                        self.set_ending(EndOfRun::Errored { because });
                        self.close();
                    }
                }
            }
            Event::Abort(_) | Event::Lost(_) | Event::Enough { .. } => {
                self.note_ending(event);
                self.close();
            }
            _ => self.stage = Stage::Settling(command, trial),
        }
    }

    fn in_trial(&mut self, at: RunTime, mut trial: Box<TrialRun>, event: &Event) {
        if self.note_ending(event) {
            trial.abort(&self.ending_words(), self.hurry, &mut self.orders);
        }
        if let Some(because) = trial.on_event(at, self.plan, self.hurry, event, &mut self.orders) {
            self.set_ending(EndOfRun::Aborted { because });
            trial.abort(&self.ending_words(), self.hurry, &mut self.orders);
        }
        if abort::gives_up(event) {
            trial.give_up();
        }
        if !trial.is_over() {
            self.stage = Stage::Trial(trial);
            return;
        }
        let (plan, invalid, owed) = trial.finish();
        if !owed.is_empty() {
            let names = owed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            self.set_ending(EndOfRun::Aborted {
                because: format!("{names} could not be put back"),
            });
            self.leftovers.extend(owed.into_iter().map(|fault| (plan, fault)));
        }
        self.end_trial(at, self.trial_plan(plan), invalid);
    }

    fn closing(&mut self, command: CommandId, event: &Event) {
        match event {
            Event::Done { command: answered, outcome } if *answered == command => {
                if let Done::NotClosed { why } = outcome {
                    self.set_ending(EndOfRun::Errored { because: why.clone() });
                    self.leftovers.push((TrialIndex(0), FaultId::new(SYSTEM)));
                }
                self.end();
            }
            _ if abort::gives_up(event) => {
                self.leftovers.push((TrialIndex(0), FaultId::new(SYSTEM)));
                self.end();
            }
            _ => {
                self.note_ending(event);
                self.stage = Stage::Closing(command);
            }
        }
    }

    fn trial_plan(&self, index: TrialIndex) -> &'p TrialPlan {
        let trials = &self.plan.trials;
        trials
            .planned
            .iter()
            .chain(&trials.spare)
            .find(|trial| trial.index == index)
            .expect("only trials of the plan are begun")
    }

    fn mark_begin(&mut self, trial: &TrialPlan) {
        self.orders.issue(Command::TrialBegins { trial: trial.index, arm: trial.arm.clone() });
    }

    fn end_trial(&mut self, at: RunTime, trial: &TrialPlan, invalid: Vec<Invalid>) {
        let excluded = invalid.iter().any(|reason| reason.before_injection)
            && invalid.iter().all(|reason| reason.reason != InvalidReason::Aborted);
        if excluded && let Some(place) = self.spare.iter().position(|spare| spare.arm == trial.arm)
        {
            self.queue.extend(self.spare.remove(place));
        }
        self.orders.issue(Command::TrialEnds { trial: trial.index, invalid });
        self.next_trial(at);
    }

    fn next_trial(&mut self, at: RunTime) {
        let in_time = at.since(RunTime::START) < self.plan.trials.wall;
        match self.queue.pop_front() {
            Some(trial) if self.ending.is_none() && in_time => {
                let command = self.orders.issue(Command::Settle { trial: trial.index });
                self.stage = Stage::Settling(command, trial.index);
            }
            _ => self.close(),
        }
    }

    fn close(&mut self) {
        self.stage = Stage::Closing(self.orders.issue(Command::Close));
    }

    fn end(&mut self) {
        let end = self.ending.clone().unwrap_or(EndOfRun::Completed);
        self.orders.issue(Command::End { end, leftovers: self.leftovers.clone() });
        self.stage = Stage::Finished;
    }
}
