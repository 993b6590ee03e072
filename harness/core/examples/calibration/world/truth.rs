//! Exact chances of the laws: normal, mixed binomial and beta-binomial, and the level at which a
//! chance takes a given value.

use statrs::distribution::{Continuous, ContinuousCDF, Normal};
use stats::binomial;
use stats::decimal::Share;

/// `P(Z <= z)` of the standard normal law.
pub(super) fn normal(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

/// From the whole line to a share.
pub(super) fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The mean of a function of a standard normal variable: Simpson's rule between -8 and 8, beyond
/// which less than 2e-15 of the law lies.
pub(super) fn mean_over_normal(of: impl Fn(f64) -> f64) -> f64 {
    const STEPS: u32 = 200;
    const END: f64 = 8.0;
    let width = 2.0 * END / f64::from(STEPS);
    let law = Normal::standard();
    let sum: f64 = (0..=STEPS)
        .map(|step| {
            let z = -END + width * f64::from(step);
            let weight = match step {
                0 | STEPS => 1.0,
                step if step % 2 == 1 => 4.0,
                _ => 2.0,
            };
            weight * law.pdf(z) * of(z)
        })
        .sum();
    sum * width / 3.0
}

/// `P(at least `least` of `whole`)` when each has a chance of its own trial.
pub(super) fn at_least(least: u64, whole: u64, chance: f64) -> f64 {
    binomial::at_least(Share { part: least, whole }, chance)
}

/// The two shapes of the beta law with this mean and intraclass correlation.
pub(super) fn beta_shapes(mean: f64, correlation: f64) -> [f64; 2] {
    let whole = (1.0 - correlation) / correlation;
    [mean * whole, (1.0 - mean) * whole]
}

/// `P(at least `least` of `whole`)` under the beta-binomial law, by its recurrence.
pub(super) fn beta_binomial_at_least(least: u32, whole: u32, [a, b]: [f64; 2]) -> f64 {
    let n = f64::from(whole);
    // P(none) = B(a, b + n) / B(a, b), as a product.
    let mut mass: f64 = (0..whole).map(|i| (b + f64::from(i)) / (a + b + f64::from(i))).product();
    let mut sum = if least == 0 { mass } else { 0.0 };
    for count in 0..whole {
        let k = f64::from(count);
        mass *= (n - k) / (k + 1.0) * (a + k) / (b + n - k - 1.0);
        if count + 1 >= least {
            sum += mass;
        }
    }
    sum
}

/// Where an increasing function takes a value, between -30 and 30.
pub(super) fn level(wanted: f64, of: impl Fn(f64) -> f64) -> f64 {
    const HALVINGS: u32 = 45;
    let (mut low, mut high) = (-30.0, 30.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if of(middle) < wanted { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}
