//! Error budget, degradation and telemetry of one trial.

use harness_core::event::InvalidReason;
use harness_core::ids::SignalId;
use harness_core::plan::{Against, Assertion, Phase, Plan, SignalPlan, SourcePlan, WindowRange};
use harness_core::units::{Duration, Quantile};
use harness_core::verdict::TrialState::{self, Ambiguous, Bad, Excluded, Ok};

use crate::fixture::*;

fn fault_phase() -> WindowRange {
    WindowRange::phases("fault", Phase::Fault, Phase::Fault)
}

fn check(assertion: &Assertion, trial: Trial, expected: (TrialState, &str)) {
    let said = trial_says(assertion, trial);
    assert_eq!((said.state, said.because.as_str()), expected);
}

#[test]
fn a_budget_is_taken_by_time() {
    let budget = |objective: &str| Assertion::ErrorBudget {
        of: None,
        objective: objective.parse().unwrap(),
        period: Duration::from_secs(3000),
        takes_at_most: "10%".parse().unwrap(),
        during: fault_phase(),
    };
    // 99% of 3000 s leave 30 s; a tenth of it is 3 s of total outage: the whole fault phase.
    let outage = |to| Trial::fault(0).failing(1500, to, PER_WINDOW);
    check(&budget("99%"), outage(4500), (Ok, "took 10% of the budget"));
    check(&budget("99%"), outage(3000), (Ok, "took 5% of the budget"));
    check(&budget("99.5%"), outage(4500), (Bad, "took 20% of the budget"));
    check(
        &budget("99%"),
        Trial::fault(0).gap(2000, 2100),
        (Ambiguous, "1 of 30 windows of samples are missing"),
    );
    let none = (Ambiguous, "an objective of 100% has no budget");
    check(&budget("100%"), Trial::fault(0), none);
}

fn degraded(against: Against) -> Assertion {
    Assertion::Degradation {
        of: None,
        quantile: Quantile::P99,
        against,
        by_at_most: "50%".parse().unwrap(),
        during: fault_phase(),
    }
}

#[test]
fn latency_is_compared_with_the_trials_own_baseline() {
    let slow = |base, fault| Trial::fault(0).load(0, 1500, 0, base).load(1500, 4500, 0, fault);
    let own = degraded(Against::Baseline);
    check(&own, slow(20, 30), (Ok, "p99 30ms, expected 20ms"));
    check(&own, slow(20, 31), (Bad, "p99 31ms, expected 20ms"));
    assert_eq!(
        trial_says(&own, slow(20, 30)).value.map(|value| (value * 10.0).round()),
        Some(15.0)
    );
    check(
        &own,
        slow(20, 20).failing(1500, 4500, 10),
        (Bad, "p99 endless: too many requests failed"),
    );
    check(
        &own,
        slow(20, 20).failing(500, 1500, 10),
        (Ambiguous, "p99 of the baseline was endless itself"),
    );
    assert_eq!(trial_says(&own, slow(20, 20).gap(700, 800)).state, Ambiguous);
}

#[test]
fn a_placebo_takes_off_what_drifts() {
    let plan = plan(2, vec![("it", degraded(Against::Placebo))]);
    let slow = |trial: Trial, fault| trial.load(1500, 4500, 0, fault);
    let says = |placebo: Vec<Trial>| {
        let pair = [slow(Trial::fault(0), 40), slow(Trial::fault(1), 40)];
        let judged = judgement(&plan, pair.into_iter().chain(placebo));
        judged.trials.iter().map(|trial| trial.state).collect::<Vec<_>>()
    };
    let placebo = |index, fault| slow(Trial::placebo(index), fault);
    // Twice as slow as the baseline; but the first placebo drifted almost as far.
    assert_eq!(says(vec![placebo(2, 30), placebo(3, 20)]), [Ok, Bad]);
    assert_eq!(says(vec![placebo(2, 30)]), [Ok, Excluded]);
    let late = placebo(2, 30).invalid(InvalidReason::Stalled, false);
    let early = placebo(3, 30).invalid(InvalidReason::NotSteady, true);
    assert_eq!(says(vec![late, early]), [Ambiguous, Excluded]);
}

fn probed(gap_at_most: Option<u64>) -> Plan {
    let assertion = Assertion::Telemetry {
        signal: SignalId::new("sentinel"),
        share_at_least: "90%".parse().unwrap(),
        gap_at_most: gap_at_most.map(ms),
        during: fault_phase(),
    };
    let mut plan = plan(14, vec![("it", assertion)]);
    let (every, timeout, path) = (ms(100), ms(50), Some("/".to_owned()));
    let source = SourcePlan::Probe { edge: None, path, every, timeout };
    plan.signals.push(SignalPlan { id: SignalId::new("sentinel"), source });
    plan
}

#[test]
fn telemetry_that_does_not_arrive_is_bad() {
    // Looks at 1503, 1603, ... 4403: a little late, all there.
    let looks = |lost: std::ops::Range<u64>| {
        (0..30).filter(|look| !lost.contains(look)).fold(Trial::fault(0), |trial, look| {
            trial.observed("sentinel", 1503 + look * 100, Some(1.0))
        })
    };
    let says = |plan: &Plan, trial| {
        let said = trial_says_in(plan, trial);
        (said.state, said.because)
    };
    let all = "100% of 30 observations arrived, 0s at most without one".to_owned();
    assert_eq!(says(&probed(None), looks(0..0)), (Ok, all));
    let most = "90% of 30 observations arrived, 300ms at most without one".to_owned();
    assert_eq!(says(&probed(None), looks(10..13)), (Ok, most.clone()));
    assert_eq!(says(&probed(Some(200)), looks(10..13)), (Bad, most));
    assert_eq!(says(&probed(None), looks(10..14)).0, Bad);
    assert_eq!(says(&probed(None), looks(0..4)).0, Bad);
    let refused = looks(0..4).observed("sentinel", 1500, None);
    assert_eq!(says(&probed(None), refused).0, Bad, "a gap is no arrival");
    let none = "0% of 30 observations arrived, 3s at most without one".to_owned();
    assert_eq!(says(&probed(None), Trial::fault(0)), (Bad, none));
    let mut unknown = probed(None);
    unknown.signals.pop();
    assert_eq!(says(&unknown, looks(0..0)).0, Ambiguous);
}
