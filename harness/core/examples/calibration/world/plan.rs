//! The plan of a study: one fault, a placebo, the expectations that are judged.

use std::collections::BTreeMap;

use harness_core::fault::{BlastRadius, Reversibility};
use harness_core::ids::{ArmName, ExpectationId, FaultId, RequestKind, SignalId, TrialIndex};
use harness_core::plan::{
    Arm, Arrivals, Assertion, Claim, Deadlines, Expectation, FORMAT, FaultPlan, Holds, Key,
    LoadPlan, Phases, Plan, RadiusLimit, RequestPlan, Reuse, SafetyPlan, ScenarioReference, Shape,
    SignalPlan, SourcePlan, StatusRange, SteadyPlan, StopRule, SystemPlan, TimerMode, TrialMode,
    TrialPlan, TrialsPlan, WitnessPlan,
};
use harness_core::topology::Topology;
use harness_core::units::{Currency, Duration, Rate, Ratio};

pub(super) const FAULT_ARM: &str = "fault";
pub(super) const PLACEBO_ARM: &str = "placebo";
pub(super) const ALERTS: &str = "pages";
pub(super) const ACTIONS: &str = "actions";
pub(super) const PROBE: &str = "probe";
pub(super) const METER: &str = "meter";
/// The periods of the probe and of the meter.
pub(super) const PROBE_EVERY: Duration = Duration::from_millis(20);
pub(super) const METER_EVERY: Duration = Duration::from_millis(50);
/// Two kinds of requests, so that one can fail while the other is slow.
pub(super) const KINDS: [&str; 2] = ["POST /checkout", "GET /browse"];

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn fault() -> FaultId {
    FaultId::new("down")
}

/// An assertion with the arm that it is judged over.
pub(super) struct Expected {
    pub(super) id: String,
    pub(super) arm: &'static str,
    pub(super) assertion: Assertion,
    pub(super) holds: Holds,
}

/// How many trials of each arm, and when to stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) trials: u32,
    pub(super) stop: StopRule,
}

pub(super) fn plan(size: Size, expected: Vec<Expected>) -> Plan {
    let trial = |index: u32| TrialPlan {
        index: TrialIndex(index),
        arm: ArmName::new(if index.is_multiple_of(2) { FAULT_ARM } else { PLACEBO_ARM }),
        seed: 1,
        delay: ms(0),
    };
    let expectation = |one: Expected| Expectation {
        id: ExpectationId::new(one.id),
        arms: vec![ArmName::new(one.arm)],
        assertion: one.assertion,
        claim: Claim { holds: one.holds, confidence: Ratio::from_percent(95) },
    };
    let arm = |name, faults| Arm { name: ArmName::new(name), faults };
    Plan {
        format: FORMAT.to_owned(),
        scenario: scenario(),
        seed: 7,
        system: system(),
        capabilities: BTreeMap::new(),
        load: load(),
        signals: signals(),
        steady: SteadyPlan {
            success_at_least: Ratio::from_percent(90),
            latency: None,
            sentinels: Vec::new(),
            hold: ms(300),
            within: ms(5000),
        },
        phases: Phases {
            warmup: ms(0),
            baseline: ms(500),
            fault: ms(1100),
            recovery_up_to: ms(2500),
            settle: ms(0),
        },
        faults: vec![fault_plan()],
        arms: vec![arm(FAULT_ARM, vec![fault()]), arm(PLACEBO_ARM, Vec::new())],
        trials: TrialsPlan {
            mode: TrialMode::Inferred,
            stop: size.stop,
            count_min: 1,
            planned: (0..2 * size.trials).map(trial).collect(),
            spare: Vec::new(),
            invalid_at_most: Ratio::from_percent(20),
            wall: Duration::from_secs(1800),
        },
        expectations: expected.into_iter().map(expectation).collect(),
        safety: safety(),
        deadlines: deadlines(),
        reports: Vec::new(),
    }
}

fn scenario() -> ScenarioReference {
    ScenarioReference {
        name: "calibration".to_owned(),
        title: String::new(),
        description: String::new(),
        owner: String::new(),
        sha256: String::new(),
        params: BTreeMap::new(),
    }
}

fn system() -> SystemPlan {
    SystemPlan {
        containers: None,
        kind: "simulated".to_owned(),
        name: "simulated".to_owned(),
        environment: "lab".to_owned(),
        defects: BTreeMap::new(),
        topology: Topology::default(),
    }
}

fn signals() -> Vec<SignalPlan> {
    let probe = SourcePlan::Probe {
        edge: None,
        path: Some("/health".to_owned()),
        every: PROBE_EVERY,
        timeout: PROBE_EVERY,
    };
    let sources = [
        (ALERTS, SourcePlan::Alerts {}),
        (ACTIONS, SourcePlan::Actions { every: ms(50) }),
        (PROBE, probe),
        (METER, SourcePlan::Spend { every: METER_EVERY, currency: Currency::EUR }),
    ];
    sources.map(|(id, source)| SignalPlan { id: SignalId::new(id), source }).into()
}

fn load() -> LoadPlan {
    let request = |kind: &str| RequestPlan {
        kind: RequestKind::new(kind),
        weight: 1,
        method: "POST".to_owned(),
        path: "/checkout".to_owned(),
        headers: BTreeMap::new(),
        body: None,
        key: Key::Sequence,
        body_contains: None,
    };
    LoadPlan {
        shape: Shape::Constant { rate: Rate::per_second_whole(400) },
        arrivals: Arrivals::Constant,
        timeout: ms(2000),
        mix: KINDS.map(request).into(),
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

fn fault_plan() -> FaultPlan {
    let witness = || WitnessPlan { by: None, in_a_row: 3, every: ms(20), within: ms(1000) };
    FaultPlan {
        id: fault(),
        kind: "dependency-outage".to_owned(),
        spec: serde_json::Value::Null,
        at: ms(0),
        lasts: ms(1100),
        mechanism: "proxy".to_owned(),
        reversibility: Reversibility::Reversible,
        radius: BlastRadius::default(),
        effective: witness(),
        reverted: witness(),
    }
}

fn safety() -> SafetyPlan {
    let (instances, edges) = (1, 1);
    SafetyPlan {
        environments: vec!["lab".to_owned()],
        radius: RadiusLimit { instances, share: Ratio::ONE, edges, max_for: ms(60_000) },
        guardrails: Vec::new(),
        lease: ms(15_000),
        policy: Vec::new(),
        approvals: 0,
    }
}

fn deadlines() -> Deadlines {
    let five = ms(5000);
    Deadlines {
        open: five,
        close: five,
        reset: five,
        arm: five,
        inject: five,
        revert: five,
        collect: five,
    }
}
