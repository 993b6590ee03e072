//! From the states of all cases to one end: which cases count, one decision per claim, and the
//! joint end.
//!
//! This is the whole chain for a fixed number of cases. How a state came about is decided before,
//! claim by claim.

use crate::automation::{NeverDecision, never};
use crate::decimal::Share;
use crate::decision::{Claim, Conclusion, Decision, State, Tally, decide};
use crate::multiplicity::{ClaimEvidence, Joint, MergeRules, merge};
use crate::validity::Standing;

/// What is asked of the cases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Asked {
    /// At least this share of cases is ok.
    Share(f64),
    /// No case is bad, and the rate of bad cases is shown to be at most this.
    Never {
        /// The largest accepted rate.
        rate_max: f64,
    },
}

impl Asked {
    /// How one case counts for what is asked, given how the case stands.
    ///
    /// An excluded case does not count and an ambiguous one counts against both ends, whatever was
    /// observed. A violation of "never" counts in every case.
    pub fn counted(self, standing: Standing, observed: Option<State>) -> Option<State> {
        match (self, standing) {
            (Self::Never { .. }, _) if observed == Some(State::Bad) => observed,
            (_, Standing::Excluded) => None,
            (Self::Share(_), Standing::Ambiguous) => Some(State::Ambiguous),
            (Self::Never { .. }, Standing::Ambiguous) | (_, Standing::Valid) => observed,
        }
    }
}

/// One claim with what each case observed for it, in the order of the cases; `None` where there was
/// nothing to observe, such as no traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// What is asked.
    pub asked: Asked,
    /// What each case showed.
    pub observed: Vec<Option<State>>,
}

/// The decision of one claim with the counts that it rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FamilyDecision {
    /// About a share of cases.
    Share {
        /// The cases that counted.
        tally: Tally,
        /// The decision at the level of a single claim.
        decision: Decision,
    },
    /// About something that must never happen.
    Never {
        /// Cases with a violation among those that counted.
        violated: Share,
        /// The decision.
        decision: NeverDecision,
    },
}

impl FamilyDecision {
    /// What the claim brings to the joint end.
    pub fn evidence(&self) -> ClaimEvidence {
        match self {
            Self::Share { decision, .. } => ClaimEvidence {
                p_pass: decision.p_pass,
                p_fail: decision.p_fail,
                never_violated: false,
            },
            Self::Never { decision, .. } => {
                let never_violated = decision.conclusion == Conclusion::Fail;
                let p_fail = if never_violated { 0.0 } else { 1.0 };
                ClaimEvidence { p_pass: decision.p_pass, p_fail, never_violated }
            }
        }
    }
}

/// Everything that is concluded from the cases.
#[derive(Debug, Clone, PartialEq)]
pub struct Composition {
    /// How each case counted, per claim.
    pub counted: Vec<Vec<Option<State>>>,
    /// One decision per claim.
    pub decisions: Vec<FamilyDecision>,
    /// Excluded and ambiguous cases among all.
    pub invalid: Share,
    /// The joint end.
    pub joint: Joint,
}

/// Concludes from all cases of a fixed number.
///
/// # Panics
/// If a claim has not observed just as many cases as there are.
pub fn compose(families: &[Family], standings: &[Standing], rules: &MergeRules) -> Composition {
    let counted: Vec<Vec<Option<State>>> = families
        .iter()
        .map(|family| {
            assert!(
                family.observed.len() == standings.len(),
                "every claim is observed in every case"
            );
            let cases = standings.iter().zip(&family.observed);
            cases.map(|(standing, state)| family.asked.counted(*standing, *state)).collect()
        })
        .collect();
    let decisions: Vec<FamilyDecision> = families
        .iter()
        .zip(&counted)
        .map(|(family, states)| decide_family(family.asked, states, rules))
        .collect();
    let invalid = standings.iter().filter(|standing| **standing != Standing::Valid).count();
    let invalid = Share { part: invalid as u64, whole: standings.len() as u64 };
    let evidence: Vec<ClaimEvidence> = decisions.iter().map(FamilyDecision::evidence).collect();
    let joint = merge(&evidence, invalid, rules);
    Composition { counted, decisions, invalid, joint }
}

fn decide_family(asked: Asked, states: &[Option<State>], rules: &MergeRules) -> FamilyDecision {
    let tally: Tally = states.iter().copied().flatten().collect();
    match asked {
        Asked::Share(share) => {
            let decision = decide(tally, Claim { share, levels: rules.levels });
            FamilyDecision::Share { tally, decision }
        }
        Asked::Never { rate_max } => {
            let violated = Share { part: tally.bad, whole: tally.cases() };
            let decision = never(violated, rate_max, rules.levels.pass);
            FamilyDecision::Never { violated, decision }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decimal::Decimal;
    use crate::decision::Levels;

    const RULES: MergeRules =
        MergeRules { invalid_share_max: Decimal::new(2, 1), levels: Levels::FIVE_PERCENT };

    fn family(asked: Asked, observed: &[Option<State>]) -> Family {
        Family { asked, observed: observed.to_vec() }
    }

    #[test]
    fn only_a_violation_survives_exclusion() {
        let share = Asked::Share(0.8);
        let never = Asked::Never { rate_max: 0.1 };
        for standing in [Standing::Valid, Standing::Ambiguous, Standing::Excluded] {
            assert_eq!(never.counted(standing, Some(State::Bad)), Some(State::Bad));
        }
        assert_eq!(share.counted(Standing::Excluded, Some(State::Bad)), None);
        assert_eq!(share.counted(Standing::Ambiguous, Some(State::Bad)), Some(State::Ambiguous));
        assert_eq!(share.counted(Standing::Ambiguous, None), Some(State::Ambiguous));
        assert_eq!(never.counted(Standing::Ambiguous, Some(State::Ok)), Some(State::Ok));
        assert_eq!(never.counted(Standing::Excluded, Some(State::Ok)), None);
    }

    #[test]
    fn clean_cases_pass_and_one_violation_fails() {
        let standings = [Standing::Valid; 14];
        let ok = [Some(State::Ok); 14];
        let mut violated = ok;
        violated[3] = Some(State::Bad);
        let share = family(Asked::Share(0.8), &ok);
        let clean = compose(std::slice::from_ref(&share), &standings, &RULES);
        assert_eq!(clean.joint.conclusion, Conclusion::Pass);
        let never = family(Asked::Never { rate_max: 0.2 }, &violated);
        let broken = compose(&[share, never], &standings, &RULES);
        assert_eq!((broken.joint.conclusion, broken.joint.failed), (Conclusion::Fail, vec![1]));
    }

    /// Turning any case of a passing or open run into an invalid one never gives a better end.
    #[test]
    fn doubt_never_helps() {
        let rank = |end: Conclusion| match end {
            Conclusion::Fail => 0,
            Conclusion::Inconclusive => 1,
            Conclusion::Pass => 2,
        };
        for bad in 0..=16_usize {
            let observed: Vec<Option<State>> =
                (0..16).map(|at| Some(if at < bad { State::Bad } else { State::Ok })).collect();
            let families = [family(Asked::Share(0.8), &observed)];
            for doubted in 0..16 {
                let mut standings = vec![Standing::Valid; 16];
                let before = compose(&families, &standings, &RULES).joint.conclusion;
                standings[doubted] = Standing::Ambiguous;
                let after = compose(&families, &standings, &RULES).joint.conclusion;
                let was_bad = doubted < bad;
                assert!(rank(after) <= rank(before) || (was_bad && before == Conclusion::Fail));
                assert!(after != Conclusion::Pass || before == Conclusion::Pass);
            }
        }
    }
}
