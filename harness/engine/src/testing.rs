//! A plan for tests: one fault, two arms, short phases.

use std::collections::BTreeMap;

use harness_core::fault::{BlastRadius, Reversibility};
use harness_core::ids::TrialIndex;
use harness_core::plan::{
    Arm, Arrivals, Deadlines, FORMAT, FaultPlan, Key, LoadPlan, Phases, Plan, RadiusLimit,
    RequestPlan, Reuse, SafetyPlan, ScenarioReference, Shape, StatusRange, SteadyPlan, StopRule,
    SystemPlan, TimerMode, TrialMode, TrialPlan, TrialsPlan, WitnessPlan,
};
use harness_core::topology::{Edge, Instance, Service, Topology};
use harness_core::units::{Duration, Rate, Ratio};
use serde_json::json;

fn ratio(text: &str) -> Ratio {
    text.parse().unwrap()
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn topology() -> Topology {
    let instance = |index: u32| Instance {
        name: format!("checkout-{index}"),
        uid: None,
        address: None,
        process: None,
        ready: false,
    };
    Topology {
        services: vec![Service {
            name: "checkout".into(),
            labels: BTreeMap::new(),
            instances: (0..3).map(instance).collect(),
        }],
        edges: vec![Edge {
            name: "checkout->payments".into(),
            caller: "checkout".into(),
            callee: "payments".into(),
            addresses: Vec::new(),
            interposable: true,
        }],
        ..Topology::default()
    }
}

pub(crate) fn witness() -> WitnessPlan {
    WitnessPlan { by: None, in_a_row: 2, every: millis(50), within: millis(1_000) }
}

pub(crate) fn fault(id: &str, at: u64) -> FaultPlan {
    FaultPlan {
        id: id.into(),
        kind: "outage".into(),
        spec: json!({"edge": "checkout->payments", "name": id}),
        at: millis(at),
        lasts: millis(1_000),
        mechanism: "switch".into(),
        reversibility: Reversibility::Reversible,
        radius: BlastRadius { edges: vec!["checkout->payments".into()], ..BlastRadius::default() },
        effective: witness(),
        reverted: witness(),
    }
}

fn load() -> LoadPlan {
    LoadPlan {
        shape: Shape::Constant { rate: Rate::per_second_whole(100) },
        arrivals: Arrivals::Constant,
        timeout: millis(500),
        mix: vec![RequestPlan {
            kind: "GET /".into(),
            weight: 1,
            method: "GET".into(),
            path: "/".into(),
            headers: BTreeMap::new(),
            body: None,
            key: Key::Sequence,
            body_contains: None,
        }],
        feeds: BTreeMap::new(),
        good: vec![StatusRange { from: 200, to: 299 }],
        connections_max: 8,
        reuse: Reuse::Always {},
        in_flight_max: 64,
        timer: TimerMode::Relaxed,
        correlation: false,
        workers: 1,
        http2: false,
    }
}

fn trials() -> TrialsPlan {
    let trial = |index: u32| TrialPlan {
        index: TrialIndex(index),
        arm: if index.is_multiple_of(2) { "fault" } else { "placebo" }.into(),
        seed: u64::from(index),
        delay: millis(50),
    };
    TrialsPlan {
        mode: TrialMode::Observed,
        stop: StopRule::Fixed,
        count_min: 1,
        planned: (0..2).map(trial).collect(),
        spare: (2..4).map(trial).collect(),
        invalid_at_most: ratio("20%"),
        wall: Duration::from_secs(600),
    }
}

fn safety() -> SafetyPlan {
    SafetyPlan {
        environments: vec!["lab".into()],
        radius: RadiusLimit {
            instances: 3,
            share: ratio("100%"),
            edges: 1,
            max_for: millis(60_000),
        },
        guardrails: Vec::new(),
        lease: millis(3_000),
        policy: Vec::new(),
        approvals: 0,
    }
}

/// The plan.
pub(crate) fn plan() -> Plan {
    Plan {
        format: FORMAT.to_owned(),
        scenario: ScenarioReference {
            name: "payments-outage".to_owned(),
            title: "Payments are gone".to_owned(),
            description: String::new(),
            owner: String::new(),
            sha256: "00".to_owned(),
            params: BTreeMap::new(),
        },
        seed: 7,
        system: SystemPlan {
            containers: None,
            kind: "lab".to_owned(),
            name: "shop".to_owned(),
            environment: "lab".to_owned(),
            defects: BTreeMap::new(),
            topology: topology(),
        },
        capabilities: BTreeMap::new(),
        load: load(),
        signals: Vec::new(),
        steady: SteadyPlan {
            success_at_least: ratio("99%"),
            latency: None,
            sentinels: Vec::new(),
            hold: millis(300),
            within: millis(3_000),
        },
        phases: Phases {
            warmup: millis(200),
            baseline: millis(500),
            fault: millis(2_000),
            recovery_up_to: millis(2_000),
            settle: millis(200),
        },
        faults: vec![
            fault("down", 0),
            // This one outlives the system.
            FaultPlan { kind: "lasting-outage".into(), ..fault("slow", 400) },
        ],
        arms: vec![
            Arm { name: "fault".into(), faults: vec!["down".into(), "slow".into()] },
            Arm { name: "placebo".into(), faults: Vec::new() },
        ],
        trials: trials(),
        expectations: Vec::new(),
        safety: safety(),
        deadlines: Deadlines {
            open: millis(5_000),
            close: millis(2_000),
            reset: millis(500),
            arm: millis(500),
            inject: millis(500),
            revert: millis(500),
            collect: millis(1_000),
        },
        reports: Vec::new(),
    }
}

/// How many lines these bytes hold.
pub(crate) fn lines(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').count() - 1
}
