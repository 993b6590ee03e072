//! What the planned trials can show: per expectation the chance of each verdict.

use harness_core::plan::{Expectation, Holds, Plan, StopRule, TrialMode};
use harness_core::units::Ratio;
use stats::decimal::Decimal;
use stats::decision::{Claim, Levels};
use stats::planning;
use stats::sequential::{DESIGN_CASES_MAX, Design, Futility, Spending};
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
    let mut notes = Vec::new();
    for expectation in &plan.expectations {
        let power = power(plan, expectation);
        let mut row = vec![
            expectation.id.to_string(),
            power.claimed,
            match plan.trials.mode {
                TrialMode::Inferred => expectation.claim.confidence.to_string(),
                TrialMode::Observed => "-".to_owned(),
            },
            trials_of(plan, expectation).to_string(),
            power.clean_needed.map_or_else(|| "-".to_owned(), |needed| needed.to_string()),
        ];
        let percent = |chance: Option<f64>| {
            chance.map_or_else(|| "-".to_owned(), |chance| format!("{:.0} %", 100.0 * chance))
        };
        row.extend(power.passes.map(percent));
        perfect.push(power.passes[0].unwrap_or(0.0));
        notes.extend(power.note);
        builder.push_record(row);
    }
    let mut table = builder.build();
    table.with(Style::blank()).with(Modify::new(Columns::new(1..)).with(Alignment::right()));
    let mut lines: Vec<_> =
        table.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
    lines.extend(notes);
    if plan.trials.mode == TrialMode::Inferred {
        let inconclusive = 1.0 - planning::joint_power_at_least(&perfect);
        lines.push(format!(
            "chance of an inconclusive end for a perfect system: at most {:.0} %",
            100.0 * inconclusive.clamp(0.0, 1.0)
        ));
    }
    lines
}

/// What the planned trials can show of one expectation.
struct Power {
    /// What is claimed, in a word.
    claimed: String,
    /// Trials without a flaw that prove it; `None` where no number of them does that is planned.
    clean_needed: Option<u64>,
    /// The chance of a pass by the true shares of [`TRUTHS`]; `None` where it is not one of them
    /// that decides.
    passes: [Option<f64>; 3],
    /// What the table cannot say.
    note: Option<String>,
}

fn power(plan: &Plan, expectation: &Expectation) -> Power {
    let trials = trials_of(plan, expectation);
    let alpha = expectation.claim.confidence.complement().as_f64();
    match expectation.claim.holds {
        Holds::InAtLeast(share) => in_share(plan, expectation, share),
        Holds::OnAverage { .. } => {
            let needed = expectation
                .mean_and_cap()
                .map(|(mean, cap)| planning::clean_cases_for_mean(mean, cap, alpha));
            let surely = |needed: u64| if trials >= needed { 1.0 } else { 0.0 };
            Power {
                claimed: "mean".to_owned(),
                clean_needed: needed,
                // With nothing lost at all; how much others lose decides beyond that.
                passes: [Some(needed.map_or(0.0, surely)), None, None],
                note: needed
                    .is_none()
                    .then(|| format!("{}: a mean without a cap never passes", expectation.id)),
            }
        }
        Holds::OverRuns => Power {
            claimed: "runs".to_owned(),
            clean_needed: None,
            passes: [None; 3],
            note: Some(format!(
                "{}: compared with stored runs, at least 5 of them; how much these differ decides",
                expectation.id
            )),
        },
    }
}

/// What can be shown of a share of incidents, by all trials or by a run that may stop early.
fn in_share(plan: &Plan, expectation: &Expectation, share: Ratio) -> Power {
    let trials = trials_of(plan, expectation);
    let claim = claim_of(share, expectation.claim.confidence);
    let is_never = expectation.assertion.is_never();
    let clean = |count: u64| move |truth: f64| truth.powf(count as f64);
    let (clean_needed, passes) = match (plan.trials.mode, plan.trials.stop) {
        // Compared plainly, it has to hold in every trial.
        (TrialMode::Observed, _) => (Some(trials), TRUTHS.map(clean(trials))),
        (TrialMode::Inferred, StopRule::Fixed) => {
            let needed = planning::clean_cases_needed(claim.share, claim.levels.pass);
            let chance = |truth| match (is_never, trials >= needed) {
                (true, true) => clean(trials)(truth),
                (true, false) => 0.0,
                (false, _) => planning::chances(trials, claim, truth).p_pass,
            };
            (Some(needed), TRUTHS.map(chance))
        }
        (TrialMode::Inferred, StopRule::Sequential) => {
            let claims = u32::try_from(plan.expectations.len()).unwrap_or(u32::MAX);
            let claim = Claim { levels: planning::levels_within(claim.levels, claims), ..claim };
            let most = u32::try_from(trials).unwrap_or(u32::MAX).clamp(1, DESIGN_CASES_MAX);
            let design = Design::new(claim, most, Spending::Pocock);
            let needed = (1..=most).find(|n| design.pass_failures_max(*n).is_some()).map(u64::from);
            let chance = |truth| match (is_never, needed) {
                (true, Some(needed)) => clean(needed)(truth),
                (true, None) => 0.0,
                (false, _) => design.characteristics(truth, Futility::Stop).p_pass,
            };
            (needed, TRUTHS.map(chance))
        }
    };
    let claimed = match plan.trials.mode {
        TrialMode::Inferred => share.to_string(),
        TrialMode::Observed => "all".to_owned(),
    };
    Power { claimed, clean_needed, passes: passes.map(Some), note: None }
}

/// Planned trials that an expectation is judged over.
fn trials_of(plan: &Plan, expectation: &Expectation) -> u64 {
    plan.trials.planned.iter().filter(|trial| expectation.arms.contains(&trial.arm)).count() as u64
}

fn claim_of(share: Ratio, confidence: Ratio) -> Claim {
    let level = Decimal::from_billionths(confidence.complement().billionths());
    let share = Decimal::from_billionths(share.billionths());
    Claim { share: share.to_f64(), levels: Levels { pass: level.to_f64(), fail: level.to_f64() } }
}
