//! One trial looked at for one assertion: the validity rules that all families share, and what
//! comes out.

use stats::cost::CaseCost;

use crate::event::{Invalid, InvalidReason};
use crate::evidence::TrialEvidence;
use crate::ids::{ExpectationId, FaultId};
use crate::plan::{Anchor, Assertion, FaultInstant, Moment, PhaseEdge, Plan, WindowRange};
use crate::time::RunTime;
use crate::units::Duration;
use crate::verdict::{TrialJudgement, TrialState};

use super::{
    automation, budget, cost, degradation, detection, invariant, recovery, slo, telemetry,
};

/// Requests may go out so late at most (99th percentile), or a tenth of the judged threshold,
/// whichever is less: else the trial cannot be told.
pub(super) const SEND_LAG_MAX: Duration = Duration::from_millis(50);

/// A trial with its plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) plan: &'a Plan,
    pub(super) trial: &'a TrialEvidence,
    /// All trials of the run, for comparisons with placebo.
    pub(super) all: &'a [TrialEvidence],
}

/// What a trial shows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) state: TrialState,
    pub(super) value: Value,
    pub(super) because: String,
    /// The window held too few requests for a fair verdict on the bound.
    pub(super) few: Option<FewRequests>,
    /// The value lies above this, where it is only known to lie between two looks.
    pub(super) above: Option<f64>,
    /// The most that the value could have been in this trial, where its window sets it.
    pub(super) most: Option<f64>,
    /// What the trial spent for how much, where that is the subject.
    pub(super) cost: Option<Box<CaseCost>>,
}

/// Requests of a window, and how many a bound takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FewRequests {
    /// That were due.
    pub(super) due: u64,
    /// With fewer than this the window's answer is mostly chance.
    pub(super) fair: u64,
}

/// The measured quantity of a trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    /// There is none.
    None,
    /// This.
    At(f64),
    /// Larger than this: it was not reached while one looked.
    Beyond(f64),
    /// Larger than anything.
    Endless,
}

impl Found {
    pub(super) fn new(state: TrialState, value: Value, because: impl Into<String>) -> Self {
        Self {
            state,
            value,
            because: because.into(),
            few: None,
            above: None,
            most: None,
            cost: None,
        }
    }

    pub(super) fn ambiguous(because: impl Into<String>) -> Self {
        Self::new(TrialState::Ambiguous, Value::None, because)
    }

    pub(super) fn excluded(because: impl Into<String>) -> Self {
        Self::new(TrialState::Excluded, Value::None, because)
    }
}

/// A state of `stats` as one of ours.
pub(super) fn state_of(state: stats::decision::State) -> TrialState {
    match state {
        stats::decision::State::Ok => TrialState::Ok,
        stats::decision::State::Bad => TrialState::Bad,
        stats::decision::State::Ambiguous => TrialState::Ambiguous,
    }
}

impl<'a> Case<'a> {
    /// What the trial shows for the assertion.
    pub(super) fn judge(self, assertion: &Assertion) -> (Found, TrialJudgement) {
        let found = self.found(assertion);
        let (value, censored_at) = match found.value {
            Value::None | Value::Endless => (None, None),
            Value::At(value) => (Some(value), None),
            Value::Beyond(value) => (None, Some(value)),
        };
        let judgement = TrialJudgement {
            trial: self.trial.trial,
            state: found.state,
            value,
            censored_at,
            because: found.because.clone(),
        };
        (found, judgement)
    }

    fn found(self, assertion: &Assertion) -> Found {
        if let Assertion::Regression { of, .. } = assertion {
            return self.measured_by(of);
        }
        if let Assertion::Automation { actor, rule } = assertion
            && let Some(found) = automation::violation(self, actor, rule)
        {
            // One violation counts whatever else the trial is worth.
            return found;
        }
        if let Some(because) = self.excluded(assertion) {
            return Found::excluded(because);
        }
        let found = self.seen(assertion);
        // What was seen stays to be read, but it proves nothing either way.
        match (found.state, self.doubt()) {
            (TrialState::Ok | TrialState::Bad, Some(because)) => {
                Found { state: TrialState::Ambiguous, because, ..found }
            }
            (_, _) => found,
        }
    }

    /// What another expectation measures in the trial, whether its bound is kept or not.
    fn measured_by(self, of: &ExpectationId) -> Found {
        let asked = self.plan.expectations.iter().find(|one| one.id == *of);
        match asked.map(|asked| &asked.assertion) {
            None | Some(Assertion::Regression { .. }) => {
                Found::ambiguous(format!("no expectation `{of}` measures anything"))
            }
            Some(assertion) => {
                let found = self.found(assertion);
                let told = matches!(found.state, TrialState::Ok | TrialState::Bad);
                let state = if told { TrialState::Ok } else { found.state };
                Found { state, few: None, ..found }
            }
        }
    }

    /// What the trial shows, were it valid.
    fn seen(self, assertion: &Assertion) -> Found {
        match assertion {
            Assertion::SuccessRate { of, bound, during } => {
                slo::success_rate(self, of.as_ref(), *bound, during)
            }
            Assertion::Latency { of, quantile, at_most, during } => {
                slo::latency(self, of.as_ref(), *quantile, *at_most, during)
            }
            Assertion::Detection {
                alert,
                fault,
                within,
                pages_exactly,
                resolves_within,
                through,
            } => {
                let wanted = detection::Wanted {
                    alert,
                    fault,
                    within: *within,
                    pages_exactly: *pages_exactly,
                    resolves_within: *resolves_within,
                    through: through.as_ref(),
                };
                detection::detection(self, &wanted)
            }
            Assertion::Quiet { alert } => detection::quiet(self, alert),
            Assertion::Recovery { to, fault, from, within } => {
                let wanted = recovery::Wanted { to: *to, fault, from: *from, within: *within };
                recovery::recovery(self, &wanted)
            }
            Assertion::Invariant { none_lost, none_twice } => {
                invariant::invariant(self, *none_lost, *none_twice)
            }
            Assertion::ErrorBudget { of, objective, period, takes_at_most, during } => {
                let budget = budget::Budget {
                    objective: *objective,
                    period: *period,
                    takes_at_most: *takes_at_most,
                };
                budget::budget(self, of.as_ref(), budget, during)
            }
            Assertion::Degradation { of, quantile, against, by_at_most, during } => {
                let wanted = degradation::Wanted {
                    of: of.as_ref(),
                    quantile: *quantile,
                    against: *against,
                    by_at_most: *by_at_most,
                    during,
                };
                degradation::degradation(self, &wanted)
            }
            Assertion::Automation { actor, rule } => automation::automation(self, actor, rule),
            Assertion::Telemetry { signal, share_at_least, gap_at_most, during } => {
                telemetry::telemetry(self, signal, *share_at_least, *gap_at_most, during)
            }
            Assertion::Regression { of, .. } => self.measured_by(of),
            Assertion::Cost { signal, bound } => cost::cost(self, signal, bound),
        }
    }

    /// Why the trial does not count at all: found before anything was injected.
    fn excluded(self, assertion: &Assertion) -> Option<String> {
        // An alert that fires while nothing is wrong is what `Quiet` looks for.
        let is_subject = |reason| match (assertion, reason) {
            (Assertion::Quiet { alert }, InvalidReason::AlertBefore) => {
                self.trial.alerts.iter().any(|notice| &notice.alert == alert)
            }
            (_, _) => false,
        };
        self.invalid()
            .find(|invalid| invalid.before_injection && !is_subject(invalid.reason))
            .map(|invalid| format!("{}: {}", invalid.reason.label(), invalid.because))
    }

    /// Why nothing can be said: found after the injection.
    fn doubt(self) -> Option<String> {
        if let Some(invalid) = self.invalid().find(|found| !found.before_injection) {
            return Some(format!("{}: {}", invalid.reason.label(), invalid.because));
        }
        let unseen = |fault: &&FaultId| {
            self.trial.faults.get(*fault).is_none_or(|times| times.effective.is_none())
        };
        let unseen = self.arm_faults().into_iter().find(unseen)?;
        Some(format!("{unseen} was not seen in force"))
    }

    /// Why the trial is invalid: the rules that found it so while it ran, and a journal that breaks
    /// off in it.
    pub(super) fn invalid(self) -> impl Iterator<Item = Invalid> + 'a {
        let broken_off = self.trial.ended.is_none().then(|| Invalid {
            reason: InvalidReason::Aborted,
            because: "the journal breaks off in this trial".to_owned(),
            before_injection: self.inject().is_none(),
        });
        self.trial.invalid.iter().cloned().chain(broken_off)
    }

    /// The faults that the trial's arm injects; a placebo has none.
    fn arm_faults(self) -> Vec<&'a FaultId> {
        let arms = &self.plan.arms;
        let arm = arms.iter().find(|arm| arm.name == self.trial.arm);
        arm.map_or_else(Vec::new, |arm| arm.faults.iter().collect())
    }

    /// Whether the trial injects nothing.
    pub(super) fn is_placebo(self) -> bool {
        self.arm_faults().is_empty()
    }

    /// When the first injection of the trial began.
    pub(super) fn inject(self) -> Option<RunTime> {
        self.trial.faults.values().filter_map(|fault| fault.inject).min()
    }

    /// When the load, and with it the looking, ended.
    pub(super) fn observed_until(self) -> Option<RunTime> {
        let last = self.trial.phases.values().next_back();
        last.and_then(|(_, end)| *end).or(self.trial.ended)
    }

    /// The instant of a fault.
    pub(super) fn instant(self, fault: &FaultId, instant: FaultInstant) -> Option<RunTime> {
        let times = self.trial.faults.get(fault)?;
        match instant {
            FaultInstant::Inject => times.inject,
            FaultInstant::Effective => times.effective,
            FaultInstant::Revert => times.revert,
            FaultInstant::Reverted => times.reverted,
        }
    }

    /// Beginning and end of a window, or why there is none.
    pub(super) fn range(self, during: &WindowRange) -> Result<(RunTime, RunTime), Found> {
        let absent = |what: &str| {
            Found::ambiguous(format!("the window `{}` has no {what} in this trial", during.text))
        };
        let from = self.moment(&during.from).ok_or_else(|| absent("beginning"))?;
        let to = self.moment(&during.to).ok_or_else(|| absent("end"))?;
        Ok((from, to))
    }

    fn moment(self, moment: &Moment) -> Option<RunTime> {
        let anchor = match &moment.anchor {
            Anchor::Phase { phase, edge } => {
                let (start, end) = self.trial.phases.get(phase)?;
                match edge {
                    PhaseEdge::Start => *start,
                    PhaseEdge::End => (*end)?,
                }
            }
            Anchor::Fault { fault, instant } => self.instant(fault, *instant)?,
        };
        let offset = moment.offset_us.unsigned_abs().saturating_mul(1000);
        Some(RunTime::from_nanos(if moment.offset_us < 0 {
            anchor.nanos().saturating_sub(offset)
        } else {
            anchor.nanos().saturating_add(offset)
        }))
    }
}
