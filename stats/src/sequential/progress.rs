//! Walking along a design: where the cases seen so far leave the claim.
//!
//! It decides nothing about going on: a claim that can no longer pass is open until the caller
//! stops it, because a fail may still be worth the cases.

use super::boundary::Design;
use crate::decision::{Conclusion, State, Tally};

/// Where a claim stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Progress {
    /// The pass boundary is crossed.
    Passed,
    /// The fail boundary is crossed.
    Failed,
    /// All declared cases are used and no boundary is crossed.
    UsedUp,
    /// More cases are allowed.
    Open {
        /// Whether any boundary for a pass can still be reached. When not, stopping now for
        /// futility costs nothing but the chance of a fail.
        pass_possible: bool,
    },
}

impl Progress {
    /// The end that this stand means, were the run to stop here.
    pub fn conclusion(self) -> Conclusion {
        match self {
            Self::Passed => Conclusion::Pass,
            Self::Failed => Conclusion::Fail,
            Self::UsedUp | Self::Open { .. } => Conclusion::Inconclusive,
        }
    }
}

/// A walk along a design up to its stop, or up to the last case seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walk {
    /// Where the claim stands.
    pub progress: Progress,
    /// The number of cases used, up to the stop.
    pub cases: u32,
    /// The states of the cases used.
    pub tally: Tally,
}

impl Design {
    /// Walks through the cases in the order in which they were run, and stops at the first
    /// boundary; cases after it are not looked at.
    pub fn walk(&self, states: impl IntoIterator<Item = State>) -> Walk {
        let open = Progress::Open { pass_possible: true };
        let mut walk = Walk { progress: open, cases: 0, tally: Tally::default() };
        for state in states {
            walk.tally.add(state);
            walk.cases += 1;
            walk.progress = self.look(walk.cases, walk.tally);
            if !matches!(walk.progress, Progress::Open { .. }) {
                break;
            }
        }
        walk
    }

    fn look(&self, cases: u32, tally: Tally) -> Progress {
        let failures = tally.bad + tally.ambiguous;
        let few_enough = |most: Option<u32>| most.is_some_and(|most| failures <= u64::from(most));
        if few_enough(self.pass_failures_max(cases)) {
            return Progress::Passed;
        }
        if self.fail_failures_min(cases).is_some_and(|least| tally.bad >= u64::from(least)) {
            return Progress::Failed;
        }
        if cases == self.cases_max() {
            return Progress::UsedUp;
        }
        Progress::Open { pass_possible: few_enough(self.failures_max()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Design, Spending};
    use super::*;
    use crate::decision::{Claim, Levels};

    fn design() -> Design {
        let claim = Claim { share: 0.8, levels: Levels::FIVE_PERCENT };
        Design::new(claim, 18, Spending::Pocock)
    }

    fn rank(progress: Progress) -> u8 {
        match progress.conclusion() {
            Conclusion::Fail => 0,
            Conclusion::Inconclusive => 1,
            Conclusion::Pass => 2,
        }
    }

    /// Over every run of nine cases with three states: a worse case never gives a better end.
    #[test]
    fn a_worse_case_never_helps() {
        const CASES: u32 = 9;
        let claim = Claim { share: 0.5, levels: Levels::FIVE_PERCENT };
        let design = Design::new(claim, CASES, Spending::Pocock);
        let states = [State::Ok, State::Ambiguous, State::Bad];
        for code in 0..3_usize.pow(CASES) {
            let run: Vec<State> = (0..CASES).map(|at| states[code / 3_usize.pow(at) % 3]).collect();
            let here = rank(design.walk(run.iter().copied()).progress);
            for at in 0..run.len() {
                if run[at] == State::Bad {
                    continue;
                }
                let mut worse = run.clone();
                worse[at] = if run[at] == State::Ok { State::Ambiguous } else { State::Bad };
                let there = rank(design.walk(worse).progress);
                assert!(there <= here, "{run:?} at {at}");
            }
        }
    }

    #[test]
    fn cases_after_the_stop_are_not_looked_at() {
        let good = std::iter::repeat_n(State::Ok, 15);
        let walk = design().walk(good.chain(std::iter::repeat_n(State::Bad, 3)));
        assert_eq!((walk.progress, walk.cases), (Progress::Passed, 15));
        assert_eq!(walk.tally, Tally { ok: 15, bad: 0, ambiguous: 0 });
    }

    #[test]
    fn a_claim_out_of_reach_says_so() {
        let walk = design().walk([State::Ambiguous]);
        assert_eq!(walk.progress, Progress::Open { pass_possible: false });
    }
}
