//! What the planned trials can show: per expectation the chance of each verdict.

use harness_core::plan::{Expectation, Plan, TrialMode};
use stats::decimal::Decimal;
use stats::decision::{Claim, Levels};
use stats::planning;
use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Modify, Style};

/// True shares for which the chance of a pass is shown.
const TRUTHS: [f64; 3] = [1.0, 0.99, 0.95];

pub(super) fn lines(plan: &Plan) -> Vec<String> {
    let mut builder = Builder::default();
    builder.push_record([
        "expectation",
        "in at least",
        "confidence",
        "trials",
        "clean needed",
        "pass if 100 %",
        "if 99 %",
        "if 95 %",
    ]);
    let mut perfect = Vec::new();
    for expectation in &plan.expectations {
        let trials = trials_of(plan, expectation);
        let claim = claim_of(expectation);
        let needed = planning::clean_cases_needed(
            expectation.claim.in_at_least.as_f64(),
            1.0 - expectation.claim.confidence.as_f64(),
        );
        let mut row = vec![
            expectation.id.to_string(),
            expectation.claim.in_at_least.to_string(),
            expectation.claim.confidence.to_string(),
            trials.to_string(),
            needed.to_string(),
        ];
        for truth in TRUTHS {
            let chances = planning::chances(trials, claim, truth);
            row.push(format!("{:.0} %", 100.0 * chances.p_pass));
        }
        perfect.push(planning::chances(trials, claim, 1.0).p_pass);
        builder.push_record(row);
    }
    let mut table = builder.build();
    table.with(Style::blank()).with(Modify::new(Columns::new(1..)).with(Alignment::right()));
    let mut lines: Vec<_> =
        table.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
    if plan.trials.mode == TrialMode::Inferred {
        let inconclusive = 1.0 - planning::joint_power_at_least(&perfect);
        lines.push(format!(
            "chance of an inconclusive end for a perfect system: at most {:.0} %",
            100.0 * inconclusive.clamp(0.0, 1.0)
        ));
    }
    lines
}

/// Planned trials that an expectation is judged over.
fn trials_of(plan: &Plan, expectation: &Expectation) -> u64 {
    plan.trials.planned.iter().filter(|trial| expectation.arms.contains(&trial.arm)).count() as u64
}

fn claim_of(expectation: &Expectation) -> Claim {
    let alpha = expectation.claim.confidence.complement();
    let level = Decimal::from_billionths(alpha.billionths());
    let share = Decimal::from_billionths(expectation.claim.in_at_least.billionths());
    Claim { share: share.to_f64(), levels: Levels { pass: level.to_f64(), fail: level.to_f64() } }
}
