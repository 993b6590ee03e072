//! How long a user pauses: drawn by position, so that the same seed gives the same pauses.
//!
//! Pure. Does not wait.

use harness_core::plan::Think;

use crate::draw::{Purpose, draw};

/// The pause with this number, in ns.
pub(super) fn pause_ns(think: Think, seed: u64, number: u64) -> u64 {
    let nanos = |duration: harness_core::units::Duration| duration.micros().saturating_mul(1000);
    match think {
        Think::Fixed { lasts } => nanos(lasts),
        Think::Uniform { from, to } => {
            let (from, to) = (nanos(from), nanos(to));
            from + scaled(share(seed, number), to.saturating_sub(from))
        }
        Think::Exponential { mean, at_most } => {
            // The inverse of the distribution function; `share` is never 1.
            let means = -(-share(seed, number)).ln_1p();
            let most = nanos(at_most);
            if means * nanos(mean) as f64 >= most as f64 {
                most
            } else {
                scaled(means, nanos(mean))
            }
        }
    }
}

/// Evenly in 0 to 1, without 1.
fn share(seed: u64, number: u64) -> f64 {
    const BITS: u64 = 1 << 53;
    (draw(seed, Purpose::Think, number) >> 11) as f64 / BITS as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "neither factor is negative, and a float cast saturates"
)]
fn scaled(factor: f64, nanos: u64) -> u64 {
    (factor * nanos as f64) as u64
}

#[cfg(test)]
mod tests {
    use harness_core::units::Duration;

    use super::*;

    const MS: u64 = 1_000_000;

    fn pauses(think: Think) -> Vec<u64> {
        (0..20_000).map(|number| pause_ns(think, 7, number)).collect()
    }

    fn mean_ms(pauses: &[u64]) -> f64 {
        pauses.iter().sum::<u64>() as f64 / (pauses.len() as u64 * MS) as f64
    }

    #[test]
    fn pauses_have_their_distribution() {
        let ms = Duration::from_millis;
        assert_eq!(pause_ns(Think::Fixed { lasts: ms(250) }, 1, 2), 250 * MS);
        let uniform = pauses(Think::Uniform { from: ms(100), to: ms(300) });
        assert!(uniform.iter().all(|pause| (100 * MS..300 * MS).contains(pause)));
        // Five standard errors: 57.7 ms / sqrt(20,000) = 0.41 ms each.
        assert!((mean_ms(&uniform) - 200.0).abs() < 2.1, "{}", mean_ms(&uniform));
        let think = Think::Exponential { mean: ms(100), at_most: ms(400) };
        let exponential = pauses(think);
        assert!(exponential.iter().all(|pause| *pause <= 400 * MS));
        let cut = exponential.iter().filter(|pause| **pause == 400 * MS).count();
        // exp(-4) of 20,000 are 366, give or take 19.
        assert!((270..=462).contains(&cut), "{cut}");
        let expected = think.mean_secs() * 1e3;
        assert!((mean_ms(&exponential) - expected).abs() < 3.5, "{}", mean_ms(&exponential));
        let below = exponential.iter().filter(|pause| **pause < 100 * MS * 69 / 100).count();
        assert!((9_600..=10_400).contains(&below), "the median is ln 2 means: {below}");
    }

    #[test]
    fn the_same_seed_gives_the_same_pauses() {
        let think = Think::Uniform { from: Duration::ZERO, to: Duration::from_secs(1) };
        assert_eq!(pause_ns(think, 3, 9), pause_ns(think, 3, 9));
        assert_ne!(pause_ns(think, 3, 9), pause_ns(think, 4, 9));
        assert_ne!(pause_ns(think, 3, 9), pause_ns(think, 3, 10));
    }
}
