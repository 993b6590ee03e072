//! Times of one window while it is open: a short list first, a histogram only when there are many.
//!
//! A histogram of the port's bounds has some 170 kB; most windows hold a few hundred times. So
//! memory is at most that of a histogram, and recording is a push.

use harness_core::load::{LATENCY_MAX, latency_histogram};
use hdrhistogram::Histogram;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// This many times are kept as a list (64 KiB) before they go into a histogram.
const LISTED_MAX: usize = 16_384;

/// Times in microseconds, rounded up to 1 and down to [`LATENCY_MAX`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Latencies {
    listed: Vec<u32>,
    dense: Option<Box<Histogram<u64>>>,
}

impl Latencies {
    /// Takes a time.
    pub(crate) fn record(&mut self, nanos: u64) {
        self.listed.push(micros(nanos));
        if self.listed.len() == LISTED_MAX {
            let mut dense = self.dense.take().unwrap_or_else(|| Box::new(latency_histogram()));
            drain_into(&mut self.listed, &mut dense);
            self.dense = Some(dense);
        }
    }

    /// Adds all times to a histogram of the port's bounds. Exact.
    pub(crate) fn add_to(&self, histogram: &mut Histogram<u64>) {
        if let Some(dense) = &self.dense {
            histogram.add(&**dense).expect("all histograms have the same bounds");
        }
        for value in &self.listed {
            histogram.saturating_record(u64::from(*value));
        }
    }

    /// Takes over all times of another part.
    pub(crate) fn append(&mut self, other: &Self) {
        if let Some(dense) = &other.dense {
            match &mut self.dense {
                Some(mine) => mine.add(&**dense).expect("all histograms have the same bounds"),
                None => self.dense = Some(dense.clone()),
            }
        }
        for value in &other.listed {
            self.record(u64::from(*value) * 1000);
        }
    }

    /// The quantiles `wanted` (ascending, each in 0..=1) in us; zeros without any time.
    pub(crate) fn quantiles<const N: usize>(&mut self, wanted: [f64; N]) -> [u64; N] {
        if let Some(dense) = &mut self.dense {
            drain_into(&mut self.listed, dense);
            return wanted.map(|quantile| dense.value_at_quantile(quantile));
        }
        self.listed.sort_unstable();
        wanted.map(|quantile| {
            let rank = rank(quantile, self.listed.len());
            self.listed.get(rank).map_or(0, |value| u64::from(*value))
        })
    }
}

/// As pairs of a time in us and how often it came: exact, and small whatever the number of times.
impl Serialize for Latencies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut listed = self.listed.clone();
        listed.sort_unstable();
        let listed = listed.chunk_by(|one, other| one == other);
        let listed = listed.map(|same| (u64::from(same[0]), same.len() as u64));
        let dense = self.dense.iter().flat_map(|dense| {
            dense.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value()))
        });
        serializer.collect_seq(listed.chain(dense))
    }
}

impl<'de> Deserialize<'de> for Latencies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = Vec::<(u64, u64)>::deserialize(deserializer)?;
        let few = pairs.iter().map(|(_, count)| *count).sum::<u64>() < LISTED_MAX as u64;
        let mut latencies = Self::default();
        if few {
            for (value, count) in pairs {
                for _ in 0..count {
                    latencies.record(value.saturating_mul(1000));
                }
            }
        } else {
            let mut dense = Box::new(latency_histogram());
            for (value, count) in pairs {
                dense.saturating_record_n(value, count);
            }
            latencies.dense = Some(dense);
        }
        Ok(latencies)
    }
}

fn drain_into(listed: &mut Vec<u32>, dense: &mut Histogram<u64>) {
    for value in listed.drain(..) {
        dense.saturating_record(u64::from(value));
    }
}

/// The place of a quantile among `count` sorted values: the smallest with at least that share.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count is not negative and not larger than the count"
)]
fn rank(quantile: f64, count: usize) -> usize {
    ((quantile * count as f64).ceil() as usize).saturating_sub(1)
}

/// Whole microseconds within the port's bounds.
pub(crate) fn micros(nanos: u64) -> u32 {
    let micros = (nanos / 1000).clamp(1, LATENCY_MAX.micros());
    u32::try_from(micros).expect("600 s in us fit into 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: u32) -> Latencies {
        let mut latencies = Latencies::default();
        for value in 1..=count {
            latencies.record(u64::from(value) * 1000);
        }
        latencies
    }

    #[test]
    fn many_times_count_as_few_do() {
        for count in [0, 1, 100, 16_383, 16_384, 50_000] {
            let mut histogram = latency_histogram();
            filled(count).add_to(&mut histogram);
            let mut expected = latency_histogram();
            for value in 1..=u64::from(count) {
                expected.record(value).unwrap();
            }
            assert_eq!(histogram, expected, "{count}");
            let mut doubled = filled(count);
            doubled.append(&filled(count));
            let mut twice = latency_histogram();
            doubled.add_to(&mut twice);
            expected.add(expected.clone()).unwrap();
            assert_eq!(twice, expected, "{count}");
        }
    }

    #[test]
    fn quantiles_agree_with_the_definition() {
        assert_eq!(filled(0).quantiles([0.5, 0.99]), [0, 0]);
        assert_eq!(filled(1).quantiles([0.5, 0.99]), [1, 1]);
        assert_eq!(filled(100).quantiles([0.5, 0.99, 1.0]), [50, 99, 100]);
        let [p50, p99] = filled(50_000).quantiles([0.5, 0.99]);
        assert!(p50.abs_diff(25_000) <= 25 && p99.abs_diff(49_500) <= 50, "{p50} {p99}");
    }

    #[test]
    fn times_stay_within_the_bounds() {
        assert_eq!(micros(0), 1);
        assert_eq!(micros(u64::MAX), 600_000_000);
    }
}
