//! Exact rank tests and the shifts that belong to them.
//!
//! Own because the exact Mann-Whitney test of statrs is wrong whenever the first sample is not the
//! larger one, and because it has no signed-rank test. Hodges and Lehmann, "Estimates of location
//! based on rank tests" (1963).

use crate::binomial::assert_level;

/// The most differences of a signed-rank test; the work grows with the third power.
pub const RANK_VALUES_MAX: usize = 200;

/// The most values of each of two samples; the work grows with the fourth power.
pub const TWO_SAMPLE_VALUES_MAX: usize = 100;

/// Room for rounding when a tail is compared with a level.
const LEVEL_SLACK: f64 = 1e-12;

/// The exact signed-rank test of "the middle of symmetric differences is below a margin".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignedRank {
    /// How many differences are not just at the margin; those there are dropped.
    pub nonzero: usize,
    /// The sum of ranks of the differences above the margin, with mean ranks for ties.
    pub rank_sum_above: f64,
    /// The chance of so small a sum, given the sizes; small speaks for "below".
    pub p_below: f64,
}

/// Tests whether differences lie below a margin (Wilcoxon, conditional on ties). `None` with more
/// than [`RANK_VALUES_MAX`] differences.
pub fn signed_rank(differences: &[f64], margin: f64) -> Option<SignedRank> {
    if differences.len() > RANK_VALUES_MAX {
        return None;
    }
    let mut shifted: Vec<f64> = differences
        .iter()
        .map(|difference| difference - margin)
        .filter(|difference| difference.abs() > 0.0)
        .collect();
    shifted.sort_by(|one, other| one.abs().total_cmp(&other.abs()));
    let ranks = doubled_ranks(&shifted.iter().map(|value| value.abs()).collect::<Vec<_>>());
    let above: usize =
        shifted.iter().zip(&ranks).filter(|(value, _)| **value > 0.0).map(|(_, rank)| rank).sum();
    let law = subset_sums(&ranks);
    let p_below = law[..=above].iter().sum::<f64>().min(1.0);
    Some(SignedRank { nonzero: shifted.len(), rank_sum_above: above as f64 / 2.0, p_below })
}

/// Twice the mean rank of each of some sorted values, so that ties stay whole numbers.
fn doubled_ranks(sorted: &[f64]) -> Vec<usize> {
    let mut ranks = vec![0; sorted.len()];
    let mut first = 0;
    while first < sorted.len() {
        let tied = sorted[first..].iter().take_while(|value| **value <= sorted[first]).count();
        ranks[first..first + tied].fill(2 * first + tied + 1);
        first += tied;
    }
    ranks
}

/// The law of the sum of a random subset, each member in it with probability one half.
fn subset_sums(members: &[usize]) -> Vec<f64> {
    let mut law = vec![1.0];
    for member in members {
        let mut longer = vec![0.0; law.len() + member];
        for (sum, chance) in law.iter().enumerate() {
            longer[sum] += chance / 2.0;
            longer[sum + member] += chance / 2.0;
        }
        law = longer;
    }
    law
}

/// An estimated shift with exact bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// The median of all pairwise values.
    pub estimate: f64,
    /// The lower bound at the level; `None` with too few values for any bound.
    pub lower: Option<f64>,
    /// The upper bound at the level; `None` with too few values for any bound.
    pub upper: Option<f64>,
    /// How many pairwise values, counted from the end, give the bound.
    pub rank: usize,
}

/// The middle of symmetric differences: the median of the means of all pairs, each value paired
/// with itself too, with bounds at level `alpha`. `None` without values or with more than
/// [`RANK_VALUES_MAX`].
pub fn shift_one_sample(differences: &[f64], alpha: f64) -> Option<Shift> {
    if differences.len() > RANK_VALUES_MAX {
        return None;
    }
    let mut means: Vec<f64> = differences
        .iter()
        .enumerate()
        .flat_map(|(at, one)| {
            differences[at..].iter().map(move |other| f64::midpoint(*one, *other))
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let ranks: Vec<usize> = (1..=differences.len()).collect();
    shift(&means, &subset_sums(&ranks), alpha)
}

/// How far the first sample lies above the second: the median of all differences, with bounds at
/// level `alpha`. `None` without values in either or with more than [`TWO_SAMPLE_VALUES_MAX`] in
/// one.
pub fn shift_two_samples(first: &[f64], second: &[f64], alpha: f64) -> Option<Shift> {
    if first.len().max(second.len()) > TWO_SAMPLE_VALUES_MAX {
        return None;
    }
    let mut differences: Vec<f64> =
        first.iter().flat_map(|one| second.iter().map(move |other| one - other)).collect();
    differences.sort_by(f64::total_cmp);
    shift(&differences, &mann_whitney_law(first.len(), second.len()), alpha)
}

fn shift(sorted: &[f64], law: &[f64], alpha: f64) -> Option<Shift> {
    assert_level(alpha);
    let last = sorted.len().checked_sub(1)?;
    let estimate = f64::midpoint(sorted[last / 2], sorted[last.div_ceil(2)]);
    let mut below = 0.0;
    let rank = law
        .iter()
        .take_while(|chance| {
            below += *chance;
            below <= alpha + LEVEL_SLACK
        })
        .count();
    let bound = |index: Option<usize>| index.map(|index| sorted[index]);
    Some(Shift {
        estimate,
        lower: bound(rank.checked_sub(1)),
        upper: bound((rank > 0).then(|| sorted.len() - rank)),
        rank,
    })
}

/// The exact chance that the first sample lies as far below the second, or further, when both have
/// one law. With ties it is the chance of the untied law, rounded to the safe side. `None` without
/// values in either or with more than [`TWO_SAMPLE_VALUES_MAX`] in one.
pub fn mann_whitney_less(first: &[f64], second: &[f64]) -> Option<f64> {
    let most = first.len().max(second.len());
    if first.is_empty() || second.is_empty() || most > TWO_SAMPLE_VALUES_MAX {
        return None;
    }
    let wins: usize = first
        .iter()
        .flat_map(|one| second.iter().map(move |other| one.total_cmp(other)))
        .map(|order| match order {
            std::cmp::Ordering::Greater => 2,
            std::cmp::Ordering::Equal => 1,
            std::cmp::Ordering::Less => 0,
        })
        .sum();
    let law = mann_whitney_law(first.len(), second.len());
    Some(law[..=wins.div_ceil(2)].iter().sum::<f64>().min(1.0))
}

/// The law of the number of pairs in which the first sample wins, without ties: the largest value
/// belongs to the first sample with the chance of its size, and then wins against all others.
fn mann_whitney_law(first: usize, second: usize) -> Vec<f64> {
    // The laws for the sizes so far of the first sample, by the size of the second.
    let mut laws = vec![vec![1.0]; second + 1];
    for one in 1..=first {
        let mut next = vec![vec![1.0]];
        for other in 1..=second {
            let share = one as f64 / (one + other) as f64;
            let mut law = vec![0.0; one * other + 1];
            for (wins, chance) in laws[other].iter().enumerate() {
                law[wins + other] += share * chance;
            }
            for (wins, chance) in next[other - 1].iter().enumerate() {
                law[wins] += (1.0 - share) * chance;
            }
            next.push(law);
        }
        laws = next;
    }
    laws.swap_remove(second)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The signed-rank law against all signs, with ties.
    #[test]
    fn signed_ranks_against_all_signs() {
        let differences = [0.3, -0.1, 0.2, 0.2, -0.4, 0.5, -0.2, 0.7];
        let found = signed_rank(&differences, 0.0).unwrap();
        let size = differences.len();
        let mut sorted: Vec<f64> = differences.iter().map(|value: &f64| value.abs()).collect();
        sorted.sort_by(f64::total_cmp);
        let ranks = doubled_ranks(&sorted);
        let reached = (0..1_u32 << size)
            .filter(|signs| {
                let sum: usize = ranks
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| signs >> at & 1 == 1)
                    .map(|(_, r)| r)
                    .sum();
                sum as f64 <= 2.0 * found.rank_sum_above
            })
            .count();
        assert!((found.p_below - reached as f64 / 256.0).abs() < 1e-14);
    }

    /// The Mann-Whitney law against all arrangements of the ranks.
    #[test]
    fn mann_whitney_against_all_arrangements() {
        for (first, second) in [(1, 1), (3, 4), (4, 3), (5, 5), (2, 7)] {
            let size = first + second;
            let mut counts = vec![0.0; first * second + 1];
            for places in 0..1_u32 << size {
                if places.count_ones() as usize != first {
                    continue;
                }
                let mut wins = 0;
                for one in (0..size).filter(|at| places >> at & 1 == 1) {
                    wins += (0..one).filter(|at| places >> at & 1 == 0).count();
                }
                counts[wins] += 1.0;
            }
            let all: f64 = counts.iter().sum();
            for (found, count) in mann_whitney_law(first, second).iter().zip(&counts) {
                assert!((found - count / all).abs() < 1e-14, "{first} {second}");
            }
        }
    }

    /// The case that statrs gets wrong.
    #[test]
    fn a_clear_order_has_a_small_p() {
        let p = mann_whitney_less(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0, 7.0]).unwrap();
        assert!((p - 1.0 / 35.0).abs() < 1e-14);
        assert_eq!(mann_whitney_less(&[], &[1.0]), None);
        assert!(mann_whitney_less(&[2.0], &[2.0]).unwrap() >= 0.5);
        assert_eq!(mann_whitney_less(&[1.0; TWO_SAMPLE_VALUES_MAX + 1], &[1.0]), None);
        assert_eq!(signed_rank(&[1.0; RANK_VALUES_MAX + 1], 0.0), None);
    }

    #[test]
    fn large_samples_stay_probabilities() {
        for (first, second) in [(60, 80), (30, 100), (70, 70)] {
            let law = mann_whitney_law(first, second);
            assert!((law.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            for (low, high) in law.iter().zip(law.iter().rev()) {
                assert!((low - high).abs() < 1e-13, "symmetric: {low:e} {high:e}");
            }
        }
    }

    #[test]
    fn shifts_of_few_values_have_no_bound() {
        let shift = shift_one_sample(&[1.0, 2.0], 0.05).unwrap();
        assert!((shift.estimate - 1.5).abs() < 1e-15);
        assert_eq!((shift.lower, shift.upper, shift.rank), (None, None, 0));
        assert_eq!(shift_one_sample(&[], 0.05), None);
        let two = shift_two_samples(&[5.0, 6.0, 7.0], &[1.0, 2.0, 3.0], 0.05).unwrap();
        assert!((two.estimate - 4.0).abs() < 1e-15);
        assert_eq!((two.lower, two.upper), (Some(2.0), Some(6.0)));
    }
}
