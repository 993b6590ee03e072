//! Load drivers: planned requests, sent when they are due, measured from when they were due.
//!
//! [`HttpDriver`] is the open loop over HTTP, [`JourneyDriver`] lets users walk, [`Drivers`] takes
//! whichever a plan needs. None keeps a record per request or decides anything about the system
//! under test, and each says of itself how late it was. [`run_closed`] is for benchmarks alone.

mod answer;
mod closed;
mod desk;
mod draw;
mod drivers;
mod flat;
mod hdr_log;
mod http;
mod joint_waker;
mod journeys;
mod lane;
mod latencies;
mod listen;
mod merge;
mod mix;
mod plain;
#[cfg(test)]
mod plans;
mod ranges;
mod recorder;
mod report;
mod request;
mod schedule;
mod search;
mod session;
mod target;
mod template;
mod timer;
mod transport;
mod worker;

pub use closed::{ClosedReport, run_closed};
pub use drivers::Drivers;
pub use hdr_log::HdrLog;
pub use http::HttpDriver;
pub use journeys::{JourneyDriver, JourneyError, walk_journeys};
pub use report::{KindReport, LoadReport, LoadTotals, Percentiles};
pub use schedule::Schedule;
pub use template::TemplateError;

/// The name of the open-loop driver in errors.
const DRIVER: &str = "the HTTP driver";
