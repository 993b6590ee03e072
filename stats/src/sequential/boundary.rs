//! The boundaries of a sequential design, found by dynamic programming over the number of
//! failures.
//!
//! Each boundary is calibrated as if the other did not exist: crossing either is valid on its own,
//! and stopping early for any other reason only lowers the error. Alpha spending after Lan and
//! De Mets, "Discrete sequential boundaries for clinical trials" (1983), made exact for counts.

use crate::decision::{Claim, Levels};
use crate::special::Chance;
use statrs::distribution::{ContinuousCDF, Normal};

/// The most cases of a design; the work grows with the square.
pub const DESIGN_CASES_MAX: u32 = 10_000;

/// How the accepted chance of a wrong end is spread over the looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spending {
    /// `alpha ln(1 + (e - 1) t)`: nearly the same boundary at every look. The default choice: it
    /// saves most cases where the system is good.
    Pocock,
    /// `2 (1 - Φ(z / √t))` with `z` the upper `alpha / 2` point: nearly nothing early on, a little
    /// more power at the end.
    ObrienFleming,
    /// `alpha t²`, between the two.
    Quadratic,
}

impl Spending {
    /// What may be spent of `alpha` when the share `time` of all cases is done.
    fn spent(self, alpha: f64, time: f64) -> f64 {
        match self {
            Self::Pocock => alpha * ((std::f64::consts::E - 1.0) * time).ln_1p(),
            Self::ObrienFleming => {
                let normal = Normal::standard();
                let edge = -normal.inverse_cdf(alpha / 2.0);
                2.0 * normal.cdf(-edge / time.sqrt())
            }
            Self::Quadratic => alpha * time * time,
        }
    }
}

/// A claim with the boundaries that decide it after every case.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    claim: Claim,
    spending: Spending,
    pass: Vec<Option<u32>>,
    fail: Vec<Option<u32>>,
    spent: Levels,
}

impl Design {
    /// The design for at most `cases_max` cases.
    ///
    /// # Panics
    /// If `cases_max` is zero or above [`DESIGN_CASES_MAX`], or the share or a level of the claim
    /// is not strictly between 0 and 1.
    pub fn new(claim: Claim, cases_max: u32, spending: Spending) -> Self {
        assert!(
            (1..=DESIGN_CASES_MAX).contains(&cases_max),
            "a design has between 1 and {DESIGN_CASES_MAX} cases, not {cases_max}"
        );
        assert!(claim.share > 0.0 && claim.share < 1.0, "a share lies between 0 and 1");
        let ok = Chance::new(claim.share);
        let passing = boundary(ok, cases_max, |time| spending.spent(claim.levels.pass, time));
        let failing =
            boundary(ok.swapped(), cases_max, |time| spending.spent(claim.levels.fail, time));
        // The fail boundary is the pass boundary of the opposite claim: few enough ok cases.
        let fail = (1..)
            .zip(&failing.counts)
            .map(|(cases, most_ok)| most_ok.map(|most_ok| cases - most_ok));
        Self {
            claim,
            spending,
            fail: fail.collect(),
            pass: passing.counts,
            spent: Levels { pass: passing.spent, fail: failing.spent },
        }
    }

    /// The claim that is decided.
    pub fn claim(&self) -> Claim {
        self.claim
    }

    /// How the levels are spread over the looks.
    pub fn spending(&self) -> Spending {
        self.spending
    }

    /// The declared maximum of cases.
    pub fn cases_max(&self) -> u32 {
        u32::try_from(self.pass.len()).expect("at most DESIGN_CASES_MAX cases")
    }

    /// The most failures (bad or ambiguous) among the first `cases` with which the claim passes;
    /// `None` when it cannot pass there.
    ///
    /// # Panics
    /// If `cases` is zero or above the maximum of the design.
    pub fn pass_failures_max(&self, cases: u32) -> Option<u32> {
        self.pass[index(cases)]
    }

    /// The fewest failures (bad for sure) among the first `cases` with which the claim fails;
    /// `None` when it cannot fail there.
    ///
    /// # Panics
    /// If `cases` is zero or above the maximum of the design.
    pub fn fail_failures_min(&self, cases: u32) -> Option<u32> {
        self.fail[index(cases)]
    }

    /// The chances of a wrong end that the boundaries really have, each alone.
    pub fn spent(&self) -> Levels {
        self.spent
    }

    /// What may be spent at this very look, of each level.
    pub(super) fn levels_at(&self, cases: u32) -> Levels {
        let time = |cases: u32| f64::from(cases) / f64::from(self.cases_max());
        let share = |alpha: f64| {
            let until = |cases| self.spending.spent(alpha, time(cases));
            let before = if cases > 1 { until(cases - 1) } else { 0.0 };
            (until(cases) - before).max(f64::MIN_POSITIVE)
        };
        let Levels { pass, fail } = self.claim.levels;
        Levels { pass: share(pass), fail: share(fail) }
    }

    /// The most failures with which a pass is possible at all: those allowed at the end.
    pub(super) fn failures_max(&self) -> Option<u32> {
        self.pass.last().copied().flatten()
    }
}

fn index(cases: u32) -> usize {
    usize::try_from(cases).expect("a count of cases fits") - 1
}

/// One boundary: per number of cases the most failures that cross it, and the chance of crossing.
struct Boundary {
    counts: Vec<Option<u32>>,
    spent: f64,
}

/// The boundary for "few failures", when a case is ok with the chance `ok`.
fn boundary(ok: Chance, cases_max: u32, spending: impl Fn(f64) -> f64) -> Boundary {
    let most = usize::try_from(cases_max).expect("a count of cases fits");
    let mut reach = vec![0.0; most + 1];
    reach[0] = 1.0;
    let (mut spent, mut crossed) = (0.0, 0);
    let mut counts = Vec::with_capacity(most);
    for cases in 1..=most {
        step(&mut reach[..=cases], crossed, ok);
        let room = spending(cases as f64 / most as f64) - spent;
        let mut below = 0.0;
        for (failures, chance) in reach.iter().enumerate().take(cases + 1).skip(crossed) {
            below += chance;
            if below > room {
                break;
            }
            crossed = failures + 1;
        }
        for chance in &mut reach[..crossed] {
            spent += std::mem::take(chance);
        }
        let allowed = crossed.checked_sub(1);
        counts.push(allowed.map(|most| u32::try_from(most).expect("at most cases_max")));
    }
    Boundary { counts, spent }
}

/// Moves the chances of each number of failures by one more case. Nothing lives below `from`.
pub(super) fn step(reach: &mut [f64], from: usize, ok: Chance) {
    for failures in (from..reach.len()).rev() {
        let before = if failures > 0 { reach[failures - 1] } else { 0.0 };
        reach[failures] = reach[failures] * ok.yes + before * ok.no;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(share: f64) -> Claim {
        Claim { share, levels: Levels::FIVE_PERCENT }
    }

    #[test]
    fn a_small_maximum_equals_the_fixed_plan() {
        let design = Design::new(claim(0.8), 14, Spending::Pocock);
        assert!((1..14).all(|cases| design.pass_failures_max(cases).is_none()));
        assert_eq!(design.pass_failures_max(14), Some(0));
    }

    #[test]
    fn boundaries_are_monotone_and_keep_their_level() {
        for spending in [Spending::Pocock, Spending::ObrienFleming, Spending::Quadratic] {
            for share in [0.5, 0.8, 0.95] {
                let design = Design::new(claim(share), 70, spending);
                let spent = design.spent();
                assert!(spent.pass <= 0.05 && spent.fail <= 0.05, "{spending:?} {spent:?}");
                for cases in 2..=70 {
                    let before = design.pass_failures_max(cases - 1);
                    assert!(design.pass_failures_max(cases) >= before);
                    let fail = design.fail_failures_min(cases).unwrap_or(u32::MAX);
                    assert!(fail > design.pass_failures_max(cases).unwrap_or(0));
                }
            }
        }
    }

    /// From the exact results of the method: the first pass with no failure at all.
    #[test]
    fn a_perfect_system_stops_early() {
        for (share, cases_max, first) in [(0.8, 55, 18), (0.9, 95, 36), (0.95, 192, 73)] {
            let design = Design::new(claim(share), cases_max, Spending::Pocock);
            let found = (1..=cases_max).find(|cases| design.pass_failures_max(*cases).is_some());
            assert_eq!(found, Some(first), "{share}");
        }
    }

    #[test]
    fn two_thousand_cases_are_quick() {
        let design = Design::new(claim(0.99), 2000, Spending::Pocock);
        assert!(design.spent().pass > 0.04);
    }
}
