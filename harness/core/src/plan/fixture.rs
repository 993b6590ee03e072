//! A small plan for tests: two faults, arms `fault` and `placebo`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;
use crate::fault::{BlastRadius, Reversibility};
use crate::ids::{ArmName, FaultId, TrialIndex};
use crate::topology::Topology;
use crate::units::{Duration, Ratio};

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn witness() -> WitnessPlan {
    WitnessPlan { by: None, in_a_row: 3, every: ms(50), within: ms(1000) }
}

pub(crate) fn fault(id: &str, at: u64) -> FaultPlan {
    FaultPlan {
        id: FaultId::new(id),
        kind: "dependency-outage".into(),
        spec: Value::Null,
        at: ms(at),
        lasts: ms(1000),
        mechanism: "proxy".into(),
        reversibility: Reversibility::Reversible,
        radius: BlastRadius::default(),
        effective: witness(),
        reverted: witness(),
    }
}

fn trial(index: u32, arm: &str) -> TrialPlan {
    TrialPlan { index: TrialIndex(index), arm: ArmName::new(arm), seed: 1, delay: ms(0) }
}

#[expect(clippy::too_many_lines, reason = "a plan written out")]
pub(crate) fn plan(trials: &[&str]) -> Plan {
    let faults = vec![fault("first", 0), fault("second", 200)];
    let second = |s| Duration::from_secs(s);
    Plan {
        format: FORMAT.into(),
        scenario: ScenarioReference {
            name: "test".into(),
            title: String::new(),
            description: String::new(),
            owner: String::new(),
            sha256: String::new(),
            params: BTreeMap::new(),
        },
        seed: 7,
        system: SystemPlan {
            containers: None,
            kind: "lab".into(),
            name: "shop".into(),
            environment: "lab".into(),
            defects: BTreeMap::new(),
            topology: Topology::default(),
        },
        capabilities: BTreeMap::new(),
        load: LoadPlan {
            shape: Shape::Constant { rate: "100/s".parse().unwrap() },
            arrivals: Arrivals::Constant,
            timeout: second(2),
            mix: Vec::new(),
            feeds: BTreeMap::new(),
            good: vec![StatusRange { from: 200, to: 299 }],
            connections_max: 10,
            reuse: Reuse::Always {},
            in_flight_max: 100,
            timer: TimerMode::Precise,
            correlation: false,
            workers: 1,
            http2: false,
        },
        signals: Vec::new(),
        steady: SteadyPlan {
            success_at_least: Ratio::from_percent(99),
            latency: None,
            sentinels: Vec::new(),
            hold: ms(300),
            within: second(5),
        },
        phases: Phases {
            warmup: ms(200),
            baseline: ms(500),
            fault: ms(1200),
            recovery_up_to: second(3),
            settle: ms(200),
        },
        arms: vec![
            Arm {
                name: ArmName::new("fault"),
                faults: faults.iter().map(|fault| fault.id.clone()).collect(),
            },
            Arm { name: ArmName::new("placebo"), faults: Vec::new() },
        ],
        faults,
        trials: TrialsPlan {
            mode: TrialMode::Inferred,
            stop: StopRule::Fixed,
            count_min: 1,
            planned: (0..).zip(trials).map(|(index, arm)| trial(index, arm)).collect(),
            spare: vec![trial(100, "fault")],
            invalid_at_most: Ratio::from_percent(20),
            wall: second(600),
        },
        expectations: Vec::new(),
        safety: SafetyPlan {
            environments: vec!["lab".into()],
            radius: RadiusLimit { instances: 1, share: Ratio::ONE, edges: 1, max_for: second(60) },
            guardrails: vec![Guardrail {
                text: "success < 50% for 300ms".into(),
                guard: Guard::Success { is: Comparison::Below, than: Ratio::from_percent(50) },
                lasting: ms(300),
            }],
            lease: second(15),
            policy: Vec::new(),
            approvals: 0,
        },
        deadlines: Deadlines {
            open: second(10),
            close: second(10),
            reset: second(5),
            arm: second(2),
            inject: second(2),
            revert: second(5),
            collect: second(5),
        },
        reports: Vec::new(),
    }
}
