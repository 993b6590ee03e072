//! One expectation of every family, and of every way to claim it, with trials that are good, bad or
//! worth nothing to all of them at once.

use harness_core::event::InvalidReason;
use harness_core::evidence::Evidence;
use harness_core::history::{EarlierRun, History, RunValue};
use harness_core::ids::{ExpectationId, RunId, SignalId};
use harness_core::plan::{
    Against, Assertion, AutomationRule, Cap, CostBound, FaultInstant, Holds, Plan, RecoveryTo,
    SignalPlan, SourcePlan, StopRule,
};
use harness_core::signal::{AlertNotice, AlertStatus};
use harness_core::system::Processed;
use harness_core::units::{Currency, Duration, Quantile, Ratio};

use std::collections::BTreeMap;

use crate::automation::acts;
use crate::cost::meter;
use crate::fixture::{run as run_of, *};

/// What happens in a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ok,
    Bad,
    Ambiguous,
    Excluded,
}

/// In a bad trial nothing is as it should be, for any expectation.
pub(crate) fn trial(index: u32, kind: Kind) -> Trial {
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
    // A runaway that is capped after half a second.
    trial = meter(trial, (1600, 2100, 4.0), (0, 0));
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
    let trial = meter(trial, (500, 8000, 4.0), (0, 0));
    acts(trial, 2500, "panic", "store")
}

/// One expectation of every family, and of every way to claim it.
fn expectations() -> Vec<(&'static str, Assertion, Holds)> {
    let share = Holds::InAtLeast(Ratio::from_percent(80));
    let within = ms(1000);
    let restore = |within| recovery(RecoveryTo::Restore, FaultInstant::Reverted, within);
    let (bound, during) = (ms(100), during_fault);
    let degradation = |against| Assertion::Degradation {
        of: None,
        quantile: Quantile::P50,
        against,
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
        ("degradation", degradation(Against::Baseline), share),
        ("against-placebo", degradation(Against::Placebo), share),
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
    all.extend(
        costs().into_iter().map(|(id, bound)| {
            (id, Assertion::Cost { signal: SignalId::new("spend"), bound }, share)
        }),
    );
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

/// A good trial spends 5 EUR in the fault phase and a bad one 15; it has no good request either.
fn costs() -> Vec<(&'static str, CostBound)> {
    let (rate, during) = ("1.5 EUR/s".parse().unwrap(), during_fault);
    let money = |text: &str| text.parse().unwrap();
    vec![
        ("rate", CostBound::Rate { at_most: rate, grace: ms(700), during: during() }),
        ("capped", CostBound::Capped { at_most: rate, fault: fault(), within: ms(1000) }),
        ("each", CostBound::PerSuccess { at_most: money("0.005 EUR"), during: during() }),
        ("bill", CostBound::Total { at_most: money("6 EUR"), during: during() }),
    ]
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

pub(crate) fn planned(count: usize) -> Plan {
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
    let spend = SourcePlan::Spend { every: ms(100), currency: Currency::EUR };
    plan.signals.push(SignalPlan { id: SignalId::new("spend"), source: spend });
    plan
}

/// A plan in which invalid trials do not forbid a conclusion by their number.
pub(crate) fn lenient(count: usize, stop: StopRule) -> Plan {
    let mut plan = planned(count);
    plan.trials.invalid_at_most = Ratio::ONE;
    plan.trials.stop = stop;
    plan
}

pub(crate) fn evidence(trials: Vec<Trial>) -> Evidence {
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

/// A fault trial of each kind, with a good placebo trial for each.
pub(crate) fn made(kinds: &[Kind]) -> Vec<Trial> {
    paired(kinds.iter().map(|kind| (*kind, Kind::Ok)))
}

/// Fault trials, and the placebo trials that they are compared with. Where they stand among
/// each other is nothing that decides.
pub(crate) fn paired(pairs: impl IntoIterator<Item = (Kind, Kind)>) -> Vec<Trial> {
    let placebo = |(index, kind)| match kind {
        Kind::Ok | Kind::Bad => Trial::placebo(index),
        Kind::Ambiguous => Trial::placebo(index).invalid(InvalidReason::Stalled, false),
        Kind::Excluded => Trial::placebo(index).invalid(InvalidReason::NotSteady, true),
    };
    let pairs = (0..).step_by(2).zip(pairs);
    pairs
        .flat_map(|(index, (kind, other))| [trial(index, kind), placebo((index + 1, other))])
        .collect()
}
