//! Random numbers by position: the same seed, purpose and number give the same draw, in any order.
//!
//! Each worker draws only for its own requests, so a generator with a state would tie the choice
//! to the number of workers. Not for cryptography. Arrivals do not use this: see `schedule`.

/// What a draw is for; draws of different purposes are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Which request of the mix.
    Mix,
    /// The row or value of the feed with this number.
    Feed(u32),
    /// The id of a feed of UUIDs with this number.
    FeedUuid(u32),
    /// The idempotency key.
    Key,
    /// The trace id.
    Trace,
    /// The span id.
    Span,
    /// Which journey a user walks next.
    Journey,
    /// How long a user pauses.
    Think,
}

impl Purpose {
    fn code(self) -> u64 {
        match self {
            Self::Mix => 1,
            Self::Key => 2,
            Self::Trace => 3,
            Self::Span => 4,
            Self::Journey => 5,
            Self::Think => 6,
            Self::Feed(feed) => 0x1_0000_0000 | u64::from(feed),
            Self::FeedUuid(feed) => 0x2_0000_0000 | u64::from(feed),
        }
    }
}

/// 64 random bits for one request. The mixing function is the finaliser of `SplitMix64` (Steele,
/// Lea, Flood: Fast splittable pseudorandom number generators, 2014), applied once per input.
pub(crate) fn draw(seed: u64, purpose: Purpose, number: u64) -> u64 {
    let purposed = finalise(seed ^ finalise(purpose.code()));
    finalise(purposed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

/// A whole number below `bound`, which is at least 1; its bias is below `bound` / 2^64.
pub(crate) fn below(bits: u64, bound: u64) -> u64 {
    let wide = u128::from(bits) * u128::from(bound);
    u64::try_from(wide >> 64).expect("the upper half of a product of 64 bits has 64 bits")
}

/// A UUID of version 4 (RFC 9562, section 5.4) in its usual text form.
pub(crate) fn uuid(seed: u64, purpose: Purpose, number: u64) -> String {
    let high = draw(seed, purpose, number);
    let low = finalise(high ^ 0xD1B5_4A32_D192_ED03);
    let high = (high & !0xF000) | 0x4000;
    let low = (low & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xFFFF,
        high & 0xFFFF,
        low >> 48,
        low & 0xFFFF_FFFF_FFFF
    )
}

fn finalise(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_each_input_and_on_nothing_else() {
        let base = draw(7, Purpose::Mix, 3);
        assert_eq!(base, draw(7, Purpose::Mix, 3));
        assert_ne!(base, draw(8, Purpose::Mix, 3));
        assert_ne!(base, draw(7, Purpose::Key, 3));
        assert_ne!(base, draw(7, Purpose::Mix, 4));
        assert_ne!(draw(7, Purpose::Feed(0), 0), draw(7, Purpose::FeedUuid(0), 0));
    }

    #[test]
    fn draws_below_a_bound_are_even() {
        let mut counts = [0_u32; 10];
        for number in 0..100_000 {
            counts[usize::try_from(below(draw(1, Purpose::Mix, number), 10)).unwrap()] += 1;
        }
        // Pearson's chi-square with 9 degrees of freedom: 27.9 is its 0.999 quantile.
        let chi: f64 = counts.iter().map(|c| (f64::from(*c) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi < 27.9, "{counts:?}: chi-square {chi}");
    }

    #[test]
    fn uuids_are_of_version_four_and_differ() {
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..1000 {
            let id = uuid(1, Purpose::Key, number);
            assert_eq!(id.len(), 36);
            assert_eq!(&id[14..15], "4", "{id}");
            assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
            assert!(seen.insert(id));
        }
    }
}
