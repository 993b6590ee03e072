//! Times with a right end that was not always seen: the Kaplan-Meier curve for display, and the
//! exact bounds for censoring that is declared independent.
//!
//! Verdicts do not come from the curve: aborts censor just the long outages, and then its bounds
//! miss 9 to 27 percent of the time. Kaplan and Meier (1958); Greenwood's variance; Fay, Brittain
//! and Proschan, "Pointwise confidence intervals for a survival distribution with small samples or
//! heavy censoring" (2013), called BPCP there.

use crate::binomial::{Bounds, assert_level};
use crate::decision::{Claim, Conclusion};
use crate::recovery::Interval;
use crate::special::bisect;
use statrs::distribution::{ContinuousCDF, Normal};

/// One time, in a unit of the caller's choice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spell {
    /// How long it lasted, or was watched.
    pub time: f64,
    /// Whether its end was seen; if not, it lasted longer.
    pub ended: bool,
}

impl From<Interval> for Spell {
    /// The upper end, or the lower one as censored; in seconds.
    fn from(interval: Interval) -> Self {
        let time = interval.upper.unwrap_or(interval.lower).as_secs_f64();
        Self { time, ended: interval.upper.is_some() }
    }
}

/// The Kaplan-Meier curve at one time, with its summary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KaplanMeier {
    /// The estimated chance of lasting longer than the time.
    pub survival: f64,
    /// Approximate bounds of that chance, each at the level asked for (log-log, Greenwood); `None`
    /// where the estimate is 0 or 1.
    pub survival_bounds: Option<Bounds>,
    /// The first time by which half have ended; `None` when that was not seen.
    pub median: Option<f64>,
    /// The mean of the smaller of time and limit: the area under the curve.
    pub restricted_mean: f64,
}

/// The Kaplan-Meier curve at `time`, with bounds at level `alpha`. An end and a censoring at the
/// same moment count in that order. `None` without spells.
pub fn kaplan_meier(spells: &[Spell], time: f64, alpha: f64) -> Option<KaplanMeier> {
    const HALF: f64 = 0.5 + 1e-12;
    assert_level(alpha);
    if spells.is_empty() {
        return None;
    }
    let mut survival = 1.0;
    let mut at_time = 1.0;
    let mut greenwood = 0.0;
    let mut median = None;
    let (mut area, mut from) = (0.0, 0.0);
    for (moment, ended, at_risk) in ends(spells) {
        if moment <= time {
            area += survival * (moment - from);
            from = moment;
        }
        survival *= 1.0 - ended / at_risk;
        if moment <= time {
            at_time = survival;
            greenwood += ended / (at_risk * (at_risk - ended));
        }
        if median.is_none() && survival <= HALF {
            median = Some(moment);
        }
    }
    area += at_time * (time - from);
    let survival_bounds = (at_time > 0.0 && at_time < 1.0).then(|| {
        let reach = -Normal::standard().inverse_cdf(alpha) * greenwood.sqrt() / at_time.ln().abs();
        let centre = (-at_time.ln()).ln();
        let back = |value: f64| (-value.exp()).exp();
        Bounds { lower: back(centre + reach), upper: back(centre - reach) }
    });
    Some(KaplanMeier { survival: at_time, survival_bounds, median, restricted_mean: area })
}

/// The moments of ends in ascending order, each with how many ended and how many were at risk.
fn ends(spells: &[Spell]) -> Vec<(f64, f64, f64)> {
    let mut moments: Vec<f64> =
        spells.iter().filter(|spell| spell.ended).map(|spell| spell.time).collect();
    moments.sort_by(f64::total_cmp);
    moments.dedup();
    let count =
        |holds: &dyn Fn(&Spell) -> bool| spells.iter().filter(|spell| holds(spell)).count() as f64;
    moments
        .into_iter()
        .map(|moment| {
            let ended = count(&|spell| spell.ended && spell.time <= moment)
                - count(&|spell| spell.ended && spell.time < moment);
            (moment, ended, count(&|spell| spell.time >= moment))
        })
        .collect()
}

/// Bounds of the chance of lasting longer than `time`, each at level `alpha`, valid when what was
/// censored is no different from what was not: the beta product bounds. Without censoring before
/// `time` they are those of Clopper and Pearson.
pub fn survival_bounds(spells: &[Spell], time: f64, alpha: f64) -> Bounds {
    assert_level(alpha);
    let mut ordered = spells.to_vec();
    ordered.sort_by(|one, other| one.time.total_cmp(&other.time).then(other.ended.cmp(&one.ended)));
    let mut at_risk = ordered.len();
    let mut risks = Vec::new();
    for spell in &ordered {
        if spell.time > time {
            break;
        }
        if spell.ended {
            risks.push(at_risk);
        }
        at_risk -= 1;
    }
    let upper = if risks.is_empty() { 1.0 } else { BetaProduct::new(&risks).quantile(1.0 - alpha) };
    // The lower bound takes the worst case: one more end right after the time.
    let lower = if at_risk == 0 {
        0.0
    } else {
        risks.push(at_risk);
        BetaProduct::new(&risks).quantile(alpha)
    };
    Bounds { lower, upper }
}

/// Decides "at least a share of cases ends within `time`" by [`survival_bounds`], for censoring
/// that is declared independent of what would have happened.
pub fn decide_independent(spells: &[Spell], time: f64, claim: Claim) -> Conclusion {
    let late_max = survival_bounds(spells, time, claim.levels.pass).upper;
    let late_min = survival_bounds(spells, time, claim.levels.fail).lower;
    if 1.0 - late_max >= claim.share {
        Conclusion::Pass
    } else if 1.0 - late_min < claim.share {
        Conclusion::Fail
    } else {
        Conclusion::Inconclusive
    }
}

/// The law of a product of independent `Beta(y, 1)` variables: minus its logarithm is a sum of
/// exponential variables of the rates `y`, whose law follows from a jump chain with positive terms
/// only (uniformisation), so nothing cancels.
struct BetaProduct {
    rate: f64,
    /// The chance that the chain has arrived after each number of jumps.
    arrived: Vec<f64>,
}

impl BetaProduct {
    fn new(risks: &[usize]) -> Self {
        const UNARRIVED_MIN: f64 = 1e-18;
        /// Jumps after which the rest is taken as arrived.
        const JUMPS_MAX: usize = 200_000;
        let rates: Vec<f64> = risks.iter().map(|risk| *risk as f64).collect();
        let rate = rates.iter().copied().fold(0.0, f64::max);
        let mut waiting = vec![0.0; rates.len()];
        waiting[0] = 1.0;
        let mut arrived = vec![0.0];
        while arrived.len() < JUMPS_MAX && waiting.iter().sum::<f64>() > UNARRIVED_MIN {
            let mut moving = 0.0;
            for (place, share) in waiting.iter_mut().zip(&rates) {
                let leaving = *place * share / rate;
                *place += moving - leaving;
                moving = leaving;
            }
            arrived.push(arrived[arrived.len() - 1] + moving);
        }
        Self { rate, arrived }
    }

    /// The chance that the product is at most `exp(-sum)`: that the sum is at least this.
    fn sum_at_most(&self, sum: f64) -> f64 {
        let mean = self.rate * sum;
        let mut chance = 0.0;
        let mut covered = 0.0;
        for (jumps, arrived) in self.arrived.iter().enumerate() {
            let weight = poisson_mass(jumps, mean);
            chance += weight * arrived;
            covered += weight;
        }
        (chance + (1.0 - covered).max(0.0)).min(1.0)
    }

    /// The value that the product is at most with probability `share`.
    fn quantile(&self, share: f64) -> f64 {
        const LN_SUM_MAX: f64 = 60.0;
        let target = 1.0 - share;
        let ln_sum = bisect([-LN_SUM_MAX, LN_SUM_MAX], |ln_sum: f64| {
            self.sum_at_most(ln_sum.exp()) - target
        });
        (-ln_sum.exp()).exp()
    }
}

fn poisson_mass(count: usize, mean: f64) -> f64 {
    crate::automation::ln_poisson_mass(count as f64, mean).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binomial;
    use crate::decimal::Share;
    use crate::decision::Levels;

    fn spells(times: &[(f64, bool)]) -> Vec<Spell> {
        times.iter().map(|&(time, ended)| Spell { time, ended }).collect()
    }

    #[test]
    fn without_censoring_the_bounds_are_clopper_pearson() {
        for whole in [1_u64, 5, 12, 40] {
            let all: Vec<Spell> =
                (1..=whole).map(|time| Spell { time: time as f64, ended: true }).collect();
            for ended in 0..=whole {
                let found = survival_bounds(&all, ended as f64 + 0.5, 0.05);
                let expected = binomial::bounds(Share { part: whole - ended, whole }, 0.05);
                assert!((found.upper - expected.upper).abs() < 1e-11, "{ended}/{whole}");
                assert!((found.lower - expected.lower).abs() < 1e-11, "{ended}/{whole}");
            }
        }
    }

    #[test]
    fn censoring_widens_the_bounds() {
        let seen = spells(&[(1.0, true), (2.0, true), (3.0, true), (4.0, true), (9.0, true)]);
        let mut cut = seen.clone();
        cut[1].ended = false;
        let (seen, cut) = (survival_bounds(&seen, 5.0, 0.05), survival_bounds(&cut, 5.0, 0.05));
        assert!(cut.upper > seen.upper);
        assert!(cut.lower <= seen.lower + 0.2);
    }

    #[test]
    fn a_curve_by_hand() {
        let all = spells(&[(2.0, true), (4.0, false), (5.0, true), (8.0, false)]);
        let found = kaplan_meier(&all, 6.0, 0.05).unwrap();
        assert!((found.survival - 0.375).abs() < 1e-15);
        assert_eq!(found.median, Some(5.0));
        assert!((found.restricted_mean - (2.0 + 3.0 * 0.75 + 0.375)).abs() < 1e-15);
        assert_eq!(kaplan_meier(&[], 6.0, 0.05), None);
    }

    #[test]
    fn independent_censoring_keeps_what_is_known() {
        let claim = Claim { share: 0.8, levels: Levels::FIVE_PERCENT };
        let good: Vec<Spell> = (0..14).map(|_| Spell { time: 1.0, ended: true }).collect();
        assert_eq!(decide_independent(&good, 5.0, claim), Conclusion::Pass);
        assert_eq!(decide_independent(&good[..13], 5.0, claim), Conclusion::Inconclusive);
        let late: Vec<Spell> = (0..6).map(|_| Spell { time: 9.0, ended: true }).collect();
        assert_eq!(decide_independent(&late, 5.0, claim), Conclusion::Fail);
        assert_eq!(decide_independent(&[], 5.0, claim), Conclusion::Inconclusive);
    }
}
