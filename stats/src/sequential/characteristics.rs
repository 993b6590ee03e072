//! What a design does when the truth is known: the exact chances of each end and the expected
//! number of cases, for the planner.

use super::boundary::{Design, step};
use crate::special::Chance;

/// Whether a run goes on when a pass is out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Futility {
    /// It goes on, because a fail may still be found.
    GoOn,
    /// It stops without a conclusion.
    Stop,
}

/// The exact chances of the ends of a design at one truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Characteristics {
    /// The chance of a pass: the power when the claim is true, the error when it is false.
    pub p_pass: f64,
    /// The chance of a fail.
    pub p_fail: f64,
    /// The chance of no conclusion.
    pub p_inconclusive: f64,
    /// The mean number of cases up to the stop.
    pub cases_expected: f64,
}

impl Design {
    /// The chances of each end when a case is ok with probability `truth`, both boundaries active
    /// and no ambiguous cases.
    ///
    /// # Panics
    /// If `truth` is not between 0 and 1.
    pub fn characteristics(&self, truth: f64, futility: Futility) -> Characteristics {
        assert!((0.0..=1.0).contains(&truth), "a probability lies between 0 and 1");
        let ok = Chance::new(truth);
        let cases_max = self.cases_max();
        let mut reach = vec![0.0; size(cases_max) + 1];
        reach[0] = 1.0;
        let mut found =
            Characteristics { p_pass: 0.0, p_fail: 0.0, p_inconclusive: 0.0, cases_expected: 0.0 };
        for cases in 1..=cases_max {
            let live = &mut reach[..=size(cases)];
            step(live, 0, ok);
            let passing = self.pass_failures_max(cases).map_or(0, |most| size(most) + 1);
            let failing = self.fail_failures_min(cases).map_or(live.len(), size);
            let passed: f64 = live[..passing].iter_mut().map(std::mem::take).sum();
            let failed: f64 = live[failing..].iter_mut().map(std::mem::take).sum();
            let hopeless = match futility {
                Futility::GoOn => live.len(),
                Futility::Stop => self.failures_max().map_or(0, |most| size(most) + 1),
            };
            let from = if cases == cases_max { 0 } else { hopeless.min(live.len()) };
            let stopped: f64 = live[from..].iter_mut().map(std::mem::take).sum();
            found.p_pass += passed;
            found.p_fail += failed;
            found.p_inconclusive += stopped;
            found.cases_expected += f64::from(cases) * (passed + failed + stopped);
        }
        found
    }
}

fn size(count: u32) -> usize {
    usize::try_from(count).expect("a count of cases fits")
}

#[cfg(test)]
mod tests {
    use super::super::Spending;
    use super::*;
    use crate::decision::{Claim, Levels};

    /// The published exact results of the method: power and cases at the alternative.
    #[test]
    fn known_designs() {
        for (share, alternative, cases_max, power, cases) in [
            (0.8, 0.95, 55, 0.919, 28.2),
            (0.9, 0.98, 95, 0.920, 51.4),
            (0.95, 0.99, 192, 0.914, 104.8),
            (0.5, 0.8, 29, 0.933, 14.1),
        ] {
            let claim = Claim { share, levels: Levels::FIVE_PERCENT };
            let design = Design::new(claim, cases_max, Spending::Pocock);
            let found = design.characteristics(alternative, Futility::Stop);
            assert!((found.p_pass - power).abs() < 6e-4, "{share}: {found:?}");
            assert!((found.cases_expected - cases).abs() < 0.06, "{share}: {found:?}");
        }
    }

    /// The error of each end at the edge of the claim, enumerated over the whole design.
    #[test]
    fn wrong_ends_are_as_rare_as_promised() {
        for share in [0.5, 0.8, 0.9, 0.95, 0.99] {
            for cases_max in [5, 14, 70, 300] {
                let claim = Claim { share, levels: Levels::FIVE_PERCENT };
                let design = Design::new(claim, cases_max, Spending::Pocock);
                let edge = design.characteristics(share, Futility::GoOn);
                assert!(edge.p_pass <= 0.05 && edge.p_fail <= 0.05, "{share} {edge:?}");
                let sum = edge.p_pass + edge.p_fail + edge.p_inconclusive;
                assert!((sum - 1.0).abs() < 1e-12);
            }
        }
    }
}
