//! Several claims in one judgement: which failures may be named, and how ends merge.
//!
//! A pass of all needs each to pass at its own level and no correction, because one false claim is
//! enough to be caught (intersection-union). Naming a failure among many needs one: Holm, "A simple
//! sequentially rejective multiple test procedure" (1979).

use crate::decimal::{Decimal, Share};
use crate::decision::{Conclusion, Levels};

/// Holm's adjusted p values, in the order given: each compared with the level, the chance of naming
/// any true claim as failed stays at the level.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|one, other| p[*one].total_cmp(&p[*other]));
    let mut adjusted = vec![0.0; p.len()];
    let mut largest = 0.0_f64;
    for (rank, index) in order.into_iter().enumerate() {
        largest = largest.max(((p.len() - rank) as f64 * p[index]).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

/// Benjamini and Hochberg's adjusted p values (1995), in the order given: they hold the share of
/// false findings, not the chance of one. For dashboards.
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|one, other| p[*one].total_cmp(&p[*other]));
    let mut adjusted = vec![0.0; p.len()];
    let mut least = 1.0_f64;
    for (rank, index) in order.into_iter().enumerate().rev() {
        least = least.min(p.len() as f64 / (rank as f64 + 1.0) * p[index]);
        adjusted[index] = least;
    }
    adjusted
}

/// What one claim brings to the joint end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClaimEvidence {
    /// Against "the claim is false"; 1 when there is no evidence.
    pub p_pass: f64,
    /// Against "the claim is true"; 1 when there is no evidence.
    pub p_fail: f64,
    /// Whether something happened that must never happen.
    pub never_violated: bool,
}

/// The rules of the joint end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MergeRules {
    /// The largest accepted share of invalid cases.
    pub invalid_share_max: Decimal,
    /// The level of each pass, and of all fails together.
    pub levels: Levels,
}

/// The joint end of several claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joint {
    /// The end of all together.
    pub conclusion: Conclusion,
    /// The indices of the claims that failed, ascending.
    pub failed: Vec<usize>,
    /// Whether too many cases were invalid for any end but a violation.
    pub too_many_invalid: bool,
}

/// Merges claims: a violation fails at once; more than the accepted share of invalid cases gives no
/// end; else any claim that fails after Holm's correction fails all; else all pass, or there is no
/// end. `invalid` counts excluded and ambiguous cases among all; without any case there is no end.
pub fn merge(claims: &[ClaimEvidence], invalid: Share, rules: &MergeRules) -> Joint {
    let too_many_invalid = exceeds(invalid, rules.invalid_share_max);
    let adjusted = holm(&claims.iter().map(|claim| claim.p_fail).collect::<Vec<_>>());
    let failed: Vec<usize> = claims
        .iter()
        .zip(&adjusted)
        .enumerate()
        .filter(|(_, (claim, p))| {
            claim.never_violated || (!too_many_invalid && **p <= rules.levels.fail)
        })
        .map(|(index, _)| index)
        .collect();
    let all_pass =
        !claims.is_empty() && claims.iter().all(|claim| claim.p_pass <= rules.levels.pass);
    let conclusion = if !failed.is_empty() {
        Conclusion::Fail
    } else if all_pass && !too_many_invalid {
        Conclusion::Pass
    } else {
        Conclusion::Inconclusive
    };
    Joint { conclusion, failed, too_many_invalid }
}

/// Whether a share is above the largest accepted one; never without any case.
pub(crate) fn exceeds(share: Share, most: Decimal) -> bool {
    // Above the most means: the rest does not meet the rest.
    most.complement().is_some_and(|least| share.rest().meets(least) == Some(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: MergeRules =
        MergeRules { invalid_share_max: Decimal::new(2, 1), levels: Levels::FIVE_PERCENT };

    fn claim(p_pass: f64, p_fail: f64) -> ClaimEvidence {
        ClaimEvidence { p_pass, p_fail, never_violated: false }
    }

    fn invalid(part: u64) -> Share {
        Share { part, whole: 10 }
    }

    #[test]
    fn holm_is_monotone_and_at_least_as_large() {
        let p = [0.01, 0.04, 0.03, 0.005, 0.9];
        let adjusted = holm(&p);
        for one in 0..p.len() {
            assert!(adjusted[one] >= p[one]);
            for other in 0..p.len() {
                assert!(p[one] > p[other] || adjusted[one] <= adjusted[other]);
            }
        }
        assert!((adjusted[3] - 0.025).abs() < 1e-15);
        assert!(benjamini_hochberg(&p).iter().zip(&adjusted).all(|(bh, holm)| bh <= holm));
        assert!(holm(&[]).is_empty() && benjamini_hochberg(&[]).is_empty());
    }

    #[test]
    fn ends_merge() {
        let good = claim(0.01, 1.0);
        let open = claim(0.3, 0.6);
        let bad = claim(1.0, 0.001);
        let end = |claims: &[ClaimEvidence], part| merge(claims, invalid(part), &RULES).conclusion;
        assert_eq!(end(&[good, good], 2), Conclusion::Pass);
        assert_eq!(end(&[good, good], 3), Conclusion::Inconclusive);
        assert_eq!(end(&[good, open], 0), Conclusion::Inconclusive);
        assert_eq!(end(&[good, open, bad], 0), Conclusion::Fail);
        assert_eq!(end(&[good, open, bad], 3), Conclusion::Inconclusive);
        assert_eq!(end(&[], 0), Conclusion::Inconclusive);
    }

    #[test]
    fn a_violation_fails_whatever_was_invalid() {
        let violated = ClaimEvidence { never_violated: true, ..claim(1.0, 0.0) };
        let joint = merge(&[claim(0.01, 1.0), violated], invalid(9), &RULES);
        assert_eq!((joint.conclusion, joint.failed), (Conclusion::Fail, vec![1]));
        assert!(joint.too_many_invalid);
    }

    /// One fail at the level alone is no fail among two.
    #[test]
    fn a_failure_is_named_only_after_correction() {
        let edge = claim(1.0, 0.03);
        assert_eq!(merge(&[edge], invalid(0), &RULES).failed, vec![0]);
        assert!(merge(&[edge, claim(0.01, 1.0)], invalid(0), &RULES).failed.is_empty());
    }
}
