//! Effects on streams of bytes: each piece may wait, change, or end its connection. No I/O.
//!
//! One piece at a time: the next is read when this one has left, so the sender feels it.

use bytes::{Bytes, BytesMut};
use injectors::proxy::wire::ProxyEffect;

use super::Chance;

/// One read under a limit of throughput takes about so much of a second.
const SLICES_PER_SECOND: u64 = 20;
/// One read takes at most this much.
const READ_BYTES_MAX: usize = 16 * 1024;

/// Both directions of one connection under one effect.
#[derive(Debug)]
pub(in crate::proxy) struct Shapers {
    effect: ProxyEffect,
    /// Towards the callee.
    pub(in crate::proxy) outward: Shaper,
    /// Towards the caller.
    pub(in crate::proxy) inward: Shaper,
}

#[derive(Debug)]
enum Way {
    /// Nothing happens to it.
    Plain,
    /// Nothing is read.
    Wait,
    /// Each piece takes its time.
    Limit { bytes_per_second: u64, free_at: u64 },
    /// Some pieces wait.
    Stall { billionths: u64, pause: u64, chance: Chance },
    /// It ends after so much.
    Cut { left: u64 },
    /// Every so many bytes, one is changed.
    Change { every: u64, until_next: u64 },
}

/// One direction of one connection.
#[derive(Debug)]
pub(in crate::proxy) struct Shaper {
    way: Way,
    /// A piece that waits, and until when, in monotonic nanoseconds.
    held: Option<(Bytes, u64)>,
    cut: bool,
}

/// What is to be done with a direction now.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Next {
    /// Read at most so many bytes, and bring them.
    Read(usize),
    /// Write this.
    Write(Bytes),
    /// Come again at this instant, in monotonic nanoseconds.
    Wait(u64),
    /// Nothing, as long as the effect stands.
    Nothing,
    /// End it: nothing more passes.
    End,
}

impl Shapers {
    /// Nothing for an effect that is none on streams. `ticket` tells connections apart.
    pub(in crate::proxy) fn of(effect: &ProxyEffect, ticket: u64) -> Option<Self> {
        let limit = |bytes_per_second| Way::Limit { bytes_per_second, free_at: 0 };
        let (outward, inward) = match effect {
            ProxyEffect::HalfOpen => (Way::Plain, Way::Wait),
            ProxyEffect::Bandwidth { bytes_per_second } => {
                (limit(*bytes_per_second), limit(*bytes_per_second))
            }
            ProxyEffect::Stall { share, pause, seed } => {
                let chance = Chance(seed.wrapping_add(ticket.wrapping_mul(0x9E37_79B9)));
                let pause = pause.micros() * 1000;
                (Way::Stall { billionths: share.billionths(), pause, chance }, Way::Plain)
            }
            ProxyEffect::Truncate { after_bytes } => (Way::Plain, Way::Cut { left: *after_bytes }),
            ProxyEffect::Corrupt { every_bytes } => {
                (Way::Plain, Way::Change { every: *every_bytes, until_next: *every_bytes })
            }
            ProxyEffect::Refuse
            | ProxyEffect::Reset
            | ProxyEffect::Blackhole
            | ProxyEffect::Status(_)
            | ProxyEffect::Latency { .. }
            | ProxyEffect::Http(_) => return None,
        };
        let shaper = |way| Shaper { way, held: None, cut: false };
        let (outward, inward) = (shaper(outward), shaper(inward));
        Some(Self { effect: effect.clone(), outward, inward })
    }

    /// Whether they carry out this effect.
    pub(in crate::proxy) fn carry_out(&self, effect: Option<&ProxyEffect>) -> bool {
        effect == Some(&self.effect)
    }
}

impl Shaper {
    /// What comes next. `now` is in monotonic nanoseconds.
    pub(in crate::proxy) fn next(&mut self, now: u64) -> Next {
        if let Some((bytes, due)) = self.held.take() {
            if due > now {
                self.held = Some((bytes, due));
                return Next::Wait(due);
            }
            return Next::Write(bytes);
        }
        if self.cut {
            return Next::End;
        }
        match self.way {
            Way::Wait => Next::Nothing,
            Way::Cut { left: 0 } => Next::End,
            Way::Limit { bytes_per_second, .. } => {
                let slice = (bytes_per_second / SLICES_PER_SECOND).max(1);
                Next::Read(usize::try_from(slice).unwrap_or(READ_BYTES_MAX).min(READ_BYTES_MAX))
            }
            Way::Plain | Way::Stall { .. } | Way::Cut { .. } | Way::Change { .. } => {
                Next::Read(READ_BYTES_MAX)
            }
        }
    }

    /// Takes what was read; it is never empty.
    pub(in crate::proxy) fn take(&mut self, bytes: &[u8], now: u64) {
        let length = bytes.len() as u64;
        let mut due = 0;
        let mut bytes = BytesMut::from(bytes);
        match &mut self.way {
            Way::Plain | Way::Wait => {}
            Way::Limit { bytes_per_second, free_at } => {
                let nanos = u128::from(length) * 1_000_000_000 / u128::from(*bytes_per_second);
                let takes = u64::try_from(nanos).unwrap_or(u64::MAX);
                *free_at = now.max(*free_at).saturating_add(takes);
                due = *free_at;
            }
            Way::Stall { billionths, pause, chance } => {
                if chance.hits(*billionths) {
                    due = now + *pause;
                }
            }
            Way::Cut { left } => {
                let passes = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                bytes.truncate(passes);
                *left -= passes as u64;
                self.cut = *left == 0;
            }
            Way::Change { every, until_next } => {
                for byte in bytes.as_mut() {
                    *until_next -= 1;
                    if *until_next == 0 {
                        *byte ^= 0x80;
                        *until_next = *every;
                    }
                }
            }
        }
        if !bytes.is_empty() {
            self.held = Some((bytes.freeze(), due));
        }
    }

    /// Whether everything that may pass has been read.
    pub(in crate::proxy) fn is_cut(&self) -> bool {
        self.cut || matches!(self.way, Way::Cut { left: 0 })
    }

    /// What still waits when the effect ends; it passes at once.
    pub(in crate::proxy) fn rest(&mut self) -> Option<Bytes> {
        self.held.take().map(|(bytes, _)| bytes)
    }
}

#[cfg(test)]
mod tests {
    use harness_core::units::{Duration, Ratio};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn written(shaper: &mut Shaper, now: u64) -> Vec<u8> {
        match shaper.next(now) {
            Next::Write(bytes) => bytes.to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_limit_adds_up_over_pieces_and_a_pause_does_not_save_up() {
        let effect = ProxyEffect::Bandwidth { bytes_per_second: 1000 };
        let mut shaper = Shapers::of(&effect, 0).unwrap().outward;
        assert_eq!(shaper.next(0), Next::Read(50));
        shaper.take(&[1; 50], 0);
        assert_eq!(shaper.next(0), Next::Wait(SECOND / 20));
        assert_eq!(written(&mut shaper, SECOND / 20), [1; 50]);
        shaper.take(&[2; 50], SECOND / 20);
        assert_eq!(shaper.next(0), Next::Wait(SECOND / 10));
        assert_eq!(written(&mut shaper, 5 * SECOND), [2; 50]);
        shaper.take(&[3; 50], 5 * SECOND);
        assert_eq!(shaper.next(0), Next::Wait(5 * SECOND + SECOND / 20));
    }

    #[test]
    fn answers_are_cut_at_the_byte_and_changed_at_the_byte() {
        let cut = ProxyEffect::Truncate { after_bytes: 5 };
        let mut shaper = Shapers::of(&cut, 0).unwrap().inward;
        shaper.take(b"abc", 0);
        assert_eq!(written(&mut shaper, 0), b"abc");
        shaper.take(b"defg", 0);
        assert_eq!(written(&mut shaper, 0), b"de");
        assert_eq!(shaper.next(0), Next::End);
        let nothing = ProxyEffect::Truncate { after_bytes: 0 };
        assert_eq!(Shapers::of(&nothing, 0).unwrap().inward.next(0), Next::End);

        let corrupt = ProxyEffect::Corrupt { every_bytes: 3 };
        let mut shaper = Shapers::of(&corrupt, 0).unwrap().inward;
        shaper.take(b"abcd", 0);
        assert_eq!(written(&mut shaper, 0), [b'a', b'b', b'c' | 0x80, b'd']);
        shaper.take(b"efg", 0);
        assert_eq!(written(&mut shaper, 0), [b'e', b'f' | 0x80, b'g']);
    }

    #[test]
    fn some_pieces_stall_and_what_waits_at_the_end_is_not_lost() {
        let pause = Duration::from_millis(200);
        let stall = |share| ProxyEffect::Stall { share, pause, seed: 3 };
        let mut always = Shapers::of(&stall(Ratio::ONE), 0).unwrap().outward;
        always.take(b"abc", 7);
        assert_eq!(always.next(8), Next::Wait(200_000_007));
        assert_eq!(always.rest().unwrap(), b"abc"[..]);
        assert!(always.rest().is_none());
        let mut half = Shapers::of(&stall(Ratio::from_percent(50)), 0).unwrap().outward;
        let stalls = (0..1000).filter(|_| {
            half.take(b"x", 0);
            let waits = matches!(half.next(0), Next::Wait(_));
            half.rest();
            waits
        });
        // Five standard deviations are 79.
        assert!((420..=580).contains(&stalls.count()));
    }

    #[test]
    fn half_open_reads_requests_and_no_answers() {
        let mut shapers = Shapers::of(&ProxyEffect::HalfOpen, 0).unwrap();
        assert_eq!(shapers.inward.next(0), Next::Nothing);
        shapers.outward.take(b"ask", 0);
        assert_eq!(written(&mut shapers.outward, 0), b"ask");
        assert!(Shapers::of(&ProxyEffect::Refuse, 0).is_none());
    }
}
