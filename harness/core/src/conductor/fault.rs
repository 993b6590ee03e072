//! One fault of one trial: arm, inject, verify, hold, revert, check.

use std::cmp::Reverse;

use super::orders::Orders;
use crate::event::{Command, Done, InvalidReason};
use crate::ids::{CommandId, FaultId, TrialIndex};
use crate::time::RunTime;

/// A revert that failed, or was not seen, is tried so often in all.
const REVERT_TRIES_MAX: u32 = 3;

/// Where a fault stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Not touched yet.
    Waiting,
    /// Being armed.
    Arming(CommandId),
    /// Its record is on disk.
    Armed,
    /// Being injected.
    Injecting(CommandId),
    /// The witness looks for it.
    Verifying(CommandId),
    /// In force.
    Holding,
    /// Being put back.
    Reverting(CommandId),
    /// The witness looks whether it is gone.
    Checking(CommandId),
    /// A revert failed, or was not seen, and there is another try.
    Unproven,
    /// Seen to be gone.
    Proven,
    /// Not seen to be gone.
    Owed,
    /// Could not be armed; nothing was done.
    NotArmed,
}

/// One fault of one trial.
#[derive(Debug)]
pub(super) struct FaultRun {
    pub(super) id: FaultId,
    pub(super) step: Step,
    /// Counts injections of the trial: reverts go in the opposite order.
    pub(super) injected: Option<u32>,
    /// The first look of the row that proved it gone.
    pub(super) reverted: Option<RunTime>,
    effective: bool,
    tries: u32,
}

/// What an answer to one of its commands means for the trial.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nothing beyond the fault itself.
    Progress,
    /// The trial is not valid, for this reason, and the fault must be reverted now.
    Invalid(InvalidReason, String),
    /// It is not seen to be gone, and must be reverted once more.
    Unproven,
    /// It is not seen to be gone, after all tries.
    Leftover(String),
}

impl FaultRun {
    pub(super) fn new(id: FaultId) -> Self {
        Self { id, step: Step::Waiting, injected: None, reverted: None, effective: false, tries: 0 }
    }

    /// Whether an answer to this command concerns this fault as it stands.
    pub(super) fn awaits(&self, command: CommandId) -> bool {
        match self.step {
            Step::Arming(awaited)
            | Step::Injecting(awaited)
            | Step::Verifying(awaited)
            | Step::Reverting(awaited)
            | Step::Checking(awaited) => awaited == command,
            Step::Waiting
            | Step::Armed
            | Step::Holding
            | Step::Unproven
            | Step::Proven
            | Step::Owed
            | Step::NotArmed => false,
        }
    }

    /// Something was recorded and is not being put back now.
    pub(super) fn needs_revert(&self) -> bool {
        matches!(
            self.step,
            Step::Armed | Step::Injecting(_) | Step::Verifying(_) | Step::Holding | Step::Unproven
        )
    }

    /// The order of reverts: whoever was tried less often, and of those the newest. So one that
    /// hangs holds up the others for one deadline and not for all its tries.
    pub(super) fn urgency(&self) -> (Reverse<u32>, Option<u32>) {
        (Reverse(self.tries), self.injected)
    }

    /// Nothing more will come from it.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.step, Step::Waiting | Step::Proven | Step::Owed | Step::NotArmed)
    }

    /// Neither to be injected nor in force any more: the fault phase need not wait for it.
    pub(super) fn is_past(&self) -> bool {
        matches!(
            self.step,
            Step::Reverting(_)
                | Step::Checking(_)
                | Step::Unproven
                | Step::Proven
                | Step::Owed
                | Step::NotArmed
        )
    }

    /// Recorded, and not seen to be gone.
    pub(super) fn is_owed(&self) -> bool {
        !matches!(self.step, Step::Waiting | Step::Proven | Step::NotArmed)
    }

    /// Whether it was seen in force.
    pub(super) fn was_effective(&self) -> bool {
        self.effective
    }

    pub(super) fn arm(&mut self, trial: TrialIndex, orders: &mut Orders) {
        let fault = self.id.clone();
        self.step = Step::Arming(orders.issue(Command::Arm { trial, fault }));
    }

    pub(super) fn inject(&mut self, trial: TrialIndex, order: u32, orders: &mut Orders) {
        assert!(self.step == Step::Armed, "nothing is injected whose record is not on disk");
        let fault = self.id.clone();
        self.injected = Some(order);
        self.step = Step::Injecting(orders.issue(Command::Inject { trial, fault }));
    }

    pub(super) fn revert(&mut self, trial: TrialIndex, hurry: bool, orders: &mut Orders) {
        let fault = self.id.clone();
        self.tries += 1;
        self.step = Step::Reverting(orders.issue(Command::Revert { trial, fault, hurry }));
    }

    /// Takes the answer to its command.
    pub(super) fn on_done(
        &mut self,
        trial: TrialIndex,
        hurry: bool,
        outcome: &Done,
        orders: &mut Orders,
    ) -> Meaning {
        let fault = self.id.clone();
        match (self.step, outcome) {
            (Step::Arming(_), Done::Armed) => self.step = Step::Armed,
            (Step::Arming(_), other) => {
                self.step = Step::NotArmed;
                return Meaning::Invalid(InvalidReason::NotInjected, words(other));
            }
            (Step::Injecting(_), Done::Injected { .. }) => {
                self.step = Step::Verifying(orders.issue(Command::AwaitEffective { trial, fault }));
            }
            (Step::Injecting(_), other) => {
                return Meaning::Invalid(InvalidReason::NotInjected, words(other));
            }
            (Step::Verifying(_), Done::Effective { .. }) => {
                self.effective = true;
                self.step = Step::Holding;
            }
            (Step::Verifying(_), other) => {
                return Meaning::Invalid(InvalidReason::NotEffective, words(other));
            }
            (Step::Reverting(_), Done::Reverted { .. }) => {
                let check = Command::AwaitReverted { trial, fault, hurry };
                self.step = Step::Checking(orders.issue(check));
            }
            (Step::Checking(_), Done::ProvenReverted { since, .. }) => {
                self.reverted = Some(*since);
                self.step = Step::Proven;
            }
            (Step::Reverting(_) | Step::Checking(_), other) => {
                if self.tries < REVERT_TRIES_MAX {
                    self.step = Step::Unproven;
                    return Meaning::Unproven;
                }
                self.step = Step::Owed;
                return Meaning::Leftover(words(other));
            }
            (
                Step::Waiting
                | Step::Armed
                | Step::Holding
                | Step::Unproven
                | Step::Proven
                | Step::Owed
                | Step::NotArmed,
                _,
            ) => {}
        }
        Meaning::Progress
    }
}

fn words(outcome: &Done) -> String {
    match outcome {
        Done::FaultFailed(error) => error.to_string(),
        Done::NotEffective { seen } | Done::NotReverted { seen } => seen.clone(),
        other => format!("unexpected answer {other:?}"),
    }
}
