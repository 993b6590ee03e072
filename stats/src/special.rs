//! The special functions behind every exact tail: the binomial mass and the incomplete beta
//! function, both without loss at counts of tens of millions.
//!
//! The mass follows Loader, "Fast and accurate computation of binomial probabilities" (2000):
//! Stirling corrections and deviances instead of differences of large logarithms. The incomplete
//! beta function is its continued fraction by the modified Lentz method (Thompson and Barnett
//! 1986). Nothing here knows what the numbers mean.

use statrs::function::gamma::ln_gamma;

/// Steps of the continued fraction. It needs about the square root of the larger shape, so this
/// is enough for shapes of 10^11.
const FRACTION_STEPS_MAX: u32 = 1_000_000;

/// Where the continued fraction is taken as converged.
const FRACTION_EPSILON: f64 = 1e-16;

/// Below this a denominator of the continued fraction is moved away from zero.
const TINY: f64 = 1e-300;

/// Half of the logarithm of two pi.
const LN_SQRT_TWO_PI: f64 = 0.918_938_533_204_672_8;

/// A probability with its complement, each held without cancellation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance {
    /// The probability.
    pub(crate) yes: f64,
    /// One minus the probability.
    pub(crate) no: f64,
}

impl Chance {
    /// From the probability alone; the complement is as exact as the probability is.
    pub(crate) fn new(yes: f64) -> Self {
        Self { yes, no: 1.0 - yes }
    }

    /// From the logarithm of the odds, exact near both ends.
    pub(crate) fn from_logit(logit: f64) -> Self {
        Self { yes: 1.0 / (1.0 + (-logit).exp()), no: 1.0 / (1.0 + logit.exp()) }
    }

    pub(crate) fn swapped(self) -> Self {
        Self { yes: self.no, no: self.yes }
    }
}

/// `ln Γ(n + 1)` minus its Stirling approximation.
fn stirling_error(n: f64) -> f64 {
    const TABLE_MAX: f64 = 16.0;
    if n <= 0.0 {
        return 0.0;
    }
    if n <= TABLE_MAX {
        return ln_gamma(n + 1.0) - (n + 0.5) * n.ln() + n - LN_SQRT_TWO_PI;
    }
    let square = n * n;
    let terms = [1.0 / 12.0, 1.0 / 360.0, 1.0 / 1260.0, 1.0 / 1680.0, 1.0 / 1188.0];
    let [first, second, third, fourth, fifth] = terms;
    (first - (second - (third - (fourth - fifth / square) / square) / square) / square) / n
}

/// The deviance `x ln(x / mean) + mean - x`, without cancellation where both are close.
fn deviance(x: f64, mean: f64) -> f64 {
    const SERIES_TERMS_MAX: i32 = 1000;
    let difference = x - mean;
    if difference.abs() >= 0.1 * (x + mean) {
        return x * (x / mean).ln() + mean - x;
    }
    let ratio = difference / (x + mean);
    let mut sum = difference * ratio;
    let mut term = 2.0 * x * ratio;
    for step in 1..SERIES_TERMS_MAX {
        term *= ratio * ratio;
        let next = sum + term / f64::from(2 * step + 1);
        if next.to_bits() == sum.to_bits() {
            break;
        }
        sum = next;
    }
    sum
}

/// `ln( Γ(n+1) / (Γ(x+1) Γ(n-x+1)) p^x (1-p)^(n-x) )` for real `0 <= x <= n`.
pub(crate) fn ln_binomial_mass(x: f64, n: f64, p: Chance) -> f64 {
    let rest = n - x;
    if p.yes <= 0.0 {
        return if x <= 0.0 { 0.0 } else { f64::NEG_INFINITY };
    }
    if p.no <= 0.0 {
        return if rest <= 0.0 { 0.0 } else { f64::NEG_INFINITY };
    }
    if x <= 0.0 {
        return n * ln_of(p.swapped());
    }
    if rest <= 0.0 {
        return n * ln_of(p);
    }
    let correction = stirling_error(n)
        - stirling_error(x)
        - stirling_error(rest)
        - deviance(x, n * p.yes)
        - deviance(rest, n * p.no);
    correction - LN_SQRT_TWO_PI - 0.5 * (x.ln() + (-x / n).ln_1p())
}

/// The logarithm of a probability, exact near one.
pub(crate) fn ln_of(p: Chance) -> f64 {
    if p.no < 0.5 { (-p.no).ln_1p() } else { p.yes.ln() }
}

/// The two shapes of a beta law, both above zero.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shapes {
    pub(crate) a: f64,
    pub(crate) b: f64,
}

impl Shapes {
    fn swapped(self) -> Self {
        Self { a: self.b, b: self.a }
    }
}

/// The regularised incomplete beta function `I_x(a, b)`, the chance that a beta variable is at
/// most `x`. Small values keep their relative precision.
pub(crate) fn beta_at_most(shapes: Shapes, x: Chance) -> f64 {
    if x.yes <= 0.0 {
        return 0.0;
    }
    if x.no <= 0.0 {
        return 1.0;
    }
    if x.yes < (shapes.a + 1.0) / (shapes.a + shapes.b + 2.0) {
        beta_small_side(shapes, x)
    } else {
        1.0 - beta_small_side(shapes.swapped(), x.swapped())
    }
}

fn beta_small_side(shapes: Shapes, x: Chance) -> f64 {
    let Shapes { a, b } = shapes;
    let ln_front = ln_binomial_mass(a, a + b, x) + (b / (a + b)).ln();
    (ln_front.exp() * continued_fraction(shapes, x.yes)).clamp(0.0, 1.0)
}

/// The continued fraction of the incomplete beta function by the modified Lentz method.
fn continued_fraction(shapes: Shapes, x: f64) -> f64 {
    let Shapes { a, b } = shapes;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for step in 1..=FRACTION_STEPS_MAX {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away_from_zero(1.0 + even * d);
        c = away_from_zero(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away_from_zero(1.0 + odd * d);
        c = away_from_zero(1.0 + odd / c);
        let factor = d * c;
        fraction *= factor;
        if (factor - 1.0).abs() <= FRACTION_EPSILON {
            break;
        }
    }
    fraction
}

/// Where an increasing function crosses zero between two ends, by bisection down to neighbouring
/// floating-point numbers. The ends need not be in the domain of the crossing: when the sign does
/// not change, the nearer end is the answer.
pub(crate) fn bisect(ends: [f64; 2], mut increasing: impl FnMut(f64) -> f64) -> f64 {
    const HALVINGS_MAX: u32 = 200;
    let [mut low, mut high] = ends;
    for _ in 0..HALVINGS_MAX {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if increasing(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    low + (high - low) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(actual: f64, expected: f64, relative: f64) {
        assert!(
            (actual - expected).abs() <= relative * expected.abs(),
            "{actual:e} is not {expected:e}"
        );
    }

    /// Values of the incomplete beta function from 40-digit arithmetic.
    #[test]
    fn incomplete_beta_against_long_arithmetic() {
        for (a, b, x, expected) in BETA_GOLDEN {
            close(beta_at_most(Shapes { a, b }, Chance::new(x)), expected, 1e-11);
        }
    }

    const BETA_GOLDEN: [(f64, f64, f64, f64); 11] = [
        (5.0, 3.0, 0.4, 0.096_256_000_000_000_02),
        (14.0, 1.0, 0.8, 0.043_980_465_111_040_034),
        (0.5, 0.5, 0.2, 0.295_167_235_300_866_6),
        (0.5, 4.5, 0.1, 0.656_563_603_862_086_5),
        (20.0, 1e6, 1e-5, 0.003_454_883_176_851_161_5),
        (3.0, 2e7, 5e-8, 0.080_301_410_866_873_94),
        (300.0, 700.0, 0.1, 5.304_419_292_632_832e-69),
        (999_001.0, 1000.0, 0.999, 0.495_788_444_832_996_8),
        (500_000.0, 500_001.0, 0.500_3, 0.726_080_074_769_137_6),
        (1e7, 1e7, 0.499_8, 0.036_819_131_097_873_99),
        (7e6, 3e6, 0.700_1, 0.754_908_364_404_698_7),
    ];

    #[test]
    fn masses_of_small_counts_are_products() {
        let p = Chance::new(0.3);
        let choose = [1.0, 5.0, 10.0, 10.0, 5.0, 1.0];
        for (x, ways) in choose.iter().enumerate() {
            let x = x as f64;
            let expected = ways * 0.3_f64.powf(x) * 0.7_f64.powf(5.0 - x);
            close(ln_binomial_mass(x, 5.0, p).exp(), expected, 1e-13);
        }
    }

    #[test]
    fn bisection_finds_the_crossing() {
        close(bisect([0.0, 2.0], |x| x * x - 2.0), std::f64::consts::SQRT_2, 1e-15);
    }
}
