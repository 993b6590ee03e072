//! What must hold for all runs: worse evidence never gives a better verdict.
//!
//! The laws are those of the decision by states. Above it the judge also asks whether trials
//! resemble the ones before them; that check looks at their order, so the laws do not bind it, but
//! it must never do more than take a pass away.

use std::collections::BTreeMap;

use harness_core::event::InvalidReason;
use harness_core::evidence::Evidence;
use harness_core::history::{EarlierRun, History, RunValue};
use harness_core::ids::{ExpectationId, RunId, SignalId};
use harness_core::judge::{judge, outcomes_by_states};
use harness_core::plan::{
    Against, Assertion, AutomationRule, Cap, FaultInstant, Holds, Plan, RecoveryTo, SignalPlan,
    SourcePlan, StopRule,
};
use harness_core::signal::{AlertNotice, AlertStatus};
use harness_core::system::Processed;
use harness_core::units::{Duration, Quantile, Ratio};
use harness_core::verdict::Outcome;
use proptest::prelude::*;

use crate::automation::acts;
use crate::fixture::{run as run_of, *};

/// What happens in a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ok,
    Bad,
    Ambiguous,
    Excluded,
}

/// In a bad trial nothing is as it should be, for any expectation.
fn trial(index: u32, kind: Kind) -> Trial {
    match kind {
        Kind::Ok => good(index),
        Kind::Bad => bad(index),
        Kind::Ambiguous => good(index).invalid(InvalidReason::Stalled, false),
        Kind::Excluded => good(index).invalid(InvalidReason::NotSteady, true),
    }
}

fn good(index: u32) -> Trial {
    let mut trial =
        Trial::fault(index).failing(1500, 2000, PER_WINDOW / 2).alert(1800, AlertStatus::Firing);
    for at in (1500..4500).step_by(100) {
        trial = trial.observed("sentinel", at, Some(1.0));
    }
    acts(acts(trial, 1700, "open", "payments"), 5000, "close", "payments")
}

fn bad(index: u32) -> Trial {
    let trial = Trial::fault(index).failing(1500, 8000, PER_WINDOW);
    let at = trial.at(2000);
    let trial = trial.with(|trial| {
        trial.processed = Some(Ok(Processed { stored: vec![(1, 3199)], ..Processed::default() }));
        trial.alerts.push(AlertNotice {
            signal: SignalId::new("pages"),
            alert: "Wrong".into(),
            labels: BTreeMap::new(),
            status: AlertStatus::Firing,
            at,
            starts_at: None,
            fingerprint: "w".into(),
        });
    });
    acts(trial, 2500, "panic", "store")
}

/// One expectation of every family, and of every way to claim it.
fn expectations() -> Vec<(&'static str, Assertion, Holds)> {
    let share = Holds::InAtLeast(Ratio::from_percent(80));
    let within = ms(1000);
    let restore = |within| recovery(RecoveryTo::Restore, FaultInstant::Reverted, within);
    let (bound, during) = (ms(100), during_fault);
    let degradation = Assertion::Degradation {
        of: None,
        quantile: Quantile::P50,
        against: Against::Baseline,
        by_at_most: Ratio::from_percent(20),
        during: during(),
    };
    let latency =
        Assertion::Latency { of: None, quantile: Quantile::P50, at_most: bound, during: during() };
    let detection = Assertion::Detection {
        alert: "Burn".into(),
        fault: fault(),
        within,
        pages_exactly: Some(1),
        resolves_within: None,
        through: None,
    };
    let telemetry = Assertion::Telemetry {
        signal: SignalId::new("sentinel"),
        share_at_least: Ratio::from_percent(90),
        gap_at_most: None,
        during: during(),
    };
    let regression = Assertion::Regression {
        of: ExpectationId::new("latency"),
        by_at_most: Ratio::from_percent(20),
        runs: 10,
        reset_at: None,
    };
    let mitigate = recovery(RecoveryTo::Mitigate, FaultInstant::Effective, within);
    let capped = |cap| Holds::OnAverage { cap: Some(cap) };
    let mut all = vec![
        ("availability", success("80%"), share),
        ("latency", latency, share),
        ("detection", detection, share),
        ("quiet", Assertion::Quiet { alert: "Wrong".into() }, share),
        ("mitigate", mitigate, share),
        ("restore", restore(ms(2000)), share),
        ("invariant", Assertion::Invariant { none_lost: true, none_twice: true }, share),
        ("budget", budget(20_000), share),
        ("degradation", degradation, share),
        ("telemetry", telemetry, share),
        ("mean-rate", success("70%"), capped(Cap::Share(Ratio::ONE))),
        ("mean-time", restore(within), capped(Cap::Time(ms(2000)))),
        ("mean-budget", budget(60_000), capped(Cap::Share(Ratio::from_billionths(120_000)))),
        ("mean-uncapped", success("80%"), Holds::OnAverage { cap: None }),
        ("regression", regression, Holds::OverRuns),
    ];
    let rules = rules()
        .into_iter()
        .map(|(id, rule)| (id, Assertion::Automation { actor: "breaker".into(), rule }, share));
    all.extend(rules);
    all
}

fn recovery(to: RecoveryTo, from: FaultInstant, within: Duration) -> Assertion {
    Assertion::Recovery { to, fault: fault(), from, within }
}

/// A good trial takes a quarter of a second of the 25,920 s, a bad one three seconds.
fn budget(billionths: u64) -> Assertion {
    Assertion::ErrorBudget {
        of: None,
        objective: Ratio::from_percent(99),
        period: Duration::from_secs(30 * 86_400),
        takes_at_most: Ratio::from_billionths(billionths),
        during: during_fault(),
    }
}

fn rules() -> Vec<(&'static str, AutomationRule)> {
    let (open, target) = ("open".to_owned(), None);
    let panic = || Some(vec!["panic".to_owned()]);
    vec![
        (
            "acts",
            AutomationRule::Acts {
                action: open.clone(),
                target: target.clone(),
                fault: fault(),
                within: ms(1000),
            },
        ),
        ("stays-quiet", AutomationRule::StaysQuiet { action: Some("panic".into()) }),
        ("once", AutomationRule::ExactlyOnce { action: open, target, fault: fault() }),
        (
            "releases",
            AutomationRule::Releases { action: "close".into(), fault: fault(), within: ms(2000) },
        ),
        ("only", AutomationRule::Only { targets: vec!["payments".into()] }),
        ("never", AutomationRule::Never { actions: vec!["panic".into()] }),
        ("switch", AutomationRule::ObeysKillSwitch { switch: fault(), actions: panic() }),
        ("blind", AutomationRule::HoldsWhenBlind { fault: fault(), actions: panic() }),
    ]
}

fn planned(count: usize) -> Plan {
    let all = expectations();
    let assertions = all.iter().map(|(id, assertion, _)| (*id, assertion.clone())).collect();
    let mut plan = plan(u32::try_from(count).unwrap(), assertions);
    for (expectation, (_, _, holds)) in plan.expectations.iter_mut().zip(all) {
        expectation.claim.holds = holds;
        expectation.arms = vec!["fault".into()];
    }
    let probe =
        SourcePlan::Probe { edge: None, path: Some("/".into()), every: ms(100), timeout: ms(50) };
    plan.signals.push(SignalPlan { id: SignalId::new("sentinel"), source: probe });
    let record = SourcePlan::Actions { every: ms(100) };
    plan.signals.push(SignalPlan { id: SignalId::new("record"), source: record });
    plan
}

/// A plan in which invalid trials do not forbid a conclusion by their number.
fn lenient(count: usize, stop: StopRule) -> Plan {
    let mut plan = planned(count);
    plan.trials.invalid_at_most = Ratio::ONE;
    plan.trials.stop = stop;
    plan
}

fn evidence(trials: Vec<Trial>) -> Evidence {
    let medians = [0.0200, 0.0202, 0.0198, 0.0201, 0.0199, 0.0200];
    let run = |(place, median): (usize, f64)| EarlierRun {
        run: RunId::new(format!("run-{place}")),
        plan_sha256: String::new(),
        values: [(
            ExpectationId::new("latency"),
            RunValue {
                name: "p50 latency".into(),
                unit: "s".into(),
                median: Some(median),
                trials: 16,
            },
        )]
        .into(),
    };
    let runs = medians.into_iter().enumerate().map(run).collect();
    Evidence { history: History { runs, ..History::default() }, ..run_of(trials) }
}

fn made(kinds: &[Kind]) -> Vec<Trial> {
    (0..).zip(kinds).map(|(index, kind)| trial(index, *kind)).collect()
}

/// The outcomes of the decision by states, by expectation.
fn outcomes(plan: &Plan, trials: Vec<Trial>) -> Vec<(String, Holds, Outcome)> {
    let outcomes = outcomes_by_states(plan, &evidence(trials));
    plan.expectations
        .iter()
        .zip(outcomes)
        .map(|(asked, outcome)| (asked.id.to_string(), asked.claim.holds, outcome))
        .collect()
}

fn kinds() -> impl Strategy<Value = Vec<Kind>> {
    let kind = prop_oneof![
        12 => Just(Kind::Ok),
        2 => Just(Kind::Bad),
        1 => Just(Kind::Ambiguous),
        1 => Just(Kind::Excluded),
    ];
    prop::collection::vec(kind, 1..32)
}

fn stops() -> impl Strategy<Value = StopRule> {
    prop_oneof![Just(StopRule::Fixed), Just(StopRule::Sequential)]
}

/// Runs as made up here are no corpus to keep.
fn config() -> ProptestConfig {
    ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() }
}

/// In which trial, from which window, how many.
fn lost_windows() -> impl Strategy<Value = (prop::sample::Index, u64, u64)> {
    (any::<prop::sample::Index>(), 0..80_u64, 1..40_u64)
}

fn ordered_twice() -> impl Strategy<Value = (Vec<Kind>, Vec<Kind>)> {
    kinds().prop_flat_map(|kinds| (Just(kinds.clone()), Just(kinds).prop_shuffle()))
}

/// Each family can pass, fail and be neither: a law over outcomes that never differ says nothing.
#[test]
fn every_expectation_knows_good_from_bad() {
    let found = |kind| outcomes(&planned(16), made(&[kind; 16]));
    for (id, holds, outcome) in found(Kind::Ok) {
        let uncapped = holds == Holds::OnAverage { cap: None };
        let expected = if uncapped { Outcome::Inconclusive } else { Outcome::Pass };
        assert_eq!(outcome, expected, "{id}");
    }
    for (id, _, outcome) in found(Kind::Bad) {
        assert_eq!(outcome, Outcome::Fail, "{id}");
    }
    for (id, _, outcome) in found(Kind::Ambiguous) {
        assert_eq!(outcome, Outcome::Inconclusive, "{id}");
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_worse_trial_never_helps(
        kinds in kinds(),
        stop in stops(),
        place in any::<prop::sample::Index>(),
        worse in prop_oneof![Just(Kind::Bad), Just(Kind::Ambiguous)],
    ) {
        let plan = lenient(kinds.len(), stop);
        let place = place.index(kinds.len());
        prop_assume!(kinds[place] == Kind::Ok);
        let mut changed = kinds.clone();
        changed[place] = worse;
        let before = outcomes(&plan, made(&kinds));
        let both = before.into_iter().zip(outcomes(&plan, made(&changed)));
        for ((id, holds, before), (_, _, after)) in both {
            // What cannot be told any more may have been the proof of a fail, where not the states
            // but the values decide.
            let lost = worse == Kind::Ambiguous
                && !matches!(holds, Holds::InAtLeast(_))
                && (before, after) == (Outcome::Fail, Outcome::Inconclusive);
            // The order of outcomes is from good to bad.
            prop_assert!(after >= before || lost, "{id}: {kinds:?} {place} {worse:?}");
        }
    }

    /// A trial that turns out invalid after the injection is not left out.
    #[test]
    fn leaving_out_never_makes_a_pass(kinds in kinds(), place in any::<prop::sample::Index>()) {
        let plan = planned(kinds.len());
        let place = place.index(kinds.len());
        prop_assume!(kinds[place] == Kind::Ok);
        for excluded in [Kind::Ambiguous, Kind::Excluded] {
            let mut changed = kinds.clone();
            changed[place] = excluded;
            let before = outcomes(&plan, made(&kinds));
            let both = before.into_iter().zip(outcomes(&plan, made(&changed)));
            for ((id, holds, before), (_, _, after)) in both {
                // Found before the injection, it may have been one that spoils a mean.
                let by_value = excluded == Kind::Excluded && !matches!(holds, Holds::InAtLeast(_));
                prop_assert!(by_value || before == Outcome::Pass || after != Outcome::Pass, "{id}");
            }
        }
    }

    #[test]
    fn the_order_of_trials_does_not_matter((kinds, shuffled) in ordered_twice()) {
        let plan = planned(kinds.len());
        prop_assert_eq!(outcomes(&plan, made(&kinds)), outcomes(&plan, made(&shuffled)));
    }

    /// Whatever windows are lost, in whatever trials.
    #[test]
    fn lost_samples_never_make_a_pass(
        kinds in kinds(),
        lost in prop::collection::vec(lost_windows(), 1..8),
    ) {
        let plan = planned(kinds.len());
        let whole = made(&kinds);
        let mut torn = whole.clone();
        for (place, first, count) in lost {
            let place = place.index(torn.len());
            torn[place] = torn[place].clone().gap(first * 100, (first + count) * 100);
        }
        let before = outcomes(&plan, whole);
        for ((id, _, before), (_, _, after)) in before.into_iter().zip(outcomes(&plan, torn)) {
            prop_assert!(before == Outcome::Pass || after != Outcome::Pass, "{id}");
        }
    }

    #[test]
    fn the_verdict_only_takes_passes_away(kinds in kinds(), stop in stops()) {
        let plan = lenient(kinds.len(), stop);
        let evidence = evidence(made(&kinds));
        let states = outcomes_by_states(&plan, &evidence);
        for (judgement, by_states) in judge(&plan, &evidence).judgements.iter().zip(states) {
            let taken = (by_states, judgement.outcome) == (Outcome::Pass, Outcome::Inconclusive);
            let said = judgement.because.contains("resemble the ones before them");
            prop_assert!(judgement.outcome == by_states || (taken && said));
        }
    }
}
