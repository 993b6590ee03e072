//! One worker's sums: per window of the intended send time and per request of the mix.
//!
//! Pure: times come in as nanoseconds since the load's start. A window can be closed once it has
//! passed and each of its requests has its outcome; windows are closed in ascending order. Memory
//! depends on how long a request may take, not on how many there are: see `latencies`.

use std::collections::VecDeque;
use std::ops::Range;

use harness_core::load::{RequestOutcome, WINDOW};
use serde::{Deserialize, Serialize};

use crate::latencies::Latencies;
use crate::mix::Arrival;

/// The length of a window in ns.
pub(crate) const WINDOW_NS: u64 = WINDOW.micros() * 1000;

/// How one request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending {
    /// The class.
    pub(crate) outcome: RequestOutcome,
    /// By the plan's rule.
    pub(crate) good: bool,
    /// From the intended send time.
    pub(crate) latency_ns: u64,
    /// From the real send time.
    pub(crate) service_ns: u64,
    /// Whether a byte of it may have been sent.
    pub(crate) sent: bool,
}

/// A request that stands out among those of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notable {
    /// Its number within the trial.
    pub(crate) number: u64,
    /// When it was due, since the load's start.
    pub(crate) due_ns: u64,
    /// Its place in the mix.
    pub(crate) request: usize,
    /// How it ended.
    pub(crate) outcome: RequestOutcome,
    /// From the intended send time.
    pub(crate) latency_ns: u64,
}

/// One worker's part of a window.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct WindowPart {
    /// By place in the mix.
    pub(crate) requests: Vec<RequestPart>,
    /// Send lag of what was sent.
    pub(crate) lag: Latencies,
    /// The client stood still.
    pub(crate) paused: bool,
    /// Ids of requests that ended well.
    #[serde(with = "as_ranges")]
    pub(crate) accepted: Vec<u64>,
    /// Ids of requests of which nobody knows whether the system took them.
    #[serde(with = "as_ranges")]
    pub(crate) unknown: Vec<u64>,
    /// The slowest of those that ended well.
    pub(crate) slowest: Option<Notable>,
    /// The first to end otherwise.
    pub(crate) failed: Option<Notable>,
    #[serde(skip)]
    pending: u64,
}

/// One request of the mix in a window.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct RequestPart {
    /// Intended in this window.
    pub(crate) planned: u64,
    /// How they ended; each outcome once.
    pub(crate) outcomes: Vec<(RequestOutcome, u64)>,
    /// Those that ended well.
    pub(crate) good: u64,
    /// Of the good ones, from the intended send time.
    pub(crate) latency: Latencies,
    /// Of the good ones, from the real send time.
    pub(crate) service: Latencies,
}

impl WindowPart {
    /// Whether no request was due in it.
    fn is_empty(&self) -> bool {
        self.requests.iter().all(|request| request.planned == 0)
    }
}

/// All open windows of one worker.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// The number of the first open window.
    first: u32,
    open: VecDeque<WindowPart>,
    /// Requests in the mix.
    requests: usize,
    /// Windows in all.
    windows: u32,
}

/// The number of the window in which an instant lies.
pub(crate) fn window_of(at_ns: u64) -> u32 {
    u32::try_from(at_ns / WINDOW_NS).expect("a load of 13 years does not happen")
}

impl Recorder {
    /// For a mix of `requests` over `length_ns`.
    pub(crate) fn new(requests: usize, length_ns: u64) -> Self {
        let windows = window_of(length_ns.saturating_add(WINDOW_NS - 1));
        Self { first: 0, open: VecDeque::new(), requests, windows }
    }

    fn window(&mut self, index: u32) -> &mut WindowPart {
        assert!(index >= self.first, "a window is closed after the last outcome of its requests");
        let place = (index - self.first) as usize;
        while self.open.len() <= place {
            let requests = vec![RequestPart::default(); self.requests];
            self.open.push_back(WindowPart { requests, ..WindowPart::default() });
        }
        &mut self.open[place]
    }

    /// A request is due.
    pub(crate) fn planned(&mut self, arrival: &Arrival) {
        let window = self.window(window_of(arrival.due_ns));
        window.requests[arrival.request].planned += 1;
        window.pending += 1;
    }

    /// A request was sent, this late by the client's own doing.
    pub(crate) fn sent(&mut self, arrival: &Arrival, lag_ns: u64) {
        self.window(window_of(arrival.due_ns)).lag.record(lag_ns);
    }

    /// A planned request has its outcome.
    pub(crate) fn ended(&mut self, arrival: &Arrival, ending: Ending) {
        let window = self.window(window_of(arrival.due_ns));
        window.pending = window.pending.checked_sub(1).expect("each request ends once");
        let request = &mut window.requests[arrival.request];
        match request.outcomes.iter_mut().find(|(outcome, _)| *outcome == ending.outcome) {
            Some((_, count)) => *count += 1,
            None => request.outcomes.push((ending.outcome, 1)),
        }
        let notable = Notable {
            number: arrival.number,
            due_ns: arrival.due_ns,
            request: arrival.request,
            outcome: ending.outcome,
            latency_ns: ending.latency_ns,
        };
        if !ending.good {
            window.failed.get_or_insert(notable);
        } else if window.slowest.is_none_or(|slowest| slowest.latency_ns < ending.latency_ns) {
            window.slowest = Some(notable);
        }
        if ending.good {
            request.good += 1;
            request.latency.record(ending.latency_ns);
            request.service.record(ending.service_ns);
        }
        if let Some(id) = arrival.id {
            if ending.good {
                window.accepted.push(id);
            } else if is_unknown(ending) {
                window.unknown.push(id);
            }
        }
    }

    /// The client stood still: marks the windows in that time and all that wait for an outcome.
    pub(crate) fn paused(&mut self, gap_ns: Range<u64>) {
        let last = window_of(gap_ns.end).min(self.windows.saturating_sub(1));
        for index in window_of(gap_ns.start).max(self.first)..=last {
            self.window(index).paused = true;
        }
        for window in self.open.iter_mut().filter(|window| window.pending > 0) {
            window.paused = true;
        }
    }

    /// Marks the window of one request: it was held up by a pause before it.
    pub(crate) fn held_up(&mut self, arrival: &Arrival) {
        self.window(window_of(arrival.due_ns)).paused = true;
    }

    /// Whether the oldest open window can be closed, given that no request due before `until_ns`
    /// is still to come.
    pub(crate) fn can_close(&mut self, until_ns: u64) -> bool {
        let end = u64::from(self.first + 1) * WINDOW_NS;
        end <= until_ns && self.first < self.windows && self.window(self.first).pending == 0
    }

    /// Closes the oldest open window, which can be closed.
    pub(crate) fn close(&mut self) -> (u32, WindowPart) {
        let part = self.open.pop_front().expect("`can_close` saw it");
        self.first += 1;
        (self.first - 1, part)
    }

    /// Whether every planned request has its outcome.
    pub(crate) fn is_settled(&self) -> bool {
        self.open.iter().all(|window| window.pending == 0)
    }

    /// Ends the recording: all windows up to `until_ns`, which are settled.
    pub(crate) fn finish(mut self, until_ns: u64) -> impl Iterator<Item = (u32, WindowPart)> {
        assert!(self.is_settled(), "every planned request has its outcome at the end");
        let windows = window_of(until_ns.saturating_add(WINDOW_NS - 1)).min(self.windows);
        if windows > self.first {
            self.window(windows - 1);
        }
        // A pause may have marked windows that were planned before the load was told to finish.
        let kept = windows.saturating_sub(self.first) as usize;
        while self.open.len() > kept && self.open.back().is_some_and(WindowPart::is_empty) {
            self.open.pop_back();
        }
        (self.first..).zip(self.open)
    }
}

/// Ids on their way to another process: neighbours as one range.
mod as_ranges {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::ranges::Ranges;

    pub(super) fn serialize<S: Serializer>(ids: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
        ids.iter().copied().collect::<Ranges>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u64>, D::Error> {
        Ok(Ranges::deserialize(deserializer)?.numbers().collect())
    }
}

/// Sent, and no answer that says whether it was taken. An error status is an answer; whether the
/// system kept the request all the same is for the comparison with the system to show.
fn is_unknown(ending: Ending) -> bool {
    ending.sent
        && match ending.outcome {
            RequestOutcome::Timeout
            | RequestOutcome::Reset
            | RequestOutcome::Body
            | RequestOutcome::Other => true,
            RequestOutcome::Status(status) => status >= 500,
            RequestOutcome::Refused
            | RequestOutcome::Tls
            | RequestOutcome::Overrun
            | RequestOutcome::Unsent => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(due_ms: u64, number: u64) -> Arrival {
        Arrival { number, due_ns: due_ms * 1_000_000, request: 0, id: Some(number) }
    }

    fn ending(outcome: RequestOutcome) -> Ending {
        let good = outcome == RequestOutcome::Status(200);
        Ending { outcome, good, latency_ns: 5_000_000, service_ns: 1_000_000, sent: true }
    }

    #[test]
    fn a_window_waits_for_its_last_outcome() {
        let mut recorder = Recorder::new(1, 1_000_000_000);
        let (first, second) = (arrival(10, 0), arrival(110, 1));
        recorder.planned(&first);
        recorder.planned(&second);
        recorder.ended(&second, ending(RequestOutcome::Status(200)));
        assert!(!recorder.can_close(500_000_000), "the first request is on its way");
        recorder.ended(&first, ending(RequestOutcome::Timeout));
        assert!(!recorder.can_close(99_999_999), "the window has not passed");
        assert!(recorder.can_close(100_000_000));
        let (index, part) = recorder.close();
        assert_eq!((index, part.requests[0].planned, part.requests[0].good), (0, 1, 0));
        assert_eq!(part.unknown, [0]);
        assert!(!recorder.can_close(100_000_000));
        assert!(recorder.can_close(200_000_000));
        let (index, part) = recorder.close();
        assert_eq!((index, part.accepted), (1, vec![1]));
        assert!(recorder.is_settled());
        assert_eq!(recorder.finish(1_000_000_000).count(), 8);
    }

    #[test]
    fn a_pause_marks_its_windows_and_those_on_their_way() {
        let mut recorder = Recorder::new(1, 1_000_000_000);
        let (slow, quick) = (arrival(10, 0), arrival(150, 1));
        recorder.planned(&slow);
        recorder.planned(&quick);
        recorder.ended(&quick, ending(RequestOutcome::Status(200)));
        recorder.paused(320_000_000..450_000_000);
        recorder.held_up(&arrival(520, 2));
        recorder.ended(&slow, ending(RequestOutcome::Status(200)));
        let paused: Vec<u32> = recorder
            .finish(1_000_000_000)
            .filter(|(_, part)| part.paused)
            .map(|(index, _)| index)
            .collect();
        assert_eq!(paused, [0, 3, 4, 5]);
    }

    #[test]
    fn a_pause_at_the_end_marks_no_window_beyond_it() {
        let mut recorder = Recorder::new(1, 250_000_000);
        recorder.paused(240_000_000..900_000_000);
        let all: Vec<bool> = recorder.finish(900_000_000).map(|(_, part)| part.paused).collect();
        assert_eq!(all, [false, false, true]);
        // Told to finish at 110 ms, it stood still up to 900 ms.
        let mut recorder = Recorder::new(1, 1_000_000_000);
        recorder.planned(&arrival(100, 0));
        recorder.paused(120_000_000..900_000_000);
        recorder.ended(&arrival(100, 0), ending(RequestOutcome::Status(200)));
        let all: Vec<bool> = recorder.finish(110_000_000).map(|(_, part)| part.paused).collect();
        assert_eq!(all, [false, true]);
    }
}
