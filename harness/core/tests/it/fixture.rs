//! A plan with one fault, and trials that go as they should unless a test says otherwise.
//!
//! Every trial's load lasts 8 s: warmup to 0.5 s, baseline to 1.5 s, fault to 4.5 s, recovery to
//! 7.5 s, settle. `down` is injected at 1.5 s, in force from 1.6 s, reverted at 4.5 s, gone
//! at 4.6 s.

use std::collections::BTreeMap;

use harness_core::event::{Invalid, InvalidReason};
use harness_core::evidence::{
    Evidence, FaultEvidence, KindEvidence, Latencies, TrialEvidence, WindowEvidence,
};
use harness_core::exit::EndOfRun;
use harness_core::fault::{BlastRadius, Reversibility};
use harness_core::history::History;
use harness_core::ids::{ArmName, ExpectationId, FaultId, RequestKind, SignalId, TrialIndex};
use harness_core::judge::judge;
use harness_core::load::{LoadSummary, RequestOutcome, WINDOW};
use harness_core::plan::*;
use harness_core::signal::{AlertNotice, AlertStatus, Observation};
use harness_core::system::Processed;
use harness_core::time::{RunTime, WallTime};
use harness_core::topology::Topology;
use harness_core::units::{Duration, Ratio};
use harness_core::verdict::{Judgement, TrialJudgement, Verdict};

/// Requests per window of 100 ms.
pub(crate) const PER_WINDOW: u64 = 40;
/// Windows of a trial.
pub(crate) const WINDOWS: u32 = 80;

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn fault() -> FaultId {
    FaultId::new("down")
}

pub(crate) fn kind() -> RequestKind {
    RequestKind::new("POST /checkout")
}

fn witness() -> WitnessPlan {
    WitnessPlan { by: None, in_a_row: 3, every: ms(50), within: ms(1000) }
}

fn fault_plan() -> FaultPlan {
    FaultPlan {
        id: fault(),
        kind: "dependency-outage".into(),
        spec: serde_json::Value::Null,
        at: ms(0),
        lasts: ms(3000),
        mechanism: "proxy".into(),
        reversibility: Reversibility::Reversible,
        radius: BlastRadius::default(),
        effective: witness(),
        reverted: witness(),
    }
}

fn load_plan() -> LoadPlan {
    LoadPlan {
        shape: Shape::Constant { rate: "400/s".parse().unwrap() },
        arrivals: Arrivals::Constant,
        timeout: ms(2000),
        mix: vec![RequestPlan {
            kind: kind(),
            weight: 1,
            method: "POST".into(),
            path: "/checkout".into(),
            headers: BTreeMap::new(),
            body: None,
            key: Key::Sequence,
            body_contains: None,
        }],
        feeds: BTreeMap::new(),
        good: vec![StatusRange { from: 200, to: 299 }],
        connections_max: 10,
        reuse: Reuse::Always {},
        in_flight_max: 100,
        timer: TimerMode::Precise,
        correlation: false,
        workers: 1,
        http2: false,
    }
}

/// A plan that runs `count` fault trials and five placebo trials.
pub(crate) fn plan(count: u32, assertions: Vec<(&str, Assertion)>) -> Plan {
    let claim = Claim::share(Ratio::from_percent(80), Ratio::from_percent(95));
    let expectation = |(id, assertion): (&str, Assertion)| Expectation {
        id: ExpectationId::new(id),
        arms: vec![ArmName::new(match &assertion {
            Assertion::Quiet { .. } => "placebo",
            _ => "fault",
        })],
        assertion,
        claim,
    };
    let trial = |index, arm| TrialPlan {
        index: TrialIndex(index),
        arm: ArmName::new(arm),
        seed: 1,
        delay: ms(0),
    };
    let planned = (0..count).map(|index| trial(index, "fault"));
    let placebo = (count..count + 5).map(|index| trial(index, "placebo"));
    Plan {
        format: FORMAT.into(),
        scenario: scenario_reference(),
        seed: 7,
        system: system_plan(),
        capabilities: BTreeMap::new(),
        load: load_plan(),
        signals: vec![SignalPlan { id: SignalId::new("pages"), source: SourcePlan::Alerts {} }],
        steady: SteadyPlan {
            success_at_least: Ratio::from_percent(90),
            latency: None,
            sentinels: Vec::new(),
            hold: ms(1000),
            within: ms(5000),
        },
        phases: Phases {
            warmup: ms(500),
            baseline: ms(1000),
            fault: ms(3000),
            recovery_up_to: ms(3000),
            settle: ms(500),
        },
        faults: vec![fault_plan()],
        arms: vec![
            Arm { name: ArmName::new("fault"), faults: vec![fault()] },
            Arm { name: ArmName::new("placebo"), faults: Vec::new() },
        ],
        trials: TrialsPlan {
            mode: TrialMode::Inferred,
            stop: StopRule::Fixed,
            count_min: 1,
            planned: planned.chain(placebo).collect(),
            spare: Vec::new(),
            invalid_at_most: Ratio::from_percent(20),
            wall: Duration::from_secs(1800),
        },
        expectations: assertions.into_iter().map(expectation).collect(),
        safety: safety_plan(),
        deadlines: deadlines(),
        reports: Vec::new(),
    }
}

fn scenario_reference() -> ScenarioReference {
    ScenarioReference {
        name: "test".into(),
        title: String::new(),
        description: String::new(),
        owner: String::new(),
        sha256: String::new(),
        params: BTreeMap::new(),
    }
}

fn system_plan() -> SystemPlan {
    SystemPlan {
        containers: None,
        kind: "lab".into(),
        name: "shop".into(),
        environment: "lab".into(),
        defects: BTreeMap::new(),
        topology: Topology::default(),
    }
}

fn safety_plan() -> SafetyPlan {
    SafetyPlan {
        environments: vec!["lab".into()],
        radius: RadiusLimit { instances: 1, share: Ratio::ONE, edges: 1, max_for: ms(60_000) },
        guardrails: Vec::new(),
        lease: ms(15_000),
        policy: Vec::new(),
        approvals: 0,
    }
}

fn deadlines() -> Deadlines {
    Deadlines {
        open: ms(10_000),
        close: ms(10_000),
        reset: ms(5000),
        arm: ms(2000),
        inject: ms(2000),
        revert: ms(5000),
        collect: ms(5000),
    }
}

/// One trial in the making.
#[derive(Clone)]
pub(crate) struct Trial {
    pub(crate) evidence: TrialEvidence,
    base: RunTime,
}

impl Trial {
    /// A fault trial in which nothing unusual is seen.
    pub(crate) fn fault(index: u32) -> Self {
        Self::new(index, "fault", [1500, 1600, 4500, 4600])
    }

    /// A placebo trial.
    pub(crate) fn placebo(index: u32) -> Self {
        Self::new(index, "placebo", [1500, 1500, 4500, 4500])
    }

    fn new(index: u32, arm: &str, times: [u64; 4]) -> Self {
        let base = RunTime::START + Duration::from_secs(20 * u64::from(index) + 3);
        let [inject, effective, revert, reverted] = times.map(|at| Some(base + ms(at)));
        let span = |from, to| (base + ms(from), Some(base + ms(to)));
        let faults = FaultEvidence { inject, effective, revert, reverted, seen: Vec::new() };
        let evidence = TrialEvidence {
            trial: TrialIndex(index),
            arm: ArmName::new(arm),
            began: base,
            ended: Some(base + ms(9000)),
            invalid: Vec::new(),
            phases: BTreeMap::from([
                (Phase::Warmup, span(0, 500)),
                (Phase::Baseline, span(500, 1500)),
                (Phase::Fault, span(1500, 4500)),
                (Phase::Recovery, span(4500, 7500)),
                (Phase::Settle, span(7500, 8000)),
            ]),
            faults: BTreeMap::from([(fault(), faults)]),
            windows: (0..WINDOWS).map(|window| samples(window, base, 0, 20)).collect(),
            load: Some(LoadSummary {
                due: 3200,
                sent: 3200,
                accepted: vec![(0, 3199)],
                unknown: Vec::new(),
                lag_us_p50: 50,
                lag_us_p99: 400,
                lag_us_max: 900,
                cpu_cores: 0.2,
                pauses: 0,
                paused: ms(0),
                traces: Vec::new(),
            }),
            observations: BTreeMap::new(),
            alerts: Vec::new(),
            actions: Vec::new(),
            processed: Some(Ok(Processed { stored: vec![(0, 3199)], ..Processed::default() })),
        };
        Self { evidence, base }
    }

    pub(crate) fn at(&self, millis: u64) -> RunTime {
        self.base + ms(millis)
    }

    /// So many requests of each window from one time to another fail; the good ones take `slow` ms.
    pub(crate) fn load(mut self, from: u64, to: u64, failed: u64, slow: u64) -> Self {
        let base = self.base;
        for window in &mut self.evidence.windows {
            if (from..to).contains(&(u64::from(window.index) * 100)) {
                *window = samples(window.index, base, failed, slow);
            }
        }
        self
    }

    /// So many requests of each window from one time to another fail.
    pub(crate) fn failing(self, from: u64, to: u64, failed: u64) -> Self {
        self.load(from, to, failed, 20)
    }

    /// No samples from one time to another.
    pub(crate) fn gap(mut self, from: u64, to: u64) -> Self {
        let inside =
            |window: &WindowEvidence| (from..to).contains(&(u64::from(window.index) * 100));
        self.evidence.windows.retain(|window| !inside(window));
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut TrialEvidence)) -> Self {
        change(&mut self.evidence);
        self
    }

    pub(crate) fn invalid(self, reason: InvalidReason, before_injection: bool) -> Self {
        let because = "as the test says".to_owned();
        self.with(|trial| trial.invalid.push(Invalid { reason, because, before_injection }))
    }

    pub(crate) fn alert(mut self, at: u64, status: AlertStatus) -> Self {
        let notice = AlertNotice {
            signal: SignalId::new("pages"),
            alert: "Burn".into(),
            labels: BTreeMap::new(),
            status,
            at: self.at(at),
            starts_at: None,
            fingerprint: "f".into(),
        };
        self.evidence.alerts.push(notice);
        self
    }

    pub(crate) fn observed(mut self, signal: &str, at: u64, value: Option<f64>) -> Self {
        let (signal, at) = (SignalId::new(signal), self.at(at));
        let list = self.evidence.observations.entry(signal.clone()).or_default();
        list.push(match value {
            Some(value) => Observation::Value { signal, at, value },
            None => Observation::Gap { signal, at, why: "refused".into() },
        });
        self
    }
}

fn samples(index: u32, base: RunTime, failed: u64, slow: u64) -> WindowEvidence {
    let good = PER_WINDOW - failed;
    let samples = KindEvidence {
        planned: PER_WINDOW,
        outcomes: BTreeMap::from([
            (RequestOutcome::Status(200), good),
            (RequestOutcome::Timeout, failed),
        ]),
        good,
        latency_us: Latencies::from_iter([(ms(slow), good)]),
    };
    WindowEvidence {
        index,
        start: base + WINDOW.times(u64::from(index)),
        kinds: BTreeMap::from([(kind(), samples)]),
        lag_us: Latencies::from_iter([(Duration::from_micros(300), PER_WINDOW)]),
        paused: false,
    }
}

pub(crate) fn run(trials: impl IntoIterator<Item = Trial>) -> Evidence {
    Evidence {
        started: WallTime(0),
        end: Some(EndOfRun::Completed),
        leftovers: Vec::new(),
        put_back_late: Vec::new(),
        history: History::default(),
        trials: trials.into_iter().map(|trial| trial.evidence).collect(),
    }
}

/// What one trial says about one assertion.
pub(crate) fn trial_says(assertion: &Assertion, trial: Trial) -> TrialJudgement {
    let plan = plan(14, vec![("it", assertion.clone())]);
    trial_says_in(&plan, trial)
}

/// What one trial says about the first assertion of a plan.
pub(crate) fn trial_says_in(plan: &Plan, trial: Trial) -> TrialJudgement {
    judgement(plan, [trial]).trials.remove(0)
}

/// One assertion judged over some trials.
pub(crate) fn judgement(plan: &Plan, trials: impl IntoIterator<Item = Trial>) -> Judgement {
    judge(plan, &run(trials)).judgements.remove(0)
}

/// `n` trials of which the first `bad` have no success at all in the fault phase.
pub(crate) fn trials(n: u32, bad: u32) -> Vec<Trial> {
    (0..n)
        .map(|index| {
            let trial = Trial::fault(index);
            if index < bad { trial.failing(1500, 4500, PER_WINDOW) } else { trial }
        })
        .collect()
}

pub(crate) fn during_fault() -> WindowRange {
    WindowRange::phases("fault", Phase::Fault, Phase::Fault)
}

pub(crate) fn success(percent: &str) -> Assertion {
    let bound = Bound::AtLeast(percent.parse().unwrap());
    Assertion::SuccessRate { of: None, bound, during: during_fault() }
}

pub(crate) fn verdict(plan: &Plan, trials: impl IntoIterator<Item = Trial>) -> Verdict {
    judge(plan, &run(trials))
}
