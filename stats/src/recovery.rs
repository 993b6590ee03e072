//! From probes to a recovery time: an interval that encloses it, or the time up to which there was
//! none.
//!
//! Nothing between two probes is guessed. A series that ends too early is censored, not recovered;
//! a series that says nothing is censored at zero.

use crate::decision::State;
use std::time::Duration;

/// One look at the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// When, on the clock of the run.
    pub at: Duration,
    /// Whether the system was seen to work.
    pub good: bool,
}

/// A time known to lie in `(lower, upper]`, or to be above `lower` when there is no upper end.
/// Both ends equal mean the time itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// The time is above this, or equal to it when both ends are equal.
    pub lower: Duration,
    /// The time is at most this; `None` when the end was not seen.
    pub upper: Option<Duration>,
}

impl Interval {
    /// Whether the time is within a deadline: ok by the upper end, bad by the lower one.
    pub fn within(self, deadline: Duration) -> State {
        if self.upper.is_some_and(|upper| upper <= deadline) {
            State::Ok
        } else if self.lower >= deadline {
            State::Bad
        } else {
            State::Ambiguous
        }
    }
}

/// What the probes of one case show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// No probe after the start was bad: the recovery time is zero. Says something only where the
    /// fault is known to have been in force.
    NoImpact,
    /// The system recovered and held.
    Recovered {
        /// Whether a probe after the recovery was bad again.
        relapsed: bool,
    },
    /// No recovery that held was seen up to the end of the series.
    Censored,
}

/// The recovery of one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// What happened.
    pub course: Course,
    /// When, from the moment that is measured from.
    pub interval: Interval,
}

/// How a recovery is looked for, in times on the clock of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Search {
    /// When the fault started; earlier probes are not looked at.
    pub fault_start: Duration,
    /// How long all probes must be good from the recovery on.
    pub hold: Duration,
    /// The moment that the recovery time counts from; a recovery before it takes no time.
    pub measured_from: Duration,
}

/// Finds the recovery in probes in ascending order of time.
///
/// The recovery is the first good probe after a bad one such that all probes from it up to and
/// including `hold` later are good and the series reaches that far. The time lies between the last
/// bad probe before it and the probe itself.
pub fn from_probes(probes: &[Probe], search: &Search) -> Recovery {
    let since = |at: Duration| at.saturating_sub(search.measured_from);
    let first = probes.partition_point(|probe| probe.at < search.fault_start);
    let probes = &probes[first..];
    let censored = |at: Duration| Recovery {
        course: Course::Censored,
        interval: Interval { lower: since(at), upper: None },
    };
    let Some(end) = probes.last().map(|probe| probe.at) else {
        return censored(Duration::ZERO);
    };
    let Some(mut last_bad) = probes.iter().position(|probe| !probe.good) else {
        let interval = Interval { lower: Duration::ZERO, upper: Some(Duration::ZERO) };
        return Recovery { course: Course::NoImpact, interval };
    };
    let mut next = last_bad + 1;
    while let Some(candidate) = probes.get(next) {
        if !candidate.good {
            last_bad = next;
            next += 1;
            continue;
        }
        let held_until = candidate.at + search.hold;
        let broken = probes[next..]
            .iter()
            .take_while(|probe| probe.at <= held_until)
            .position(|probe| !probe.good);
        match broken {
            Some(offset) => {
                last_bad = next + offset;
                next = last_bad + 1;
            }
            None if end < held_until => break,
            None => {
                let relapsed = probes[next..].iter().any(|probe| !probe.good);
                let (lower, upper) = (since(probes[last_bad].at), Some(since(candidate.at)));
                let interval = Interval { lower, upper };
                return Recovery { course: Course::Recovered { relapsed }, interval };
            }
        }
    }
    censored(probes[last_bad].at)
}

/// When something first happened at or after a start, such as an alert or a mitigating action, seen
/// until `observed_until`: the same interval as for a recovery, its ends equal because events carry
/// their own time.
pub fn first_event(
    events: impl IntoIterator<Item = Duration>,
    start: Duration,
    observed_until: Duration,
) -> Interval {
    let first = events.into_iter().filter(|at| *at >= start).min();
    let since = |at: Duration| at.saturating_sub(start);
    match first {
        Some(at) => Interval { lower: since(at), upper: Some(since(at)) },
        None => Interval { lower: since(observed_until), upper: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEARCH: Search = Search {
        fault_start: Duration::from_secs(10),
        hold: Duration::from_secs(10),
        measured_from: Duration::from_secs(10),
    };

    /// One probe every five seconds from zero, `.` for good and `x` for bad.
    fn recovery(probes: &str) -> (Course, u64, Option<u64>) {
        let probes: Vec<Probe> = (0..)
            .zip(probes.chars())
            .map(|(step, sign)| Probe { at: Duration::from_secs(step * 5), good: sign == '.' })
            .collect();
        let found = from_probes(&probes, &SEARCH);
        let upper = found.interval.upper.map(|upper| upper.as_secs());
        (found.course, found.interval.lower.as_secs(), upper)
    }

    #[test]
    fn courses() {
        let recovered = Course::Recovered { relapsed: false };
        assert_eq!(recovery(".......").0, Course::NoImpact);
        assert_eq!(recovery("..xx..."), (recovered, 5, Some(10)));
        assert_eq!(recovery("..xx.."), (Course::Censored, 5, None));
        assert_eq!(recovery("..xx..x..."), (recovered, 20, Some(25)));
        assert_eq!(recovery("..xx...x"), (Course::Recovered { relapsed: true }, 5, Some(10)));
        assert_eq!(recovery("..xxxx"), (Course::Censored, 15, None));
        assert_eq!(recovery("xx....."), (Course::NoImpact, 0, Some(0)));
    }

    #[test]
    fn silence_is_not_recovery() {
        assert_eq!(recovery(""), (Course::Censored, 0, None));
        assert_eq!(recovery(".."), (Course::Censored, 0, None));
    }

    /// Over every series of ten probes: a bad probe in place of a good one never makes a late
    /// recovery a timely one that lasts. (It can make one that relapses: a late impact becomes
    /// an early one. That is why a relapse is a finding of its own.)
    #[test]
    fn a_bad_probe_never_makes_a_late_recovery_timely() {
        let series = |code: u32| -> Vec<Probe> {
            (0_u32..10)
                .map(|step| Probe {
                    at: Duration::from_secs(u64::from(step) * 5),
                    good: code >> step & 1 == 1,
                })
                .collect()
        };
        for deadline in [5, 10, 20, 30].map(Duration::from_secs) {
            let lasting = |code| {
                let found = from_probes(&series(code), &SEARCH);
                found.course != Course::Recovered { relapsed: true }
                    && found.interval.within(deadline) == State::Ok
            };
            for code in (0..1_u32 << 10).filter(|code| !lasting(*code)) {
                let timely = from_probes(&series(code), &SEARCH).interval.within(deadline);
                for step in (0_u32..10).filter(|step| code >> step & 1 == 1) {
                    let worse = lasting(code & !(1 << step));
                    assert!(timely == State::Ok || !worse, "{code:b} {step} {deadline:?}");
                }
            }
        }
    }

    #[test]
    fn events_are_exact_or_censored() {
        let seconds = Duration::from_secs;
        let found = first_event([3, 12, 15].map(seconds), seconds(10), seconds(60));
        assert_eq!(found, Interval { lower: seconds(2), upper: Some(seconds(2)) });
        let none = first_event([], seconds(10), seconds(60));
        assert_eq!(none, Interval { lower: seconds(50), upper: None });
        assert_eq!(none.within(seconds(50)), State::Bad);
    }
}
