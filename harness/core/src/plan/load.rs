//! The load of every trial: shape, arrivals, mix, limits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::JourneysPlan;
use crate::ids::RequestKind;
use crate::units::{Duration, Rate};

/// Load of every trial, latency from the intended send time. Open loop, arrivals by schedule; with
/// [`Shape::Journeys`] a closed model, in which nobody but a user says when a request is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadPlan {
    /// How the rate goes over time.
    pub shape: Shape,
    /// How arrivals lie around the rate.
    pub arrivals: Arrivals,
    /// A request without its whole answer after this time, counted from its real send time, is a
    /// timeout.
    pub timeout: Duration,
    /// The requests and their weights; at least one.
    pub mix: Vec<RequestPlan>,
    /// Values for templates, by name.
    pub feeds: BTreeMap<String, Feed>,
    /// Which statuses are good; at least one range.
    pub good: Vec<StatusRange>,
    /// At most this many connections at once.
    pub connections_max: u32,
    /// How long a connection is kept.
    #[serde(default = "always")]
    pub reuse: Reuse,
    /// At most this many requests sent and unanswered, or waiting for a connection. What is due
    /// beyond it is not sent and counted as `overrun`.
    pub in_flight_max: u32,
    /// How exactly the schedule is kept.
    pub timer: TimerMode,
    /// Whether requests carry `traceparent` and `baggage` with run, trial and arm.
    pub correlation: bool,
    /// Threads that send.
    pub workers: u32,
    /// Speak HTTP/2 instead of HTTP/1.1.
    pub http2: bool,
}

impl LoadPlan {
    /// Whether a status counts as good.
    pub fn is_good(&self, status: u16) -> bool {
        self.good.iter().any(|range| range.holds(status))
    }

    /// The journeys, where the load is made of them.
    pub fn journeys(&self) -> Option<&JourneysPlan> {
        match &self.shape {
            Shape::Journeys(journeys) => Some(journeys),
            Shape::Constant { .. }
            | Shape::Ramp { .. }
            | Shape::Steps { .. }
            | Shape::Spike { .. }
            | Shape::Recorded { .. } => None,
        }
    }
}

/// How long a connection is kept. Means nothing for HTTP/2, whose connections are shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Reuse {
    /// As long as the target keeps it.
    Always {},
    /// For so many requests; at least 1.
    UpTo {
        /// Then it is closed.
        requests: u32,
    },
}

/// What plans without the field have meant.
fn always() -> Reuse {
    Reuse::Always {}
}

/// Statuses from `from` to `to`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusRange {
    /// First.
    pub from: u16,
    /// Last.
    pub to: u16,
}

impl StatusRange {
    /// Whether a status is one of them.
    pub fn holds(self, status: u16) -> bool {
        (self.from..=self.to).contains(&status)
    }
}

/// How the rate goes over the time since the load's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Shape {
    /// One rate.
    Constant {
        /// The rate.
        rate: Rate,
    },
    /// Linear from one rate to another, then the latter.
    Ramp {
        /// At the start.
        from: Rate,
        /// At the end and after it.
        to: Rate,
        /// How long it takes.
        over: Duration,
    },
    /// One rate after the other; the last one stays.
    Steps {
        /// At least one.
        steps: Vec<Step>,
    },
    /// A base rate with a higher one for a while.
    Spike {
        /// Before and after.
        base: Rate,
        /// In the spike.
        peak: Rate,
        /// When it begins, from the load's start.
        at: Duration,
        /// How long it lasts.
        lasts: Duration,
    },
    /// Recorded arrivals, from the load's start, ascending.
    Recorded {
        /// Offsets in microseconds.
        offsets_us: Vec<u64>,
    },
    /// No rate at all: users who wait for their answers and pause. Each request of the mix is a
    /// step of one journey and carries its journey's weight; `arrivals` means nothing.
    Journeys(JourneysPlan),
}

/// One step of [`Shape::Steps`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The rate.
    pub rate: Rate,
    /// How long it lasts.
    pub lasts: Duration,
}

/// How arrivals lie around the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Arrivals {
    /// Evenly spaced.
    Constant,
    /// A Poisson process: as independent users arrive.
    Poisson,
}

/// How exactly the schedule is kept, and at what price in CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TimerMode {
    /// The runtime's own timer: a millisecond or two late, cheap.
    Relaxed,
    /// A timer of the kernel for each instant: tens of microseconds. The default on Linux.
    Precise,
    /// Polls for the last 100 us: uses up to a core.
    Exact,
}

/// One request of the mix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestPlan {
    /// `POST /checkout`: method and path as written.
    pub kind: RequestKind,
    /// Its share of all requests is this over the sum of all weights; at least 1.
    pub weight: u32,
    /// Method in capitals.
    pub method: String,
    /// Path and query; `{{name}}` and `{{name.column}}` stand for values of feeds.
    pub path: String,
    /// Headers; values may hold templates.
    pub headers: BTreeMap<String, String>,
    /// Body; may hold templates.
    pub body: Option<String>,
    /// What stands in the header `idempotency-key`.
    pub key: Key,
    /// The answer's body must contain this.
    pub body_contains: Option<String>,
}

/// What stands in the header `idempotency-key`, and so names the request to the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Key {
    /// No such header: the request cannot be followed through the system.
    None,
    /// `<run>-<trial>-<sequence number>`: can be followed, and compared as ranges.
    Sequence,
    /// A random UUID; cannot be followed.
    Uuid,
}

/// Where the values of a template come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Feed {
    /// A fresh UUID (version 4) from the trial's seed.
    Uuid {},
    /// 0, 1, 2, ... within the trial.
    Sequence {},
    /// One of these, at random.
    Choice {
        /// At least one.
        of: Vec<String>,
    },
    /// Rows with named columns, one row per request, at random or in turn.
    Rows {
        /// At least one.
        rows: Vec<BTreeMap<String, String>>,
        /// In turn, beginning again at the end; else at random.
        in_turn: bool,
    },
}
