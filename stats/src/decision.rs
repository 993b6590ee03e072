//! The three-way decision on "at least this share of cases is ok", by exact binomial tails.
//!
//! This is the one rule behind every family of claims. It knows states and counts only: what made
//! a case ok, bad or ambiguous was decided before. Ambiguous cases stand against both ends: they
//! count as bad for a pass and as ok for a fail.

use crate::binomial;
use crate::decimal::{Decimal, Share};

/// What one case showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// The condition held for sure.
    Ok,
    /// The condition was broken for sure.
    Bad,
    /// The evidence allows both.
    Ambiguous,
}

impl State {
    /// The state of a case whose condition is that a share meets a target, compared exactly; `None`
    /// when nothing was observed.
    pub fn of_share(good: Share, target: Decimal) -> Option<Self> {
        good.meets(target).map(|met| if met { Self::Ok } else { Self::Bad })
    }
}

/// The end of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Conclusion {
    /// The claim is supported at the level for a pass.
    Pass,
    /// Neither side is supported.
    Inconclusive,
    /// The opposite of the claim is supported at the level for a fail.
    Fail,
}

/// How many cases ended in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Tally {
    /// Cases in which the condition held for sure.
    pub ok: u64,
    /// Cases in which the condition was broken for sure.
    pub bad: u64,
    /// Cases that allow both.
    pub ambiguous: u64,
}

impl Tally {
    /// How many cases there are.
    pub fn cases(self) -> u64 {
        self.ok + self.bad + self.ambiguous
    }

    /// The count that speaks for a pass: ok for sure.
    pub fn surely_ok(self) -> Share {
        Share { part: self.ok, whole: self.cases() }
    }

    /// The count that speaks against a fail: ok, or possibly ok.
    pub fn possibly_ok(self) -> Share {
        Share { part: self.ok + self.ambiguous, whole: self.cases() }
    }

    /// One more case.
    pub fn add(&mut self, state: State) {
        match state {
            State::Ok => self.ok += 1,
            State::Bad => self.bad += 1,
            State::Ambiguous => self.ambiguous += 1,
        }
    }
}

impl FromIterator<State> for Tally {
    fn from_iter<I: IntoIterator<Item = State>>(states: I) -> Self {
        let mut tally = Self::default();
        states.into_iter().for_each(|state| tally.add(state));
        tally
    }
}

/// The accepted chances of a wrong end; each one-sided and strictly between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Levels {
    /// The largest chance of a pass when the claim is false.
    pub pass: f64,
    /// The largest chance of a fail when the claim is true.
    pub fail: f64,
}

impl Levels {
    /// Five percent on both sides.
    pub const FIVE_PERCENT: Self = Self { pass: 0.05, fail: 0.05 };
}

/// "At least this share of cases is ok."
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Claim {
    /// The claimed share, strictly between 0 and 1.
    pub share: f64,
    /// The accepted chances of a wrong end.
    pub levels: Levels,
}

/// A conclusion with the numbers that it rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// The number of cases, ambiguous ones included.
    pub cases: u64,
    /// The lower Clopper-Pearson bound of the ok share at the pass level, every ambiguous case
    /// taken as bad.
    pub lower: f64,
    /// The upper Clopper-Pearson bound of the ok share at the fail level, every ambiguous case
    /// taken as ok.
    pub upper: f64,
    /// The chance of so many ok cases, or more, if the share were just the claimed one.
    pub p_pass: f64,
    /// The chance of so few ok cases, or fewer, if the share were just the claimed one.
    pub p_fail: f64,
    /// The end.
    pub conclusion: Conclusion,
}

/// Decides the claim: `P(pass | share below the claim) <= levels.pass` and
/// `P(fail | share at or above the claim) <= levels.fail`, for exchangeable cases.
///
/// # Panics
/// If the share or a level is not strictly between 0 and 1.
pub fn decide(tally: Tally, claim: Claim) -> Decision {
    let Claim { share, levels } = claim;
    assert!(share > 0.0 && share < 1.0, "a claimed share lies between 0 and 1, not {share}");
    let (surely, possibly) = (tally.surely_ok(), tally.possibly_ok());
    let p_pass = binomial::at_least(surely, share);
    let p_fail = binomial::at_most(possibly, share);
    let conclusion = if p_pass <= levels.pass {
        Conclusion::Pass
    } else if p_fail <= levels.fail {
        Conclusion::Fail
    } else {
        Conclusion::Inconclusive
    };
    Decision {
        cases: tally.cases(),
        lower: binomial::lower_bound(surely, levels.pass),
        upper: binomial::upper_bound(possibly, levels.fail),
        p_pass,
        p_fail,
        conclusion,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIM: Claim = Claim { share: 0.8, levels: Levels::FIVE_PERCENT };

    fn conclusion(ok: u64, bad: u64, ambiguous: u64) -> Conclusion {
        decide(Tally { ok, bad, ambiguous }, CLAIM).conclusion
    }

    #[test]
    fn known_ends() {
        assert_eq!(conclusion(14, 0, 0), Conclusion::Pass);
        assert_eq!(conclusion(13, 0, 0), Conclusion::Inconclusive);
        assert_eq!(conclusion(13, 0, 1), Conclusion::Inconclusive);
        assert_eq!(conclusion(5, 9, 0), Conclusion::Fail);
        assert_eq!(conclusion(0, 0, 0), Conclusion::Inconclusive);
        assert_eq!(conclusion(0, 0, 40), Conclusion::Inconclusive);
    }

    fn rank(end: Conclusion) -> u8 {
        match end {
            Conclusion::Fail => 0,
            Conclusion::Inconclusive => 1,
            Conclusion::Pass => 2,
        }
    }

    /// Over every tally of up to 24 cases: a worse case never gives a better end.
    #[test]
    fn a_worse_case_never_helps() {
        for cases in 1..=24 {
            for ok in 0..=cases {
                for bad in 0..=cases - ok {
                    let ambiguous = cases - ok - bad;
                    let here = rank(conclusion(ok, bad, ambiguous));
                    if ok > 0 {
                        assert!(rank(conclusion(ok - 1, bad + 1, ambiguous)) <= here);
                        let doubted = rank(conclusion(ok - 1, bad, ambiguous + 1));
                        assert!(doubted <= here, "an ambiguous case helped: {ok} {bad}");
                    }
                    if ambiguous > 0 {
                        assert!(rank(conclusion(ok, bad + 1, ambiguous - 1)) <= here);
                    }
                }
            }
        }
    }

    /// The chance of each wrong end, summed over all outcomes, at the edge of the claim.
    #[test]
    fn wrong_ends_are_as_rare_as_promised() {
        for share in [0.5, 0.8, 0.95] {
            let claim = Claim { share, levels: Levels::FIVE_PERCENT };
            for cases in [1_u64, 7, 14, 30, 60] {
                let mut wrong = [0.0, 0.0];
                for ok in 0..=cases {
                    let tally = Tally { ok, bad: cases - ok, ambiguous: 0 };
                    let weight = binomial::mass(tally.surely_ok(), share);
                    match decide(tally, claim).conclusion {
                        Conclusion::Pass => wrong[0] += weight,
                        Conclusion::Fail => wrong[1] += weight,
                        Conclusion::Inconclusive => {}
                    }
                }
                assert!(wrong.iter().all(|chance| *chance <= 0.05), "{share} {cases}: {wrong:?}");
            }
        }
    }

    #[test]
    fn states_are_tallied() {
        let tally: Tally =
            [State::Ok, State::Bad, State::Ambiguous, State::Ok].into_iter().collect();
        assert_eq!(tally, Tally { ok: 2, bad: 1, ambiguous: 1 });
        assert_eq!(tally.cases(), 4);
    }
}
