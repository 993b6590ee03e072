//! Random numbers from a seed, and the resampling that is shown (never decided) with them.
//!
//! The generator is `SplitMix64` (Steele, Lea and Flood 2014), written out here so that the same
//! seed gives the same report for ever, whatever becomes of a library. It is not for secrets.

use crate::binomial::{Bounds, assert_level};

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Stream {
    state: u64,
}

impl Stream {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A whole number below `end`, which is above zero. The bias is below `end / 2^64`.
    pub fn below(&mut self, end: usize) -> usize {
        assert!(end > 0, "there is no number below zero");
        let wide = u128::from(self.bits()) * (end as u128);
        usize::try_from(wide >> 64).expect("below a number that fits")
    }

    /// A number from 0 up to, not including, 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// Puts the values into a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.below(last + 1));
        }
    }
}

/// The most resamples of one interval.
pub const RESAMPLES_MAX: u32 = 100_000;

/// Approximate bounds of a mean by the bootstrap-t, each at level `alpha`, for display: with
/// skewed values they miss 8 to 36 percent of the time instead of five, so nothing is decided by
/// them. `None` for fewer than two values, or values that do not vary.
///
/// # Panics
/// If `resamples` is zero or above [`RESAMPLES_MAX`].
pub fn bootstrap_t(values: &[f64], alpha: f64, resamples: u32, seed: u64) -> Option<Bounds> {
    assert_level(alpha);
    assert!((1..=RESAMPLES_MAX).contains(&resamples), "1 to {RESAMPLES_MAX} resamples");
    let (mean, error) = mean_and_error(values)?;
    if error <= 0.0 {
        return None;
    }
    let mut stream = Stream::new(seed);
    let mut drawn = vec![0.0; values.len()];
    let mut ratios: Vec<f64> = (0..resamples)
        .filter_map(|_| {
            drawn.fill_with(|| values[stream.below(values.len())]);
            let (drawn_mean, drawn_error) = mean_and_error(&drawn)?;
            (drawn_error > 0.0).then(|| (drawn_mean - mean) / drawn_error)
        })
        .collect();
    if ratios.is_empty() {
        return None;
    }
    ratios.sort_by(f64::total_cmp);
    let at = |share: f64| ratios[nearest_index(share, ratios.len())];
    Some(Bounds { lower: mean - at(1.0 - alpha) * error, upper: mean - at(alpha) * error })
}

/// The index of the nearest rank of a share among so many sorted values.
fn nearest_index(share: f64, count: usize) -> usize {
    let edge = share * count as f64;
    (0..count).find(|index| *index as f64 + 1.0 >= edge).unwrap_or(count - 1)
}

/// The mean with its standard error; `None` for fewer than two values.
pub(crate) fn mean_and_error(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((mean, (squares / (count - 1.0) / count).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs for seed 1234567, as the published reference program prints them.
    #[test]
    fn the_stream_is_the_published_one() {
        let mut stream = Stream::new(1_234_567);
        assert_eq!(stream.bits(), 6_457_827_717_110_365_317);
        assert_eq!(stream.bits(), 3_203_168_211_198_807_973);
        assert_eq!(stream.bits(), 9_817_491_932_198_370_423);
    }

    #[test]
    fn a_shuffle_keeps_the_values() {
        let mut values: Vec<u32> = (0..50).collect();
        Stream::new(3).shuffle(&mut values);
        assert_ne!(values, (0..50).collect::<Vec<_>>());
        values.sort_unstable();
        assert_eq!(values, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn units_are_uniform() {
        let mut stream = Stream::new(9);
        let draws: Vec<f64> = (0..4000).map(|_| stream.unit()).collect();
        let mean = draws.iter().sum::<f64>() / 4000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
    }

    #[test]
    fn the_interval_encloses_the_mean_and_repeats() {
        let values = [3.0, 5.0, 4.0, 9.0, 4.5, 6.0, 30.0, 5.5];
        let found = bootstrap_t(&values, 0.05, 999, 11).unwrap();
        let mean = values.iter().sum::<f64>() / 8.0;
        assert!(found.lower < mean && mean < found.upper);
        assert!(found.upper - mean > mean - found.lower, "skewed to the right: {found:?}");
        assert_eq!(bootstrap_t(&values, 0.05, 999, 11), Some(found));
        assert_eq!(bootstrap_t(&values[..1], 0.05, 999, 11), None);
        assert_eq!(bootstrap_t(&[1.0; 4], 0.05, 999, 11), None);
    }
}
