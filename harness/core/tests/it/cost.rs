//! What a trial costs: rates, caps, sums and the spend for each good request.

use harness_core::ids::SignalId;
use harness_core::plan::{Assertion, CostBound, Phase, Plan, SignalPlan, SourcePlan, WindowRange};
use harness_core::units::Currency;
use harness_core::verdict::TrialState::{self, Ambiguous, Bad, Ok};

use crate::fixture::*;

const SIGNAL: &str = "spend";

fn spend(bound: CostBound) -> Plan {
    let signal = SignalId::new(SIGNAL);
    let mut plan = plan(14, vec![("it", Assertion::Cost { signal: signal.clone(), bound })]);
    let source = SourcePlan::Spend { every: ms(100), currency: Currency::EUR };
    plan.signals.push(SignalPlan { id: signal, source });
    plan
}

fn fault_phase() -> WindowRange {
    WindowRange::phases("fault", Phase::Fault, Phase::Fault)
}

fn rate(at_most: &str, grace: u64) -> Plan {
    let (at_most, grace) = (at_most.parse().unwrap(), ms(grace));
    spend(CostBound::Rate { at_most, grace, during: fault_phase() })
}

fn capped(within: u64) -> Plan {
    let at_most = "1.5 EUR/s".parse().unwrap();
    spend(CostBound::Capped { at_most, fault: fault(), within: ms(within) })
}

/// The meter tells each 100 ms what was spent, but for a stretch; one unit a second, and `more`
/// from one time to another.
pub(crate) fn meter(trial: Trial, (from, to, more): (u64, u64, f64), silent: (u64, u64)) -> Trial {
    let mut sum = 0.0;
    (0..90).map(|step| step * 100).fold(trial, |trial, at| {
        let seen = if (silent.0..silent.1).contains(&at) { None } else { Some(sum) };
        sum += 0.1 * if (from..to).contains(&at) { 1.0 + more } else { 1.0 };
        trial.observed(SIGNAL, at, seen)
    })
}

const STEADY: (u64, u64, f64) = (0, 0, 0.0);
const NEVER: (u64, u64) = (0, 0);

fn says(plan: &Plan, trial: Trial) -> (TrialState, String) {
    let said = trial_says_in(plan, trial);
    (said.state, said.because)
}

#[test]
fn a_rate_is_kept_or_broken_and_never_kept_where_nobody_looked() {
    let steady = || meter(Trial::fault(0), STEADY, NEVER);
    assert_eq!(says(&rate("1.1 EUR/s", 0), steady()), (Ok, "at most 1 EUR/s".to_owned()));
    assert_eq!(says(&rate("0.9 EUR/s", 0), steady()).0, Bad);
    let peak = || meter(Trial::fault(0), (1500, 2300, 4.0), NEVER);
    assert_eq!(says(&rate("2 EUR/s", 0), peak()), (Bad, "at most 5 EUR/s".to_owned()));
    assert_eq!(says(&rate("2 EUR/s", 800), peak()).0, Ok, "the grace covers it");
    assert_eq!(says(&rate("2 EUR/s", 500), peak()).0, Bad);
    let later = meter(Trial::fault(0), (4600, 6000, 9.0), NEVER);
    assert_eq!(says(&rate("2 EUR/s", 0), later).0, Ok, "that is after the window");
    let silent = meter(Trial::fault(0), STEADY, (3000, 3300));
    let (state, because) = says(&rate("2 EUR/s", 0), silent);
    assert_eq!(state, Ambiguous);
    assert_eq!(because, "the spend is not known all along: refused");
    let both = meter(Trial::fault(0), (1500, 2500, 4.0), (3000, 3300));
    assert_eq!(says(&rate("2 EUR/s", 0), both).0, Bad, "what was seen is enough");
    assert_eq!(says(&rate("2 EUR/s", 0), Trial::fault(0)).0, Ambiguous);
}

#[test]
fn a_runaway_is_capped_in_time_or_not() {
    let until = |to| meter(Trial::fault(0), (1600, to, 4.0), NEVER);
    let said = trial_says_in(&capped(2000), until(2600));
    assert_eq!((said.state, said.because.as_str()), (Ok, "capped after 1.4s"));
    assert_eq!(says(&capped(1000), until(3100)).0, Bad);
    // In time to a hair, though a rate over a few tenths of a second still shows the runaway.
    let near = (Ambiguous, "capped after 1.4s: too near to tell".to_owned());
    assert_eq!(says(&capped(1000), until(2600)), near);
    let never = trial_says_in(&capped(2000), until(9000));
    assert_eq!((never.state, never.censored_at), (Bad, Some(2.9)));
    // It ends with the fault: that was no cap.
    assert_eq!(says(&capped(2000), until(4500)).0, Bad);
    assert_eq!(says(&capped(4000), until(2600)).0, Ambiguous, "the fault ends before");
    let silent = meter(Trial::fault(0), (1600, 2600, 4.0), (2700, 4500));
    assert_eq!(says(&capped(2000), silent).0, Ambiguous);
}

#[test]
fn a_meter_that_begins_anew_proves_nothing() {
    let anew = meter(Trial::fault(0), STEADY, NEVER).with(|trial| {
        let seen = trial.observations.get_mut(&SignalId::new(SIGNAL)).unwrap();
        for observation in seen.iter_mut().skip(30) {
            if let harness_core::signal::Observation::Value { value, .. } = observation {
                *value -= 3.0;
            }
        }
    });
    assert_eq!(says(&rate("2 EUR/s", 0), anew).0, Ambiguous);
}

#[test]
fn sums_and_the_spend_for_each_good_request_have_bounds() {
    let total = |at_most: &str| {
        spend(CostBound::Total { at_most: at_most.parse().unwrap(), during: fault_phase() })
    };
    let steady = || meter(Trial::fault(0), STEADY, NEVER);
    assert_eq!(says(&total("3 EUR"), steady()), (Ok, "3 EUR was spent".to_owned()));
    assert_eq!(says(&total("2.9 EUR"), steady()).0, Bad);
    let silent = || meter(Trial::fault(0), STEADY, (3000, 3300));
    assert_eq!(says(&total("5 EUR"), silent()).0, Ambiguous);
    assert_eq!(says(&total("1 EUR"), silent()).0, Bad, "so much was seen");
    let each = |at_most: &str| {
        spend(CostBound::PerSuccess { at_most: at_most.parse().unwrap(), during: fault_phase() })
    };
    let requests = 30 * PER_WINDOW;
    let price = 3.0 / requests as f64;
    let bound = |factor: f64| format!("{:.6} EUR", price * factor);
    assert_eq!(says(&each(&bound(1.1)), steady()).0, Ok);
    assert_eq!(says(&each(&bound(0.9)), steady()).0, Bad);
    let none = steady().failing(1500, 4500, PER_WINDOW);
    let free = "money was spent and no request succeeded".to_owned();
    assert_eq!(says(&each(&bound(1.1)), none), (Bad, free));
    let judged = judgement(
        &each(&bound(1.1)),
        (0..14).map(|index| meter(Trial::fault(index), STEADY, NEVER)),
    );
    assert!(judged.because.contains("; over 14 trials together 0.00"), "{}", judged.because);
    assert_eq!(judged.measured.unwrap().unit, "EUR");
}
