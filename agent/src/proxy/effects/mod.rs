//! What a standing effect does to the bytes of one connection, one file per family. No sockets:
//! the relay reads and writes.

mod http;
mod shaper;

pub(super) use http::{Action, Exchange};
pub(super) use shaper::{Next, Shaper, Shapers};

/// `SplitMix64` (Steele, Lea, Flood 2014): chances for faults, no cryptography.
#[derive(Debug, Clone, Copy)]
struct Chance(u64);

impl Chance {
    /// Whether something that happens to a share, in billionths, happens now.
    fn hits(&mut self, billionths: u64) -> bool {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % 1_000_000_000 < billionths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_hit_as_often_as_it_says_and_the_same_each_time() {
        let hits = |seed: u64, billionths| {
            let mut chance = Chance(seed);
            (0..10_000).map(|_| chance.hits(billionths)).collect::<Vec<_>>()
        };
        for (billionths, expected) in [(0, 0), (1_000_000_000, 10_000)] {
            assert_eq!(hits(7, billionths).iter().filter(|hit| **hit).count(), expected);
        }
        // Five standard deviations of 10,000 draws at 30 % are 230.
        let some = hits(7, 300_000_000);
        let count = some.iter().filter(|hit| **hit).count();
        assert!((2_770..=3_230).contains(&count), "{count}");
        assert_eq!(some, hits(7, 300_000_000));
        assert_ne!(some, hits(8, 300_000_000));
    }
}
