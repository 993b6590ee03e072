//! The port for load: arrivals are planned, latency is done minus intended.
//!
//! A driver keeps no record per request: it sums up into windows of 100 ms by the *intended* send
//! time and by request kind, and hands them on.

use std::collections::BTreeMap;
use std::fmt;

use hdrhistogram::Histogram;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{RequestKind, RunId, TrialIndex};
use crate::plan::LoadPlan;
use crate::system::BoxFuture;
use crate::time::RunTime;
use crate::units::Duration;

/// The length of a window of samples.
pub const WINDOW: Duration = Duration::from_millis(100);
/// The largest latency that a histogram tells apart; longer ones are counted as this.
pub const LATENCY_MAX: Duration = Duration::from_secs(600);

/// A histogram of latencies in microseconds: from 1 us to [`LATENCY_MAX`], three significant
/// digits. The one constructor for all, so that all merge exactly.
pub fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX.micros(), 3).expect("the bounds are constants")
}

/// How one request ended. Classes are never mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestOutcome {
    /// An answer with this status came in time, whole, and passed its checks.
    Status(u16),
    /// The connection was refused.
    Refused,
    /// The connection was reset or closed before the answer was whole.
    Reset,
    /// No whole answer within the request's timeout.
    Timeout,
    /// The TLS handshake failed.
    Tls,
    /// The answer's body failed its check, or its length was wrong.
    Body,
    /// Not sent: the bound on requests in flight was reached.
    Overrun,
    /// Not sent: the load was stopped first.
    Unsent,
    /// Anything else on the client's side (no address, no free port).
    Other,
}

impl fmt::Display for RequestOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Status(status) => return write!(f, "{status}"),
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Body => "body",
            Self::Overrun => "overrun",
            Self::Unsent => "unsent",
            Self::Other => "other",
        };
        f.write_str(text)
    }
}

impl std::str::FromStr for RequestOutcome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "refused" => Self::Refused,
            "reset" => Self::Reset,
            "timeout" => Self::Timeout,
            "tls" => Self::Tls,
            "body" => Self::Body,
            "overrun" => Self::Overrun,
            "unsent" => Self::Unsent,
            "other" => Self::Other,
            _ => Self::Status(text.parse().map_err(|_| format!("`{text}` is not an outcome"))?),
        })
    }
}

impl Serialize for RequestOutcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RequestOutcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// The samples of one request kind in one window.
#[derive(Debug, Clone, PartialEq)]
pub struct KindSamples {
    /// Requests whose intended send time lies in the window. Each has exactly one outcome once the
    /// window is closed.
    pub planned: u64,
    /// How they ended.
    pub outcomes: BTreeMap<RequestOutcome, u64>,
    /// Those that ended well by the plan's rule ([`LoadPlan::good`]).
    pub good: u64,
    /// Latency of the good ones from the intended send time, in us. The others count as endless.
    pub latency_us: Histogram<u64>,
    /// Service time of the good ones, from the real send time, in us.
    pub service_us: Histogram<u64>,
}

impl Default for KindSamples {
    fn default() -> Self {
        Self {
            planned: 0,
            outcomes: BTreeMap::new(),
            good: 0,
            latency_us: latency_histogram(),
            service_us: latency_histogram(),
        }
    }
}

impl KindSamples {
    /// Adds what another part of the same window, or another window, holds. Exact.
    pub fn merge(&mut self, other: &Self) {
        self.planned += other.planned;
        self.good += other.good;
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(*outcome).or_default() += count;
        }
        self.latency_us.add(&other.latency_us).expect("all histograms have the same bounds");
        self.service_us.add(&other.service_us).expect("all histograms have the same bounds");
    }
}

/// All samples of one closed window: every planned request of it has its outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowSamples {
    /// The trial.
    pub trial: TrialIndex,
    /// The window's number, from 0 at the start of the trial's load.
    pub index: u32,
    /// Its beginning on the run's clock.
    pub start: RunTime,
    /// By request kind.
    pub kinds: BTreeMap<RequestKind, KindSamples>,
    /// Send lag in us of all requests that were sent: how much later than intended they left by the
    /// client's own doing. Waiting for a connection while all are busy with the target is in the
    /// latency, not in the lag.
    pub lag_us: Histogram<u64>,
    /// The load client itself stood still in this window; its latencies are not the target's.
    pub paused: bool,
}

impl WindowSamples {
    /// An empty window.
    pub fn new(trial: TrialIndex, index: u32, start: RunTime) -> Self {
        Self {
            trial,
            index,
            start,
            kinds: BTreeMap::new(),
            lag_us: latency_histogram(),
            paused: false,
        }
    }

    /// Planned and good requests of all kinds.
    pub fn totals(&self) -> (u64, u64) {
        self.kinds
            .values()
            .fold((0, 0), |(planned, good), kind| (planned + kind.planned, good + kind.good))
    }
}

/// What happened in one tick, by completion time: for guardrails and for the screen, not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadTick {
    /// Requests whose intended send time came.
    pub due: u64,
    /// Requests that ended well in this tick.
    pub good: u64,
    /// Requests that ended otherwise in this tick.
    pub bad: u64,
    /// Requests in flight at the end of the tick.
    pub in_flight: u64,
    /// Largest send lag in this tick, in us.
    pub lag_us_max: u64,
    /// Median latency of the good ones of this tick from the intended send time, in us.
    pub latency_us_p50: u64,
    /// 99th percentile of the same, in us.
    pub latency_us_p99: u64,
}

/// Where a driver puts what it sums up. Never blocks.
pub trait SampleSink: Send + Sync {
    /// A window is closed. Windows of a trial come in ascending order, each once.
    fn window(&self, samples: WindowSamples);
    /// A tick of [`WINDOW`] has passed.
    fn tick(&self, tick: LoadTick);
}

/// Tells a driver, or a source, to stop.
pub trait Stop: Send + Sync {
    /// Whether to stop now.
    fn is_stopped(&self) -> bool;
    /// Ends when it is time to stop.
    fn stopped(&self) -> BoxFuture<'_, ()>;
    /// Whether to finish: nothing more becomes due, what is in flight may still end. A stop
    /// finishes, too.
    fn is_finishing(&self) -> bool {
        self.is_stopped()
    }
    /// Ends when it is time to finish.
    fn finishing(&self) -> BoxFuture<'_, ()> {
        self.stopped()
    }
}

/// One trial's load.
#[derive(Debug, Clone)]
pub struct LoadJob<'a> {
    /// Shape, mix, limits.
    pub plan: &'a LoadPlan,
    /// The run, for correlation headers.
    pub run: &'a RunId,
    /// The trial.
    pub trial: TrialIndex,
    /// The arm's name, for correlation headers.
    pub arm: &'a str,
    /// Base URL: `http://127.0.0.1:41234`.
    pub target: &'a str,
    /// Seeds arrivals, mix and data; from the plan.
    pub seed: u64,
    /// Ids of requests are `<prefix>-<sequence number>`.
    pub id_prefix: &'a str,
    /// The first window begins here; never in the past when the job is given.
    pub from: RunTime,
    /// No request is due at or after this time; the driver then waits for what is in flight.
    pub until: RunTime,
}

/// What a driver did as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadSummary {
    /// Requests whose intended send time came.
    pub due: u64,
    /// Requests that were sent.
    pub sent: u64,
    /// Sequence numbers of requests that ended well and carried an id, as inclusive ranges.
    pub accepted: Vec<(u64, u64)>,
    /// Sequence numbers of requests with an id whose end the client does not know (timeout, reset
    /// after sending), as inclusive ranges: the system may or may not have accepted them.
    pub unknown: Vec<(u64, u64)>,
    /// Send lag in us: median.
    pub lag_us_p50: u64,
    /// Send lag in us: 99th percentile.
    pub lag_us_p99: u64,
    /// Send lag in us: largest.
    pub lag_us_max: u64,
    /// CPU time that the driver used, as a share of one core over its run.
    pub cpu_cores: f64,
    /// How often, and how long in all, the client itself stood still.
    pub pauses: u32,
    /// The same, as time.
    pub paused: Duration,
    /// Requests that stand out: the slowest that ended well, slowest first, then the first that did
    /// not. Without correlation headers nobody could find them, and there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<TraceNote>,
}

/// One request by the name that the target's own tracing knows it by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceNote {
    /// The trace id of its header `traceparent`: 32 hexadecimal digits.
    pub trace_id: String,
    /// What was asked.
    pub kind: RequestKind,
    /// When it was due.
    pub due: RunTime,
    /// How it ended.
    pub outcome: RequestOutcome,
    /// From when it was due to its end, in us.
    pub latency_us: u64,
}

/// Why load could not be driven at all.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The target's address cannot be used.
    #[error("could not use {target} as a target: {why}")]
    Target {
        /// The base URL.
        target: String,
        /// Why.
        why: String,
    },
    /// The plan asks for what this driver cannot do.
    #[error("{driver} cannot drive {what}")]
    Unsupported {
        /// Which driver.
        driver: &'static str,
        /// What was asked.
        what: String,
    },
    /// The machine refused something that the driver needs.
    #[error("could not {action}: {why}")]
    Machine {
        /// What was tried.
        action: &'static str,
        /// What came instead.
        why: String,
    },
}

/// Sends load. Ends when all is sent and answered or timed out, or at once after a stop: then no
/// byte is sent any more and requests in flight are counted as [`RequestOutcome::Unsent`] when they
/// were not sent, else as [`RequestOutcome::Timeout`].
pub trait LoadDriver: Send + Sync {
    /// Drives one job.
    fn run<'a>(
        &'a self,
        job: LoadJob<'a>,
        out: &'a dyn SampleSink,
        stop: &'a dyn Stop,
    ) -> BoxFuture<'a, Result<LoadSummary, LoadError>>;
}
