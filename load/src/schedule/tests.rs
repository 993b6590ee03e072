//! Every shape keeps its rate, is reproducible, and is even or Poisson as asked.

use harness_core::plan::Step;
use harness_core::units::{Duration, Rate};
use proptest::prelude::*;

use super::*;

const SECOND_NS: u64 = 1_000_000_000;

fn rate(per_second: u32) -> Rate {
    Rate::per_second_whole(per_second)
}

fn constant(per_second: u32) -> Shape {
    Shape::Constant { rate: rate(per_second) }
}

fn instants(shape: &Shape, arrivals: Arrivals, seed: u64, seconds: u64) -> Vec<u64> {
    Schedule::new(shape, arrivals, seed, seconds * SECOND_NS).collect()
}

/// Every shape, with rates and lengths that make a few thousand arrivals.
fn shapes() -> impl Strategy<Value = Shape> {
    let length = || (0_u64..8_000).prop_map(Duration::from_millis);
    let step = (1_u32..900, length()).prop_map(|(r, lasts)| Step { rate: rate(r), lasts });
    prop_oneof![
        (1_u32..900).prop_map(constant),
        (0_u32..900, 1_u32..900, length()).prop_map(|(from, to, over)| Shape::Ramp {
            from: rate(from),
            to: rate(to),
            over
        }),
        proptest::collection::vec(step, 1..6).prop_map(|steps| Shape::Steps { steps }),
        (1_u32..400, 1_u32..900, length(), length()).prop_map(|(base, peak, at, lasts)| {
            Shape::Spike { base: rate(base), peak: rate(peak), at, lasts }
        }),
    ]
}

proptest! {
    #[test]
    fn even_arrivals_have_exactly_the_asked_rate(shape in shapes(), seconds in 1_u64..20) {
        let all = instants(&shape, Arrivals::Constant, 0, seconds);
        prop_assert!(all.is_sorted());
        // The k-th arrival comes where the integral of the rate is k.
        for part in 1..=4 {
            let until = seconds * SECOND_NS * part / 4;
            let seen = all.iter().filter(|at| **at < until).count() as f64;
            let expected = Schedule::expected(&shape, until);
            prop_assert!((seen - expected).abs() <= 1.0 + 1e-6, "{seen} of {expected}");
        }
    }

    #[test]
    fn poisson_arrivals_have_the_asked_rate_within_its_own_noise(
        shape in shapes(), seed in any::<u64>()
    ) {
        let seconds = 20;
        let all = instants(&shape, Arrivals::Poisson, seed, seconds);
        prop_assert!(all.is_sorted());
        let expected = Schedule::expected(&shape, seconds * SECOND_NS);
        // Six standard deviations and a little for small counts: about one in 10^8 cases.
        let bound = 6.0 * expected.sqrt() + 6.0;
        prop_assert!((all.len() as f64 - expected).abs() <= bound, "{} of {expected}", all.len());
    }

    #[test]
    fn the_same_seed_gives_the_same_arrivals(shape in shapes(), seed in any::<u64>()) {
        let once = instants(&shape, Arrivals::Poisson, seed, 3);
        prop_assert_eq!(&once, &instants(&shape, Arrivals::Poisson, seed, 3));
        // A longer schedule begins with the shorter one.
        let longer = instants(&shape, Arrivals::Poisson, seed, 4);
        prop_assert_eq!(&once[..], &longer[..once.len()]);
    }

    #[test]
    fn recorded_arrivals_come_as_recorded(mut offsets_us in proptest::collection::vec(
        0_u64..4_000_000, 0..200
    )) {
        offsets_us.sort_unstable();
        let shape = Shape::Recorded { offsets_us: offsets_us.clone() };
        let all = instants(&shape, Arrivals::Poisson, 3, 2);
        let expected: Vec<u64> =
            offsets_us.iter().map(|us| us * 1000).filter(|ns| *ns < 2 * SECOND_NS).collect();
        prop_assert_eq!(all.len(), expected.len());
        prop_assert_eq!(all, expected);
    }
}

fn gaps(instants: &[u64]) -> Vec<f64> {
    instants.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect()
}

/// Standard deviation over mean.
fn variation(gaps: &[f64]) -> f64 {
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
    variance.sqrt() / mean
}

/// The largest distance of the empirical distribution of `values` from `cdf`.
fn kolmogorov_distance(mut values: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let distance = |(index, value): (usize, &f64)| {
        let p = cdf(*value);
        (p - index as f64 / n).max((index + 1) as f64 / n - p)
    };
    values.iter().enumerate().map(distance).fold(0.0, f64::max)
}

/// The 1 % point of Kolmogorov's distribution for large n (Smirnov 1948): 1.6276 / sqrt(n).
fn kolmogorov_limit(n: usize) -> f64 {
    1.6276 / (n as f64).sqrt()
}

#[test]
fn even_arrivals_have_no_variation() {
    let all = instants(&constant(2_000), Arrivals::Constant, 0, 10);
    assert_eq!(all.len(), 20_000);
    assert!(variation(&gaps(&all)) < 1e-6);
}

#[test]
fn gaps_of_poisson_arrivals_are_exponential() {
    for seed in [1, 2, 3] {
        let all = instants(&constant(1_000), Arrivals::Poisson, seed, 21);
        let gaps = gaps(&all)[..20_000].to_vec();
        let variation = variation(&gaps);
        assert!((0.97..=1.03).contains(&variation), "seed {seed}: {variation}");
        let distance = kolmogorov_distance(gaps, |ns| 1.0 - (-ns / 1e6).exp());
        assert!(distance < kolmogorov_limit(20_000), "seed {seed}: {distance}");
    }
}

#[test]
fn poisson_arrivals_on_a_ramp_are_exponential_after_rescaling() {
    let shape = Shape::Ramp { from: rate(100), to: rate(2_000), over: Duration::from_secs(10) };
    let curve = Curve::new(&shape);
    let counts: Vec<f64> = instants(&shape, Arrivals::Poisson, 5, 15)
        .iter()
        .map(|at| curve.count_until(*at as f64 / 1e9))
        .collect();
    let gaps: Vec<f64> = counts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let n = gaps.len();
    assert!(n > 15_000, "{n}");
    let distance = kolmogorov_distance(gaps, |count| 1.0 - (-count).exp());
    assert!(distance < kolmogorov_limit(n), "{distance}");
}

#[test]
fn the_stream_of_a_seed_stays_the_same_for_ever() {
    let shape = constant(1_000);
    let first: Vec<u64> = instants(&shape, Arrivals::Poisson, 7, 1).into_iter().take(1).collect();
    assert_eq!(first, [1_689_350]);
}

#[test]
fn a_rate_of_zero_ends_or_pauses_the_arrivals() {
    let ramp = Shape::Ramp { from: rate(100), to: rate(0), over: Duration::from_secs(2) };
    let all = instants(&ramp, Arrivals::Constant, 0, 60);
    assert_eq!(all.len(), 100);
    let pause = Shape::Steps {
        steps: vec![
            Step { rate: rate(10), lasts: Duration::from_secs(1) },
            Step { rate: rate(0), lasts: Duration::from_secs(1) },
            Step { rate: rate(10), lasts: Duration::from_secs(1) },
        ],
    };
    let all = instants(&pause, Arrivals::Constant, 0, 3);
    assert_eq!(all.len(), 20);
    assert!(!all.iter().any(|at| (SECOND_NS..2 * SECOND_NS).contains(at)), "{all:?}");
    let from_zero = Shape::Ramp { from: rate(0), to: rate(100), over: Duration::from_secs(2) };
    assert_eq!(instants(&from_zero, Arrivals::Constant, 0, 2).len(), 100);
    let silent = instants(&constant(0), Arrivals::Constant, 0, 3);
    assert_eq!(silent, [] as [u64; 0]);
}
