//! Counts of latencies, kept sparse: an evidence of a thousand trials fits in memory.
//!
//! A window of 100 ms holds some tens of requests, and a full histogram of three digits takes 170
//! kB; so what is recorded in [`latency_histogram`](crate::load::latency_histogram) is kept here by
//! its filled buckets alone. Nothing is lost: the buckets are the histogram's own.

use hdrhistogram::Histogram;

use crate::load::LATENCY_MAX;
use crate::units::{Duration, Quantile};

/// The smallest latency that a histogram tells apart.
const LATENCY_MIN: Duration = Duration::from_micros(1);

/// The filled buckets of a latency histogram, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Latencies {
    /// Upper edge in us, and how many. The edge fits: the largest latency is 600 s.
    filled: Vec<(u32, u32)>,
}

/// Values from `from_us` to `to_us`, both included, that are not told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatencyBucket {
    /// The lowest value, in us.
    pub from_us: u64,
    /// The highest value, in us.
    pub to_us: u64,
    /// How many.
    pub count: u64,
}

impl Latencies {
    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.filled.iter().map(|(_, count)| u64::from(*count)).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.filled.is_empty()
    }

    /// The filled buckets, ascending.
    pub fn buckets(&self) -> impl Iterator<Item = LatencyBucket> + '_ {
        self.filled.iter().map(|(to, count)| LatencyBucket {
            from_us: u64::from(to - (width_of(*to) - 1)),
            to_us: u64::from(*to),
            count: u64::from(*count),
        })
    }

    /// Upper edge of the bucket in which the quantile lies, by nearest rank; `None` without values.
    pub fn quantile(&self, quantile: Quantile) -> Option<Duration> {
        self.at_rank(quantile.rank(self.count()).max(1))
    }

    /// Upper edge of the bucket that holds the value of this rank, counted from 1.
    pub fn at_rank(&self, rank: u64) -> Option<Duration> {
        let mut seen = 0;
        let (edge, _) = self.filled.iter().find(|(_, count)| {
            seen += u64::from(*count);
            seen >= rank
        })?;
        Some(Duration::from_micros(u64::from(*edge)))
    }

    /// Adds what others hold. Exact.
    pub fn merged<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        /// From so many counts on it is quicker to count by place than to sort.
        const DENSE_FROM: usize = 1024;
        let mut filled: Vec<(u32, u32)> =
            all.into_iter().flat_map(|part| part.filled.iter().copied()).collect();
        if filled.len() >= DENSE_FROM {
            return Self { filled: counted_by_place(&filled) };
        }
        filled.sort_unstable();
        filled.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = kept.1.saturating_add(next.1);
            }
            same
        });
        Self { filled }
    }
}

impl From<&Histogram<u64>> for Latencies {
    /// Takes over a histogram that was made by
    /// [`latency_histogram`](crate::load::latency_histogram).
    fn from(histogram: &Histogram<u64>) -> Self {
        let clamped = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let filled = histogram
            .iter_recorded()
            .map(|step| {
                let edge = histogram.highest_equivalent(step.value_iterated_to());
                (clamped(edge), clamped(step.count_at_value()))
            })
            .collect();
        Self { filled }
    }
}

impl FromIterator<(Duration, u64)> for Latencies {
    /// So many of each latency; each takes the bucket that a histogram would give it.
    fn from_iter<I: IntoIterator<Item = (Duration, u64)>>(latencies: I) -> Self {
        let clamped = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let parts: Vec<Self> = latencies
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(latency, count)| {
                let micros = clamped(latency.clamp(LATENCY_MIN, LATENCY_MAX).micros());
                let edge = micros | (width_of(micros) - 1);
                Self { filled: vec![(edge, clamped(count))] }
            })
            .collect();
        Self::merged(&parts)
    }
}

/// Adds up counts of one bucket, ascending.
fn counted_by_place(counts: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let places = counts.iter().map(|(edge, _)| place_of(*edge));
    let mut dense = vec![0_u32; places.max().map_or(0, |last| last + 1)];
    for (edge, count) in counts {
        let sum = &mut dense[place_of(*edge)];
        *sum = sum.saturating_add(*count);
    }
    let filled = dense.iter().enumerate().filter(|(_, count)| **count > 0);
    filled.map(|(place, count)| (edge_of(place), *count)).collect()
}

/// The place of a bucket among all buckets, by its upper edge.
const fn place_of(edge: u32) -> usize {
    let shift = width_of(edge).trailing_zeros();
    // Up to 2047 each value has its place, and then each doubling 1024 of them.
    ((edge >> shift) + SHARED_PLACES * shift) as usize
}

/// The upper edge of the bucket at a place.
fn edge_of(place: usize) -> u32 {
    let place = u32::try_from(place).expect("there are some twenty thousand places");
    let shift = (place / SHARED_PLACES).saturating_sub(1);
    let first = (place - SHARED_PLACES * shift) << shift;
    first | ((1 << shift) - 1)
}

/// The buckets of one doubling of the value, where several values share one.
const SHARED_PLACES: u32 = 1024;

/// How many values share the bucket that ends here: one up to 2047, then twice as many with each
/// doubling of the value.
const fn width_of(edge: u32) -> u32 {
    const SHARED_FROM_BITS: u32 = 11;
    let bits = u32::BITS - edge.leading_zeros();
    1 << bits.saturating_sub(SHARED_FROM_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::latency_histogram;

    #[test]
    fn buckets_are_those_of_the_histogram() {
        let mut histogram = latency_histogram();
        let mut value = 1_u64;
        while value < 600_000_000 {
            histogram.record(value).unwrap();
            histogram.record(value + value / 3).unwrap();
            value = value * 5 / 4 + 1;
        }
        let latencies = Latencies::from(&histogram);
        assert_eq!(latencies.count(), histogram.len());
        for bucket in latencies.buckets() {
            assert_eq!(bucket.from_us, histogram.lowest_equivalent(bucket.to_us), "{bucket:?}");
            assert_eq!(bucket.to_us, histogram.highest_equivalent(bucket.from_us), "{bucket:?}");
            assert_eq!(bucket.count, histogram.count_at(bucket.to_us));
        }
    }

    #[test]
    fn counted_latencies_take_the_same_buckets() {
        let values = [0, 1, 2047, 2048, 3001, 3_000_000, 599_999_999, 600_000_000, 900_000_000];
        let mut histogram = latency_histogram();
        for value in values {
            histogram.saturating_record(value.max(1));
        }
        let counted: Latencies =
            values.iter().map(|value| (Duration::from_micros(*value), 1)).collect();
        assert_eq!(counted.count(), 9);
        let last = counted.buckets().last().unwrap();
        assert_eq!(last.to_us, histogram.highest_equivalent(600_000_000));
        let below = |all: &Latencies| {
            all.buckets().filter(|bucket| bucket.to_us < 599_000_000).collect::<Vec<_>>()
        };
        assert_eq!(below(&counted), below(&Latencies::from(&histogram)));
    }

    #[test]
    fn every_bucket_has_a_place_of_its_own() {
        let mut last = None;
        let mut edge = 0_u32;
        while edge < 700_000_000 {
            let place = place_of(edge);
            assert_eq!(edge_of(place), edge);
            assert_eq!(last.map_or(0, |last| last + 1), place, "{edge}");
            last = Some(place);
            edge += width_of(edge + 1);
        }
    }

    #[test]
    fn many_parts_are_added_like_few() {
        let value = |number: u64| Duration::from_micros(number * number * 37 % 5_000_000);
        let parts: Vec<Latencies> =
            (0..3000_u64).map(|number| Latencies::from_iter([(value(number), 1)])).collect();
        let at_once = Latencies::merged(&parts);
        let by_steps = parts.chunks(500).fold(Latencies::default(), |sum, chunk| {
            let chunk = Latencies::merged(chunk);
            Latencies::merged([&sum, &chunk])
        });
        assert_eq!((at_once.count(), &at_once), (3000, &by_steps));
        let few: Vec<Latencies> = parts.iter().take(900).cloned().collect();
        let histogram = few.iter().fold(latency_histogram(), |mut histogram, part| {
            for bucket in part.buckets() {
                histogram.record_n(bucket.to_us, bucket.count).unwrap();
            }
            histogram
        });
        assert_eq!(Latencies::merged(&few), Latencies::from(&histogram));
    }

    #[test]
    fn merging_is_adding() {
        let part = |values: &[u64]| {
            let mut histogram = latency_histogram();
            for value in values {
                histogram.record(*value).unwrap();
            }
            histogram
        };
        let (mut one, two) = (part(&[5, 5, 900, 70_000]), part(&[5, 1_000_000, 70_001]));
        let merged = Latencies::merged([&Latencies::from(&one), &Latencies::from(&two)]);
        one.add(&two).unwrap();
        assert_eq!(merged, Latencies::from(&one));
        assert_eq!(merged.quantile(Quantile::P50), Some(Duration::from_micros(900)));
        assert_eq!(merged.at_rank(8), None);
        assert_eq!(Latencies::default().quantile(Quantile::P50), None);
    }
}
