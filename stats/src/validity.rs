//! Which cases count: what was wrong before the injection excludes a case, what was wrong after it
//! makes the case ambiguous.
//!
//! A case is never dropped for anything that its outcome can touch: dropping half of the bad cases
//! turns five percent of false passes into thirty. Limits themselves are accepted.

use crate::decimal::{Decimal, Share};
use crate::decision::{Claim, Conclusion, Decision, Tally, decide};
use crate::multiplicity::exceeds;

/// What was measured about the validity of one case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValidityMeasures {
    /// Sent requests over scheduled ones.
    pub sent_ratio: f64,
    /// The 99th percentile of how late requests were sent, in milliseconds.
    pub send_lag_ms_p99: f64,
    /// The success share of the baseline; `None` without traffic.
    pub baseline_success: Option<f64>,
    /// Requests of the baseline.
    pub baseline_requests: u64,
    /// Whether all probes were good for the hold time before the injection.
    pub steady: bool,
    /// Watched alerts that were firing at the injection.
    pub alerts_firing: u64,
    /// The share of the fault window in which the fault was seen in force.
    pub fault_effect_share: f64,
    /// The larger of clock drift and skew, in milliseconds.
    pub clock_skew_ms: f64,
    /// Whether the system was restored after the case.
    pub restored: bool,
    /// Whether the case was aborted.
    pub aborted: bool,
}

/// The limits of validity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValidityRules {
    /// The least accepted sent ratio.
    pub sent_ratio_min: f64,
    /// The largest accepted send lag, in milliseconds.
    pub send_lag_ms_p99_max: f64,
    /// The least accepted success share of the baseline.
    pub baseline_success_min: f64,
    /// The fewest accepted requests of the baseline.
    pub baseline_requests_min: u64,
    /// The least accepted share of the fault window in which the fault is in force.
    pub fault_effect_share_min: f64,
    /// The largest accepted clock skew, in milliseconds.
    pub clock_skew_ms_max: f64,
}

/// What was wrong before the injection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BeforeInjection {
    /// The baseline had too few requests.
    BaselineTraffic,
    /// The baseline succeeded too rarely, or had no traffic.
    BaselineSuccess,
    /// The system was not in steady state.
    SteadyState,
    /// A watched alert was already firing.
    AlertAlreadyFiring,
}

/// What was wrong after the injection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AfterInjection {
    /// The generator sent too little or too late.
    GeneratorBehind,
    /// The fault was not in force for long enough.
    FaultNotInEffect,
    /// Clocks disagree by too much.
    Clock,
    /// The system was not restored.
    NotRestored,
    /// The case was aborted.
    Aborted,
}

impl BeforeInjection {
    /// The name of the reason in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::BaselineTraffic => "baseline_traffic",
            Self::BaselineSuccess => "baseline_success",
            Self::SteadyState => "steady_state",
            Self::AlertAlreadyFiring => "alert_already_firing",
        }
    }
}

impl AfterInjection {
    /// The name of the reason in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::GeneratorBehind => "generator_behind",
            Self::FaultNotInEffect => "fault_not_in_effect",
            Self::Clock => "clock",
            Self::NotRestored => "not_restored",
            Self::Aborted => "aborted",
        }
    }
}

/// How a case counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It counts as what it showed.
    Valid,
    /// It counts against both ends.
    Ambiguous,
    /// It does not count.
    Excluded,
}

/// The validity of one case with every reason against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validity {
    /// What was wrong before the injection.
    pub before: Vec<BeforeInjection>,
    /// What was wrong after it.
    pub after: Vec<AfterInjection>,
}

impl Validity {
    /// How the case counts: a reason before the injection wins.
    pub fn standing(&self) -> Standing {
        match (self.before.is_empty(), self.after.is_empty()) {
            (false, _) => Standing::Excluded,
            (true, false) => Standing::Ambiguous,
            (true, true) => Standing::Valid,
        }
    }
}

/// Checks the measures of one case; a limit itself is accepted, a value that is no number is not.
pub fn validity(measures: &ValidityMeasures, rules: &ValidityRules) -> Validity {
    let at_least = |value: f64, least: f64| value >= least;
    let at_most = |value: f64, most: f64| value <= most;
    let success =
        measures.baseline_success.is_some_and(|share| at_least(share, rules.baseline_success_min));
    let sent = at_least(measures.sent_ratio, rules.sent_ratio_min)
        && at_most(measures.send_lag_ms_p99, rules.send_lag_ms_p99_max);
    let traffic = measures.baseline_requests >= rules.baseline_requests_min;
    let in_force = at_least(measures.fault_effect_share, rules.fault_effect_share_min);
    let clock = at_most(measures.clock_skew_ms, rules.clock_skew_ms_max);
    let before = [
        (traffic, BeforeInjection::BaselineTraffic),
        (success, BeforeInjection::BaselineSuccess),
        (measures.steady, BeforeInjection::SteadyState),
        (measures.alerts_firing == 0, BeforeInjection::AlertAlreadyFiring),
    ];
    let after = [
        (sent, AfterInjection::GeneratorBehind),
        (in_force, AfterInjection::FaultNotInEffect),
        (clock, AfterInjection::Clock),
        (measures.restored, AfterInjection::NotRestored),
        (!measures.aborted, AfterInjection::Aborted),
    ];
    Validity { before: broken(&before), after: broken(&after) }
}

fn broken<T: Copy>(checks: &[(bool, T)]) -> Vec<T> {
    checks.iter().filter(|(held, _)| !held).map(|(_, reason)| *reason).collect()
}

/// Excluded and ambiguous cases among all that were run.
pub fn invalid_share(tally: Tally, excluded: u64) -> Share {
    Share { part: tally.ambiguous + excluded, whole: tally.cases() + excluded }
}

/// Decides a claim over the cases that count; more than the accepted share of invalid ones gives no
/// end. Excluded cases are not part of the tally.
pub fn decide_with_excluded(
    tally: Tally,
    excluded: u64,
    invalid_share_max: Decimal,
    claim: Claim,
) -> Decision {
    let decision = decide(tally, claim);
    if exceeds(invalid_share(tally, excluded), invalid_share_max) {
        Decision { conclusion: Conclusion::Inconclusive, ..decision }
    } else {
        decision
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Levels;

    const GOOD: ValidityMeasures = ValidityMeasures {
        sent_ratio: 0.99,
        send_lag_ms_p99: 50.0,
        baseline_success: Some(0.999),
        baseline_requests: 1000,
        steady: true,
        alerts_firing: 0,
        fault_effect_share: 0.9,
        clock_skew_ms: 50.0,
        restored: true,
        aborted: false,
    };

    const RULES: ValidityRules = ValidityRules {
        sent_ratio_min: 0.99,
        send_lag_ms_p99_max: 50.0,
        baseline_success_min: 0.999,
        baseline_requests_min: 1000,
        fault_effect_share_min: 0.9,
        clock_skew_ms_max: 50.0,
    };

    #[test]
    fn limits_are_accepted_and_each_break_is_named() {
        use AfterInjection as After;
        use BeforeInjection as Before;
        for (measures, before, after) in [
            (GOOD, vec![], vec![]),
            (ValidityMeasures { steady: false, ..GOOD }, vec![Before::SteadyState], vec![]),
            (
                ValidityMeasures { alerts_firing: 2, ..GOOD },
                vec![Before::AlertAlreadyFiring],
                vec![],
            ),
            (
                ValidityMeasures { send_lag_ms_p99: 50.1, sent_ratio: 0.5, ..GOOD },
                vec![],
                vec![After::GeneratorBehind],
            ),
            (ValidityMeasures { clock_skew_ms: f64::NAN, ..GOOD }, vec![], vec![After::Clock]),
            (
                ValidityMeasures { restored: false, aborted: true, ..GOOD },
                vec![],
                vec![After::NotRestored, After::Aborted],
            ),
        ] {
            assert_eq!(validity(&measures, &RULES), Validity { before, after });
        }
    }

    #[test]
    fn a_reason_before_the_injection_wins() {
        let both = ValidityMeasures { steady: false, aborted: true, ..GOOD };
        assert_eq!(validity(&both, &RULES).standing(), Standing::Excluded);
        let after = ValidityMeasures { aborted: true, ..GOOD };
        assert_eq!(validity(&after, &RULES).standing(), Standing::Ambiguous);
        assert_eq!(validity(&GOOD, &RULES).standing(), Standing::Valid);
    }

    #[test]
    fn a_fifth_of_invalid_cases_is_just_accepted() {
        let claim = Claim { share: 0.5, levels: Levels::FIVE_PERCENT };
        let most = Decimal::new(2, 1);
        let clean = Tally { ok: 20, bad: 0, ambiguous: 0 };
        let end = |excluded| decide_with_excluded(clean, excluded, most, claim).conclusion;
        assert_eq!(end(5), Conclusion::Pass);
        assert_eq!(end(6), Conclusion::Inconclusive);
    }
}
