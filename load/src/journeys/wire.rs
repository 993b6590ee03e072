//! What goes between the run and the process that walks: lines of JSON one way, letters the other.
//!
//! Both ends are the same program, so nothing here is kept or versioned. Bounded in both ways.

use std::io::{self, BufRead, Read as _, Write};

use harness_core::ids::{RunId, TrialIndex};
use harness_core::load::LoadError;
use harness_core::plan::LoadPlan;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::DRIVER;
use crate::merge::{TickPart, WorkerEnd};
use crate::recorder::WindowPart;
use crate::worker::Report;

/// A longer line is a failure.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Nothing more becomes due.
pub(super) const FINISH: u8 = b'f';
/// Nothing is sent any more.
pub(super) const STOP: u8 = b's';

/// What to walk: the first line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    /// Shape, mix, limits.
    pub(super) plan: LoadPlan,
    /// The run.
    pub(super) run: RunId,
    /// The trial.
    pub(super) trial: TrialIndex,
    /// The arm.
    pub(super) arm: String,
    /// Base URL.
    pub(super) target: String,
    /// Of all draws.
    pub(super) seed: u64,
    /// Before the number in ids.
    pub(super) id_prefix: String,
    /// The run's beginning on the machine's monotonic clock.
    pub(super) origin_ns: u64,
    /// The load's start, since the run's beginning.
    pub(super) from_ns: u64,
    /// Nothing is due at or after this.
    pub(super) until_ns: u64,
}

/// What the walking process tells.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Told {
    /// A closed window.
    Window(u32, WindowPart),
    /// A passed tick.
    Tick(u32, TickPart),
    /// It stood still between these times.
    Pause(u64, u64),
    /// It has told everything.
    Ended(WorkerEnd),
    /// The target cannot be used, and why.
    NoTarget(String, String),
    /// The plan asks for this, which cannot be done.
    Unsupported(String),
    /// It could not begin, or go on.
    Failed(String),
}

impl Told {
    /// What went wrong, for the way to the parent.
    pub(super) fn failure(error: LoadError) -> Self {
        match error {
            LoadError::Target { target, why } => Self::NoTarget(target, why),
            LoadError::Unsupported { what, .. } => Self::Unsupported(what),
            LoadError::Machine { action, why } => {
                Self::Failed(format!("could not {action}: {why}"))
            }
        }
    }

    /// The same as a worker's report.
    pub(super) fn into_report(self) -> Report {
        match self {
            Self::Window(index, part) => Report::Window(index, part),
            Self::Tick(index, part) => Report::Tick(index, part),
            Self::Pause(from, to) => Report::Pause(from, to),
            Self::Ended(end) => Report::Ended(end),
            Self::NoTarget(target, why) => Report::Failed(LoadError::Target { target, why }),
            Self::Unsupported(what) => {
                Report::Failed(LoadError::Unsupported { driver: DRIVER, what })
            }
            Self::Failed(why) => Report::Failed(failed(why)),
        }
    }
}

/// The walking process did not do its work.
pub(super) fn failed(why: String) -> LoadError {
    LoadError::Machine { action: "walk journeys in a process of their own", why }
}

/// Writes one line.
pub(super) fn write_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    out.write_all(&line)
}

/// Reads one line; `None` at the end.
pub(super) fn read_line<T: DeserializeOwned>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(serde_json::from_slice(&line)?)),
        Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use harness_core::load::RequestOutcome;

    use super::*;
    use crate::mix::Arrival;
    use crate::recorder::{Ending, Recorder};

    /// One window with `times` requests, as it is and as it comes out at the other end.
    fn across(times: &[u64]) -> (WindowPart, WindowPart, usize) {
        let mut recorder = Recorder::new(1, 100_000_000);
        for (number, latency_ns) in (0..).zip(times) {
            let arrival = Arrival { number, due_ns: 5, request: 0, id: Some(number) };
            recorder.planned(&arrival);
            recorder.sent(&arrival, 1_500_000);
            let outcome = RequestOutcome::Status(200);
            let (latency_ns, service_ns) = (*latency_ns, latency_ns / 2);
            recorder.ended(
                &arrival,
                Ending { outcome, good: true, latency_ns, service_ns, sent: true },
            );
        }
        let (_, part) = recorder.close();
        let mut bytes = Vec::new();
        write_line(&mut bytes, &Told::Window(0, part.clone())).unwrap();
        let told = read_line::<Told>(&mut bytes.as_slice()).unwrap();
        let Some(Told::Window(0, other)) = told else { panic!("{told:?}") };
        (part, other, bytes.len())
    }

    #[test]
    fn a_window_arrives_as_it_was() {
        let few: Vec<u64> = (1..300).map(|at| at * 1_234_567).collect();
        let many: Vec<u64> = (0..40_000).map(|at| 1_000_000 + at % 997 * 10_000).collect();
        for (times, bytes_max) in [(few, 10_000), (many, 60_000)] {
            let (part, other, bytes) = across(&times);
            let histogram = |part: &WindowPart| {
                let mut all = harness_core::load::latency_histogram();
                part.requests[0].latency.add_to(&mut all);
                (all, part.requests[0].planned, part.requests[0].outcomes.clone())
            };
            assert_eq!(histogram(&part), histogram(&other));
            assert_eq!(part.accepted, other.accepted);
            assert!(bytes < bytes_max, "{} requests took {bytes} bytes", times.len());
        }
    }

    #[test]
    fn a_line_that_was_cut_off_is_no_message() {
        let mut bytes = Vec::new();
        write_line(&mut bytes, &Told::Pause(1, 2)).unwrap();
        assert!(read_line::<Told>(&mut &bytes[..bytes.len() - 1]).is_err());
        assert!(read_line::<Told>(&mut &bytes[..0]).unwrap().is_none());
    }
}
