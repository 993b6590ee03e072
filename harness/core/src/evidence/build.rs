//! Journal entries and samples, in order, put together to evidence.
//!
//! Completions are joined to their commands by id; one that answers nothing, a second answer, or
//! one to a trial that has ended says nothing. A journal may break off anywhere: what was not
//! written is absent, and a fault whose injection was begun and whose end was not proven is owed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Evidence, FaultEvidence, TrialEvidence, WindowEvidence};
use crate::event::{Command, Done, Event, Issued};
use crate::exit::EndOfRun;
use crate::history::History;
use crate::ids::{ArmName, CommandId, FaultId, TrialIndex};
use crate::journal::{Entry, What};
use crate::load::WindowSamples;
use crate::plan::Phase;
use crate::signal::{Observation, SignalEvent};
use crate::time::{RunTime, WallTime};

/// Takes entries and samples in the order in which they were written, and gives the evidence at
/// any time. Samples may come before or after the entries that they belong to.
#[derive(Debug, Clone, Default)]
pub struct EvidenceBuilder {
    started: Option<WallTime>,
    end: Option<EndOfRun>,
    leftovers: Vec<(TrialIndex, FaultId)>,
    /// In the order of execution.
    trials: Vec<TrialEvidence>,
    windows: BTreeMap<TrialIndex, BTreeMap<u32, WindowEvidence>>,
    /// Commands that are not answered yet.
    asked: BTreeMap<CommandId, Asked>,
    /// Injection begun, end not proven.
    owed: BTreeSet<(TrialIndex, FaultId)>,
}

/// What a command asked for, as far as its answer is evidence.
#[derive(Debug, Clone)]
enum Asked {
    Load(TrialIndex),
    Inject(TrialIndex, FaultId),
    Effective(TrialIndex, FaultId),
    Revert(TrialIndex, FaultId, RunTime),
    Reverted(TrialIndex, FaultId),
    Collect(TrialIndex),
}

impl EvidenceBuilder {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next entry of the journal.
    pub fn entry(&mut self, entry: &Entry) {
        match &entry.what {
            What::Header(_) => {}
            What::Event(event) => self.event(event),
            What::Command(issued) => self.command(entry.at, issued),
        }
    }

    /// Takes the samples of a window. Of two with one number the first counts.
    pub fn samples(&mut self, samples: &WindowSamples) {
        let windows = self.windows.entry(samples.trial).or_default();
        windows.entry(samples.index).or_insert_with(|| WindowEvidence::from(samples));
    }

    /// The evidence so far, without what earlier runs measured.
    pub fn finish(mut self) -> Evidence {
        for trial in &mut self.trials {
            let windows = self.windows.remove(&trial.trial).unwrap_or_default();
            trial.windows = windows.into_values().collect();
        }
        let owed = self.owed.into_iter().collect();
        Evidence {
            started: self.started.unwrap_or_default(),
            leftovers: if self.end.is_some() { self.leftovers } else { owed },
            put_back_late: Vec::new(),
            end: self.end,
            history: History::default(),
            trials: self.trials,
        }
    }

    /// The trial, while it runs.
    fn running(&mut self, index: TrialIndex) -> Option<&mut TrialEvidence> {
        self.trials.iter_mut().rev().find(|trial| trial.trial == index && trial.ended.is_none())
    }

    /// A fault of a trial that runs.
    fn fault(&mut self, index: TrialIndex, fault: &FaultId) -> Option<&mut FaultEvidence> {
        Some(self.running(index)?.faults.entry(fault.clone()).or_default())
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Started { wall } => self.started = Some(*wall),
            // The load's command is answered twice; after `LoadStarted` its end is still to come.
            Event::Done { command, outcome } if !matches!(outcome, Done::LoadStarted { .. }) => {
                if let Some(asked) = self.asked.remove(command) {
                    self.answered(asked, outcome);
                }
            }
            Event::Signal(signal) => self.signal(signal),
            // Marks for the conductor; what they led to is in its commands.
            Event::Done { .. }
            | Event::Woke { .. }
            | Event::Load(_)
            | Event::Window(_)
            | Event::Abort(_)
            | Event::Lost(_)
            | Event::Enough { .. }
            | Event::Stalled { .. } => {}
        }
    }

    fn answered(&mut self, asked: Asked, outcome: &Done) {
        match (asked, outcome) {
            (Asked::Load(index), Done::LoadEnded(summary)) => {
                if let Some(trial) = self.running(index) {
                    trial.load = Some(summary.clone());
                }
            }
            (Asked::Inject(index, id), Done::Injected { began, .. }) => {
                if let Some(fault) = self.fault(index, &id) {
                    fault.inject = Some(*began);
                }
            }
            (Asked::Effective(index, id), Done::Effective { since, seen }) => {
                if let Some(fault) = self.fault(index, &id) {
                    fault.effective = Some(*since);
                    fault.seen.push(seen.clone());
                }
            }
            (Asked::Revert(index, id, asked_at), Done::Reverted { began, .. }) => {
                if let Some(fault) = self.fault(index, &id)
                    && fault.revert == Some(asked_at)
                {
                    fault.revert = Some(*began);
                }
            }
            (Asked::Reverted(index, id), Done::ProvenReverted { since, seen }) => {
                self.owed.remove(&(index, id.clone()));
                if let Some(fault) = self.fault(index, &id) {
                    fault.reverted.get_or_insert(*since);
                    fault.seen.push(seen.clone());
                }
            }
            (
                Asked::Effective(index, id) | Asked::Reverted(index, id),
                Done::NotEffective { seen } | Done::NotReverted { seen },
            ) => {
                if let Some(fault) = self.fault(index, &id) {
                    fault.seen.push(seen.clone());
                }
            }
            (Asked::Collect(index), Done::Collected(processed)) => {
                if let Some(trial) = self.running(index) {
                    trial.processed = Some(Ok(processed.clone()));
                }
            }
            (Asked::Collect(index), Done::NotCollected { why }) => {
                if let Some(trial) = self.running(index) {
                    trial.processed = Some(Err(why.clone()));
                }
            }
            // An answer without a fact for the judge: why a trial is invalid stands at its end.
            (_, _) => {}
        }
    }

    fn signal(&mut self, event: &SignalEvent) {
        let Some(trial) = self.trials.last_mut().filter(|trial| trial.ended.is_none()) else {
            return;
        };
        match event {
            SignalEvent::Observed(observation) => {
                let (Observation::Value { signal, .. } | Observation::Gap { signal, .. }) =
                    observation;
                trial.observations.entry(signal.clone()).or_default().push(observation.clone());
            }
            SignalEvent::Alert(notice) => trial.alerts.push(notice.clone()),
            SignalEvent::Action(notice) => trial.actions.push(notice.clone()),
        }
    }

    fn command(&mut self, at: RunTime, issued: &Issued) {
        let asked = match &issued.command {
            Command::StartLoad { trial } => Asked::Load(*trial),
            Command::Inject { trial, fault } => {
                self.owed.insert((*trial, fault.clone()));
                if let Some(fault) = self.fault(*trial, fault) {
                    fault.inject.get_or_insert(at);
                }
                Asked::Inject(*trial, fault.clone())
            }
            Command::AwaitEffective { trial, fault } => Asked::Effective(*trial, fault.clone()),
            Command::Revert { trial, fault, .. } => {
                if let Some(fault) = self.fault(*trial, fault) {
                    fault.revert.get_or_insert(at);
                }
                Asked::Revert(*trial, fault.clone(), at)
            }
            Command::AwaitReverted { trial, fault, .. } => Asked::Reverted(*trial, fault.clone()),
            Command::Collect { trial } => Asked::Collect(*trial),
            mark => return self.mark(at, mark),
        };
        self.asked.insert(issued.id, asked);
    }

    /// Commands that nobody answers, or whose answer is no evidence.
    fn mark(&mut self, at: RunTime, command: &Command) {
        match command {
            Command::TrialBegins { trial, arm } => self.begin(at, *trial, arm),
            Command::PhaseBegins { trial, phase } => {
                if let Some(trial) = self.running(*trial) {
                    end_phase(trial, at);
                    trial.phases.entry(*phase).or_insert((at, None));
                }
            }
            Command::StopLoad { trial, .. } => {
                if let Some(trial) = self.running(*trial) {
                    end_phase(trial, at);
                }
            }
            Command::PlaceboMark { trial, fault, begins } => {
                if let Some(fault) = self.fault(*trial, fault) {
                    let (first, second) = if *begins {
                        (&mut fault.inject, &mut fault.effective)
                    } else {
                        (&mut fault.revert, &mut fault.reverted)
                    };
                    first.get_or_insert(at);
                    second.get_or_insert(at);
                }
            }
            Command::TrialEnds { trial, invalid } => {
                if let Some(trial) = self.running(*trial) {
                    end_phase(trial, at);
                    trial.ended = Some(at);
                    trial.invalid.clone_from(invalid);
                }
            }
            Command::End { end, leftovers } => {
                self.end = Some(end.clone());
                self.leftovers.clone_from(leftovers);
            }
            Command::Open
            | Command::Settle { .. }
            | Command::StartLoad { .. }
            | Command::Arm { .. }
            | Command::Inject { .. }
            | Command::AwaitEffective { .. }
            | Command::Revert { .. }
            | Command::AwaitReverted { .. }
            | Command::Collect { .. }
            | Command::Wake { .. }
            | Command::Close => {}
        }
    }

    fn begin(&mut self, at: RunTime, index: TrialIndex, arm: &ArmName) {
        self.trials.push(TrialEvidence {
            trial: index,
            arm: arm.clone(),
            began: at,
            ended: None,
            invalid: Vec::new(),
            phases: BTreeMap::new(),
            faults: BTreeMap::new(),
            windows: Vec::new(),
            load: None,
            observations: BTreeMap::new(),
            alerts: Vec::new(),
            actions: Vec::new(),
            processed: None,
        });
    }
}

/// Ends the phase that runs, if one does. A trial's last phase ends when its load is stopped.
fn end_phase(trial: &mut TrialEvidence, at: RunTime) {
    let running = |phase: &&Phase| trial.phases.get(phase).is_some_and(|(_, end)| end.is_none());
    if let Some(phase) = Phase::ALL.iter().find(running)
        && let Some((_, end)) = trial.phases.get_mut(phase)
    {
        *end = Some(at);
    }
}
