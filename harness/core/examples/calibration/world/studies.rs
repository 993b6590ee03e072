//! The studies: what is simulated, and what must be seen. The short test and the long table run
//! the same ones.

use harness_core::plan::StopRule;
use stats::decision::{Claim, Levels};
use stats::planning::{chances, joint_power_at_least};
use stats::sequential::{Design, Futility, Spending};

use super::family::Family;
use super::study::{CLAIMED, Expectation, Study};

/// The alternative at which power is promised, and how good the others are in a joint study.
const GOOD: f64 = 0.95;
const OTHERS: f64 = 0.97;
/// A system that should be found out.
const BAD: f64 = 0.5;
/// The families that are judged together.
const TOGETHER: [Family; 7] = [
    Family::SuccessRateShared,
    Family::Latency,
    Family::Restore,
    Family::Detection,
    Family::Invariant,
    Family::Acts,
    Family::Telemetry,
];

/// How many trials a run has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// A fixed number.
    pub(crate) fixed: u32,
    /// The maximum with early stopping.
    pub(crate) sequential: u32,
    /// The maximum with several expectations together.
    pub(crate) together: u32,
}

/// A group of studies under one heading.
pub(crate) struct Group {
    pub(crate) heading: &'static str,
    /// It needs one in so many runs: a wide promise is checked with fewer.
    pub(crate) one_run_in: u64,
    pub(crate) studies: Vec<Study>,
}

/// All studies.
pub(crate) fn studies(sizes: Sizes) -> Vec<Group> {
    let group = |heading, one_run_in, studies| Group { heading, one_run_in, studies };
    vec![
        group("At the boundary of the claim", 1, boundary(sizes)),
        group("Invalid trials, and a system that changes", 1, disturbed(sizes)),
        group("Power", 4, power(sizes)),
        group("Seven expectations together", 4, together(sizes)),
    ]
}

fn one(family: Family, truth: f64, (trials, stop): (u32, StopRule)) -> Study {
    Study {
        words: family.words().to_owned(),
        truths: vec![(family, truth)],
        shared: 0.0,
        trials,
        stop,
        invalid: 0.0,
        trend: 0.0,
        expected: Expectation::BothWrong,
    }
}

impl Sizes {
    fn designs(self) -> [(u32, StopRule); 2] {
        [(self.fixed, StopRule::Fixed), (self.sequential, StopRule::Sequential)]
    }
}

fn boundary(sizes: Sizes) -> Vec<Study> {
    let of = |family: Family| {
        sizes.designs().map(|design| {
            let expected = match family {
                // One violation is a fail by declaration, not by chance.
                never if never.is_never() => Expectation::PassWrong,
                _ => Expectation::BothWrong,
            };
            Study { expected, ..one(family, CLAIMED, design) }
        })
    };
    Family::ALL.into_iter().flat_map(of).collect()
}

fn disturbed(sizes: Sizes) -> Vec<Study> {
    let families = [
        Family::SuccessRate,
        Family::Restore,
        Family::Detection,
        Family::DegradationDrift,
        Family::CostPerSuccess,
    ];
    let invalid = families.into_iter().flat_map(|family| {
        sizes.designs().map(|design| {
            let words = format!("{}; 4 % excluded, 4 % ambiguous", family.words());
            Study { words, invalid: 0.04, ..one(family, CLAIMED, design) }
        })
    });
    let trend = [Family::Invariant, Family::Acts].map(|family| {
        let words = format!("{}; grows from 65 % to 95 % over the run", family.words());
        Study { words, trend: 0.15, ..one(family, CLAIMED, sizes.designs()[0]) }
    });
    invalid.chain(trend).collect()
}

fn claim() -> Claim {
    Claim { share: CLAIMED, levels: Levels::FIVE_PERCENT }
}

fn power(sizes: Sizes) -> Vec<Study> {
    let fixed = |truth| chances(u64::from(sizes.fixed), claim(), truth);
    let design = Design::new(claim(), sizes.sequential, Spending::Pocock);
    let sequential = design.characteristics(GOOD, Futility::Stop).p_pass;
    let first_pass = (1..=sizes.sequential).find(|n| design.pass_failures_max(*n).is_some());
    let clean = first_pass.unwrap_or(sizes.sequential);
    let of = |family: Family| {
        let exact = match family {
            // It passes when there was no violation at all.
            never if never.is_never() => {
                [GOOD.powf(f64::from(sizes.fixed)), GOOD.powf(f64::from(clean))]
            }
            _ => [fixed(GOOD).p_pass, sequential],
        };
        let mut studies = vec![Study {
            expected: Expectation::Power(1.0),
            ..one(family, 1.0, (family.clean_trials(), StopRule::Fixed))
        }];
        studies.extend(sizes.designs().into_iter().zip(exact).map(|(design, exact)| {
            let expected = if family.is_sharp() {
                Expectation::Power(exact)
            } else {
                Expectation::PowerAtLeast((exact - family.power_loss_max()).max(0.0))
            };
            Study { expected, ..one(family, GOOD, design) }
        }));
        studies
    };
    // Aborted trials are ambiguous, and so are those that the meter did not see: too many of them
    // settle nothing, so no fail is promised there, nor where runs are compared.
    let promised = |family: &Family| {
        let unpromised = [Family::RestoreAborted, Family::CostRateUnseen, Family::Regression];
        !unpromised.contains(family)
    };
    let judged = Family::ALL.into_iter().filter(promised);
    let found_out = judged.map(|family| {
        let least = fixed(BAD).p_fail - if family.is_sharp() { 0.0 } else { 0.2 };
        Study { expected: Expectation::FailAtLeast(least), ..one(family, BAD, sizes.designs()[0]) }
    });
    Family::ALL.into_iter().flat_map(of).chain(found_out).collect()
}

fn together(sizes: Sizes) -> Vec<Study> {
    let joint = |words: &str, truths: Vec<(Family, f64)>, design: (u32, StopRule)| Study {
        words: words.to_owned(),
        truths,
        shared: 0.5,
        trials: design.0,
        stop: design.1,
        invalid: 0.0,
        trend: 0.0,
        expected: Expectation::NamingWrong,
    };
    let all = |truth: f64| TOGETHER.map(|family| (family, truth)).to_vec();
    let mut studies: Vec<Study> = TOGETHER
        .iter()
        .map(|weak| {
            let truths = TOGETHER
                .map(|family| (family, if family == *weak { CLAIMED } else { OTHERS }))
                .to_vec();
            let words = format!("just false: {}", weak.words());
            let expected = Expectation::PassWrong;
            Study { expected, ..joint(&words, truths, (sizes.together, StopRule::Sequential)) }
        })
        .collect();
    for design in [(sizes.fixed, StopRule::Fixed), (sizes.together, StopRule::Sequential)] {
        studies.push(joint("all at the boundary", all(CLAIMED), design));
    }
    let powers = TOGETHER.map(|family| {
        chances(u64::from(sizes.fixed), claim(), OTHERS).p_pass
            - if family.is_sharp() { 0.0 } else { family.power_loss_max() }
    });
    let expected = Expectation::PowerAtLeast(joint_power_at_least(&powers));
    let fixed = joint("all good (97 %)", all(OTHERS), (sizes.fixed, StopRule::Fixed));
    studies.push(Study { expected, ..fixed });
    studies
}
