//! Arms and trials: how many, in which order, with which seeds. All randomness of a plan is here,
//! one stream of the seed per purpose, so that a change of one purpose leaves the others alone.

use harness_core::ids::{ArmName, FaultId, TrialIndex};
use harness_core::plan::{
    Against, Arm, Assertion, Expectation, Holds, Phases, StopRule, TrialMode, TrialPlan, TrialsPlan,
};
use harness_core::units::{Duration, Ratio};
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use stats::planning::{clean_cases_for_mean, clean_cases_needed};

use crate::ast::{ArmAst, Order, Spec, TRIALS_MAX};
use crate::codes;
use crate::findings::{Finding, Findings, did_you_mean};

use super::Context;
use super::expectations::Stated;
use super::faults::Faults;

/// The seed of a scenario that names none.
pub const SEED_DEFAULT: u64 = 1;
/// Excluded trials are replaced up to this share of an arm, rounded up.
pub const SPARE_PERCENT: u64 = 20;
/// The longest time by which a baseline is lengthened at random.
pub const JITTER_MAX: Duration = Duration::from_millis(400);

/// Trials of an arm without a claim of its own.
const COUNT: u64 = 14;
/// Placebo trials that only show drift.
const PLACEBO: u64 = 5;
const INVALID_AT_MOST: Ratio = Ratio::from_percent(20);
const WALL: Duration = Duration::from_secs(30 * 60);

/// The streams of the seed.
#[derive(Clone, Copy)]
enum Purpose {
    Order = 1,
    TrialSeeds = 2,
    Jitter = 3,
}

fn stream(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut stream = ChaCha8Rng::seed_from_u64(seed);
    stream.set_stream(purpose as u64);
    stream
}

/// The seed of the plan.
pub(super) fn seed(spec: &Spec, context: &Context<'_>) -> u64 {
    let said = spec.trials.seed.as_ref().map(|seed| seed.value);
    context.seed.or(said).unwrap_or(SEED_DEFAULT)
}

/// How many trials without a fault are asked for, where that is said.
fn placebo_said(spec: &Spec, context: &Context<'_>) -> Option<u64> {
    let written = spec.trials.placebo.as_ref().map(|placebo| placebo.value);
    context.placebo.map(u64::from).or(written)
}

/// The arms as said; else one with all faults, and a placebo.
pub(super) fn arms(
    spec: &Spec,
    context: &Context<'_>,
    faults: &Faults,
    findings: &mut Findings,
) -> Vec<Arm> {
    let all = || faults.names.iter().map(|name| FaultId::new(&name.value)).collect::<Vec<_>>();
    let trials = &spec.trials;
    let Some(said) = &trials.arms else {
        let mut arms = Vec::new();
        if !faults.names.is_empty() {
            arms.push(Arm { name: ArmName::new("fault"), faults: all() });
        }
        if arms.is_empty() || placebo_said(spec, context).is_none_or(|count| count > 0) {
            arms.push(Arm { name: ArmName::new("placebo"), faults: Vec::new() });
        }
        return arms;
    };
    let arms: Vec<Arm> = said
        .iter()
        .map(|arm| Arm {
            name: ArmName::new(&arm.name.value),
            faults: arm_faults(arm, faults, findings).unwrap_or_else(all),
        })
        .collect();
    if let Some(placebo) = &trials.placebo
        && placebo.value > 0
        && !arms.iter().any(Arm::is_placebo)
    {
        findings.push(
            Finding::error(
                codes::IMPOSSIBLE_TRIALS,
                placebo.span,
                "there is no arm without faults for the placebo trials",
            )
            .hint("add `placebo: {faults: none}` under `arms`"),
        );
    }
    arms
}

fn arm_faults(arm: &ArmAst, faults: &Faults, findings: &mut Findings) -> Option<Vec<FaultId>> {
    let said = arm.faults.as_ref()?;
    let mut chosen = Vec::new();
    for name in said {
        if faults.names.iter().any(|known| known.value == name.value) {
            chosen.push(FaultId::new(&name.value));
            continue;
        }
        let known = faults.names.iter().map(|known| known.value.as_str());
        let message = format!("there is no fault `{}`", name.value);
        findings.push(
            Finding::error(codes::UNKNOWN_REFERENCE, name.span, message)
                .hint(did_you_mean(&name.value, known)),
        );
    }
    Some(chosen)
}

/// Draws the trials.
pub(super) fn lower(
    spec: &Spec,
    context: &Context<'_>,
    arms: &[Arm],
    expectations: &[Stated],
    phases: Phases,
    findings: &mut Findings,
) -> TrialsPlan {
    let trials = &spec.trials;
    let mode =
        context.mode.or(trials.mode.as_ref().map(|mode| mode.value)).unwrap_or(TrialMode::Inferred);
    let wanted = Wanted { spec, context, mode, arms, expectations };
    let counts = counts(&wanted, findings);
    if mode == TrialMode::Inferred {
        warn_of_few(arms, &counts, expectations, spec, findings);
    }
    let seed = seed(spec, context);
    let shuffled = trials.order.as_ref().is_none_or(|order| order.value == Order::Shuffled);
    let order = if shuffled { shuffle(&counts, seed) } else { in_turn(&counts) };
    let spare_counts: Vec<u64> =
        counts.iter().map(|count| (count * SPARE_PERCENT).div_ceil(100)).collect();
    let spare_order = in_turn(&spare_counts);
    let mut seeds = stream(seed, Purpose::TrialSeeds);
    let mut jitter = stream(seed, Purpose::Jitter);
    let mut drawn = order.iter().chain(&spare_order).enumerate().map(|(index, arm)| TrialPlan {
        index: TrialIndex(u32::try_from(index).expect("arms and trials are bounded")),
        arm: arms[*arm].name.clone(),
        seed: seeds.next_u64(),
        delay: Duration::from_millis(jitter.random_range(0..=JITTER_MAX.millis())),
    });
    let planned: Vec<TrialPlan> = drawn.by_ref().take(order.len()).collect();
    let spare: Vec<TrialPlan> = drawn.collect();
    let wall = trials.wall.as_ref().map_or(WALL, |wall| wall.value);
    check_wall(spec, planned.len(), phases, wall, findings);
    let stop = trials.stop.as_ref().map_or(StopRule::Fixed, |stop| stop.value);
    check_range(spec, stop, findings);
    let count_min = match (stop, &trials.count) {
        (StopRule::Sequential, Some((min, _))) => u32::try_from(min.value).unwrap_or(u32::MAX),
        (StopRule::Sequential | StopRule::Fixed, _) => 1,
    };
    TrialsPlan {
        mode,
        stop,
        count_min,
        planned,
        spare,
        invalid_at_most: trials
            .invalid_at_most
            .as_ref()
            .map_or(INVALID_AT_MOST, |share| share.value),
        wall,
    }
}

/// What the numbers of trials come from.
struct Wanted<'a> {
    spec: &'a Spec,
    context: &'a Context<'a>,
    mode: TrialMode,
    arms: &'a [Arm],
    expectations: &'a [Stated],
}

/// How many trials each arm has. Those without a fault come last, for they may have to match those
/// with one.
fn counts(wanted: &Wanted<'_>, findings: &mut Findings) -> Vec<u64> {
    let of_kind = |placebo: bool| {
        let arms = wanted.arms.iter().enumerate();
        arms.filter(move |(_, arm)| arm.is_placebo() == placebo)
    };
    let mut counts = vec![0; wanted.arms.len()];
    for (place, arm) in of_kind(false) {
        counts[place] = count(arm, 0, wanted, findings);
    }
    let with_fault: u64 = counts.iter().sum();
    let paired = wanted.expectations.iter().any(|(_, one)| is_paired(one));
    for (place, arm) in of_kind(true) {
        counts[place] = count(arm, if paired { with_fault } else { 0 }, wanted, findings);
    }
    counts
}

/// Whether each trial needs a placebo of its own.
fn is_paired(expectation: &Expectation) -> bool {
    matches!(expectation.assertion, Assertion::Degradation { against: Against::Placebo, .. })
}

/// How many trials an arm has: as said, else as many as its claims need, and at least as many as
/// it is paired with.
fn count(arm: &Arm, paired: u64, wanted: &Wanted<'_>, findings: &mut Findings) -> u64 {
    let Wanted { spec, context, mode, arms, expectations } = *wanted;
    let trials = &spec.trials;
    let needed = needed(arm, arms, expectations);
    let lone = spec.faults.is_empty();
    let said = if arm.is_placebo() && !lone {
        placebo_said(spec, context)
    } else {
        trials.count.as_ref().map(|(_, max)| max.value)
    };
    let default = if arm.is_placebo() && !lone {
        // Only what is claimed about the placebo itself needs more than a look at drift.
        needed.unwrap_or(0).max(PLACEBO).max(paired)
    } else {
        needed.unwrap_or(COUNT)
    };
    let default = if mode == TrialMode::Observed { default.min(COUNT) } else { default };
    let count = said.unwrap_or(default);
    let count = match context.trials.map(u64::from) {
        Some(wanted) if arm.is_placebo() && !lone => match context.placebo {
            Some(_) => count,
            None => count.min(wanted),
        },
        Some(wanted) => wanted,
        None => count,
    };
    if count > TRIALS_MAX || (count == 0 && !arm.is_placebo()) {
        let span = trials.place.unwrap_or(spec.metadata.name.span);
        let message = format!("the arm `{}` would have {count} trials", arm.name);
        findings.push(
            Finding::error(codes::IMPOSSIBLE_TRIALS, span, message)
                .label(format!("from 1 to {TRIALS_MAX}"))
                .hint("set `count`, or claim a smaller `inAtLeast`"),
        );
        return 0;
    }
    count
}

/// The fewest clean trials that can prove what is claimed over an arm. What is claimed over a
/// placebo and other arms together is proven by the others' trials.
fn needed(arm: &Arm, arms: &[Arm], expectations: &[Stated]) -> Option<u64> {
    let about = expectations.iter().map(|(_, expectation)| expectation);
    about
        .filter(|expectation| expectation.arms.contains(&arm.name))
        .filter(|expectation| !arm.is_placebo() || is_over_placebo(expectation, arms))
        .map(clean)
        .max()
}

/// Whether all arms of an expectation inject nothing.
fn is_over_placebo(expectation: &Expectation, arms: &[Arm]) -> bool {
    arms.iter().filter(|arm| expectation.arms.contains(&arm.name)).all(Arm::is_placebo)
}

fn clean(expectation: &Expectation) -> u64 {
    let alpha = expectation.claim.confidence.complement().as_f64();
    match expectation.claim.holds {
        Holds::InAtLeast(share) => clean_cases_needed(share.as_f64(), alpha),
        Holds::OnAverage { .. } => expectation
            .mean_and_cap()
            .map_or(COUNT, |(mean, cap)| clean_cases_for_mean(mean, cap, alpha)),
        // Any number of trials gives a run its value.
        Holds::OverRuns => 1,
    }
}

/// Says when even perfect trials cannot prove a claim.
fn warn_of_few(
    arms: &[Arm],
    counts: &[u64],
    expectations: &[Stated],
    spec: &Spec,
    findings: &mut Findings,
) {
    for (span, expectation) in expectations {
        let needed = clean(expectation);
        let count_of = |chosen: &dyn Fn(&Arm) -> bool| -> u64 {
            arms.iter().zip(counts).filter(|(arm, _)| chosen(arm)).map(|(_, count)| count).sum()
        };
        let own = count_of(&|arm| expectation.arms.contains(&arm.name));
        let placebo = count_of(&|arm| arm.is_placebo());
        let pairs_lack = is_paired(expectation) && placebo < own;
        let trials = if pairs_lack { placebo } else { own };
        if trials >= needed {
            continue;
        }
        let lone = spec.faults.is_empty();
        let quiet = pairs_lack || (is_over_placebo(expectation, arms) && !lone);
        let key = if quiet { "placebo" } else { "count" };
        let said = if quiet {
            spec.trials.placebo.as_ref().map(|placebo| placebo.span)
        } else {
            spec.trials.count.as_ref().map(|(_, max)| max.span)
        };
        findings.push(
            Finding::warning(
                codes::FEW_TRIALS,
                said.unwrap_or(*span),
                format!("{trials} trials cannot prove `{}`", expectation.id),
            )
            .label(format!("{} takes {needed}", what_is_claimed(expectation)))
            .hint(format!("write `{key}: {needed}`, or expect an inconclusive verdict")),
        );
    }
}

fn what_is_claimed(expectation: &Expectation) -> String {
    let confidence = expectation.claim.confidence;
    match expectation.claim.holds {
        Holds::InAtLeast(share) => format!("{share} with {confidence} confidence"),
        Holds::OnAverage { .. } => format!("a mean with {confidence} confidence"),
        Holds::OverRuns => format!("a comparison of runs with {confidence} confidence"),
    }
}

/// Permuted blocks: as many blocks as the smallest arm has trials, each holding every arm in its
/// share and shuffled within, so that no arm gathers at one end of the run.
fn shuffle(counts: &[u64], seed: u64) -> Vec<usize> {
    let mut random = stream(seed, Purpose::Order);
    let blocks = counts.iter().copied().filter(|count| *count > 0).min().unwrap_or(0);
    let mut order = Vec::new();
    for block in 0..blocks {
        let mut members: Vec<usize> = Vec::new();
        for (arm, count) in counts.iter().enumerate() {
            let share = count * (block + 1) / blocks - count * block / blocks;
            members.extend((0..share).map(|_| arm));
        }
        members.shuffle(&mut random);
        order.extend(members);
    }
    order
}

/// One of each arm after the other until all are used up.
fn in_turn(counts: &[u64]) -> Vec<usize> {
    let most = counts.iter().copied().max().unwrap_or(0);
    (0..most).flat_map(|round| (0..counts.len()).filter(move |arm| counts[*arm] > round)).collect()
}

/// A range of counts only means something to a run that may stop early.
fn check_range(spec: &Spec, stop: StopRule, findings: &mut Findings) {
    let Some((min, max)) = &spec.trials.count else { return };
    if stop == StopRule::Fixed && min.value != max.value {
        findings.push(
            Finding::error(
                codes::IMPOSSIBLE_TRIALS,
                min.span,
                "a fixed number of trials cannot be a range",
            )
            .hint("write `stop: sequential` beside it, or one number")
            .related(max.span, "the other end"),
        );
    }
}

/// Refuses when the trials cannot end in time even if every recovery takes no time at all.
fn check_wall(spec: &Spec, trials: usize, phases: Phases, wall: Duration, findings: &mut Findings) {
    let shortest = phases.longest().saturating_sub(phases.recovery_up_to);
    let all = shortest.times(trials as u64);
    if all <= wall {
        return;
    }
    let said = spec.trials.wall.as_ref().map(|wall| wall.span);
    let span = said.or(spec.trials.place).unwrap_or(spec.metadata.name.span);
    findings.push(
        Finding::error(
            codes::IMPOSSIBLE_TRIALS,
            span,
            format!("{trials} trials take at least {all}, and the run ends after {wall}"),
        )
        .hint(format!("write `wall: {all}` or longer, or fewer trials")),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_interleave_the_arms() {
        for seed in 0..50 {
            let order = shuffle(&[14, 5], seed);
            assert_eq!(order.iter().filter(|arm| **arm == 0).count(), 14);
            assert_eq!(order.iter().filter(|arm| **arm == 1).count(), 5);
            let first_placebo = order.iter().position(|arm| *arm == 1).unwrap();
            assert!(first_placebo < 4, "{order:?}");
        }
        assert_ne!(shuffle(&[14, 5], 1), shuffle(&[14, 5], 2));
        assert_eq!(in_turn(&[3, 1]), [0, 1, 0, 0]);
    }
}
