//! How one phase of a trial follows the other.

use super::{Timer, TrialRun};
use crate::conductor::fault::{FaultRun, Step};
use crate::conductor::orders::Orders;
use crate::event::{Command, InvalidReason};
use crate::plan::{Phase, Plan};
use crate::time::RunTime;

impl TrialRun {
    pub(super) fn begin_phase(&mut self, at: RunTime, phase: Phase, orders: &mut Orders) {
        self.phase = Some(phase);
        self.phase_began = at;
        orders.issue(Command::PhaseBegins { trial: self.index, phase });
    }

    /// The time of a phase is over.
    pub(super) fn phase_ends(
        &mut self,
        at: RunTime,
        plan: &Plan,
        phase: Phase,
        orders: &mut Orders,
    ) {
        if self.phase != Some(phase) {
            return;
        }
        match phase {
            Phase::Warmup => {
                self.steady.restart_sums();
                self.begin_phase(at, Phase::Baseline, orders);
                let end = at + plan.phases.baseline + self.delay;
                self.wake(end, Timer::PhaseEnd(Phase::Baseline), orders);
            }
            Phase::Baseline => self.baseline_ends(at, plan, orders),
            // It ends with the revert of its last fault, see `maybe_recovering`.
            Phase::Fault => {}
            Phase::Recovery => {
                if self.faults.iter().all(FaultRun::is_settled) {
                    self.begin_settle(at, plan, orders);
                }
            }
            Phase::Settle => self.stop_load(false, orders),
        }
    }

    fn baseline_ends(&mut self, at: RunTime, plan: &Plan, orders: &mut Orders) {
        match self.steady.sums_hold(&plan.steady) {
            None => self.note(
                InvalidReason::LoadMissing,
                "no samples in the baseline although requests were planned".to_owned(),
            ),
            Some(false) => {
                let because = self.steady.sums_words(&plan.steady);
                self.note(InvalidReason::BaselineNotSteady, because);
            }
            Some(true) => {}
        }
        if !self.invalid.is_empty() {
            self.wind_down(false, orders);
        } else if self.is_placebo() {
            self.begin_fault_phase(at, plan, orders);
        } else {
            for fault in &mut self.faults {
                fault.arm(self.index, orders);
            }
        }
    }

    /// All faults are armed.
    pub(super) fn begin_fault_phase(&mut self, at: RunTime, plan: &Plan, orders: &mut Orders) {
        self.begun = true;
        self.begin_phase(at, Phase::Fault, orders);
        if self.is_placebo() {
            self.marks_open = plan.faults.len();
            for (place, fault) in plan.faults.iter().enumerate() {
                self.wake(at + fault.at, Timer::Begin(place), orders);
                self.wake(at + fault.at + fault.lasts, Timer::End(place), orders);
            }
            return;
        }
        for place in 0..self.faults.len() {
            let offset = plan.fault(&self.faults[place].id).expect("check: arms name faults").at;
            if offset.micros() == 0 {
                self.begin_fault(plan, place, orders);
            } else {
                self.wake(at + offset, Timer::Begin(place), orders);
            }
        }
    }

    /// The time of an injection has come.
    pub(super) fn begin_fault(&mut self, plan: &Plan, place: usize, orders: &mut Orders) {
        if self.is_placebo() {
            let fault = plan.faults[place].id.clone();
            orders.issue(Command::PlaceboMark { trial: self.index, fault, begins: true });
        } else if self.faults[place].step == Step::Armed {
            self.faults[place].inject(self.index, self.injections, orders);
            self.injections += 1;
        }
    }

    /// The time of a revert has come.
    pub(super) fn end_fault(
        &mut self,
        at: RunTime,
        plan: &Plan,
        place: usize,
        orders: &mut Orders,
    ) {
        if self.is_placebo() {
            let fault = plan.faults[place].id.clone();
            orders.issue(Command::PlaceboMark { trial: self.index, fault, begins: false });
            self.marks_open -= 1;
        } else if self.faults[place].needs_revert() {
            if !self.faults[place].was_effective() {
                let because = format!("{} was reverted before it was seen", self.faults[place].id);
                self.note(InvalidReason::NotEffective, because);
            }
            self.faults[place].revert(self.index, false, orders);
        }
        self.maybe_recovering(at, plan, orders);
    }

    /// Begins the recovery phase with the revert of the last fault.
    pub(super) fn maybe_recovering(&mut self, at: RunTime, plan: &Plan, orders: &mut Orders) {
        let past = self.marks_open == 0 && self.faults.iter().all(FaultRun::is_past);
        if self.phase == Some(Phase::Fault) && past && !self.winding_down {
            self.begin_phase(at, Phase::Recovery, orders);
            let end = at + plan.phases.recovery_up_to;
            self.wake(end, Timer::PhaseEnd(Phase::Recovery), orders);
        }
    }

    /// Ends the recovery phase when the steady state has held, or its time is over.
    pub(super) fn maybe_restored(&mut self, at: RunTime, plan: &Plan, orders: &mut Orders) {
        if self.phase != Some(Phase::Recovery) || self.winding_down {
            return;
        }
        if !self.faults.iter().all(FaultRun::is_settled) {
            return;
        }
        let from = self
            .faults
            .iter()
            .filter_map(|fault| fault.reverted)
            .fold(self.phase_began, RunTime::max);
        let held = self.steady.has_held(&plan.steady, from, plan.steady.hold);
        if held || at >= self.phase_began + plan.phases.recovery_up_to {
            self.begin_settle(at, plan, orders);
        }
    }

    fn begin_settle(&mut self, at: RunTime, plan: &Plan, orders: &mut Orders) {
        self.begin_phase(at, Phase::Settle, orders);
        self.wake(at + plan.phases.settle, Timer::PhaseEnd(Phase::Settle), orders);
    }
}
