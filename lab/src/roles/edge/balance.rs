//! Which instance gets the next request: the one with the fewest pending requests among those
//! not ejected, in turn where several are equal. Pure, except for atomic counters.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use crate::http::Client;

/// After so many timeouts in a row an instance is ejected; a refused or broken connection
/// ejects at once.
const TIMEOUTS_MAX: u32 = 5;

/// One instance behind the balancer.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) client: Client,
    pub(super) pending: AtomicUsize,
    ejected: AtomicBool,
    timeouts: AtomicU32,
}

impl Upstream {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            pending: AtomicUsize::new(0),
            ejected: AtomicBool::new(false),
            timeouts: AtomicU32::new(0),
        }
    }

    pub(super) fn is_ejected(&self) -> bool {
        self.ejected.load(Ordering::Relaxed)
    }

    /// Takes the instance out; `true` when it was in.
    pub(super) fn eject(&self) -> bool {
        !self.ejected.swap(true, Ordering::Relaxed)
    }

    /// Puts the instance back after a good answer.
    pub(super) fn restore(&self) {
        self.timeouts.store(0, Ordering::Relaxed);
        self.ejected.store(false, Ordering::Relaxed);
    }

    /// An answer came in time.
    pub(super) fn answered(&self) {
        self.timeouts.store(0, Ordering::Relaxed);
    }

    /// No answer came in time; `true` when that is one too many.
    pub(super) fn timed_out(&self) -> bool {
        self.timeouts.fetch_add(1, Ordering::Relaxed) + 1 >= TIMEOUTS_MAX
    }
}

/// What the choice looks at, for one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) pending: usize,
    pub(super) ejected: bool,
    /// Whether this request was sent to it before.
    pub(super) tried: bool,
}

/// The index of the best instance, starting the search at `turn`. When all are ejected they are
/// used as if none were; nothing only when each was tried.
pub(super) fn choose(candidates: &[Candidate], turn: usize) -> Option<usize> {
    let count = candidates.len();
    (0..count)
        .map(|step| (turn + step) % count)
        .filter(|at| !candidates[*at].tried)
        .min_by_key(|at| (candidates[*at].ejected, candidates[*at].pending))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(turn: usize, candidates: &[(usize, bool, bool)], expected: Option<usize>) {
        let candidates: Vec<Candidate> = candidates
            .iter()
            .map(|(pending, ejected, tried)| Candidate {
                pending: *pending,
                ejected: *ejected,
                tried: *tried,
            })
            .collect();
        assert_eq!(choose(&candidates, turn), expected, "{turn} {candidates:?}");
    }

    #[test]
    fn the_least_busy_one_that_is_in_wins() {
        check(0, &[], None);
        check(0, &[(3, false, false), (1, false, false), (2, false, false)], Some(1));
        check(0, &[(0, true, false), (9, false, false)], Some(1));
        check(0, &[(2, true, false), (1, true, false)], Some(1));
        check(0, &[(0, false, true), (9, false, false)], Some(1));
        check(0, &[(0, false, true), (0, false, true)], None);
    }

    #[test]
    fn equal_ones_take_turns() {
        let equal = [(0, false, false); 3];
        for turn in 0..6 {
            check(turn, &equal, Some(turn % 3));
        }
    }
}
