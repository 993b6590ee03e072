//! What `gameday load` may be told. Bounds on one number are here, on several together in `job`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use harness_core::plan::Reuse;
use harness_core::units::{Duration, Rate, UnitError};

use crate::values::whole;

/// At most this many connections.
const CONNECTIONS_MAX: u32 = 10_000;
/// At most this many requests under way or waiting.
const IN_FLIGHT_MAX: u32 = 1_000_000;
/// At most this many threads.
const WORKERS_MAX: u32 = 64;

const AFTER_HELP: &str = "\
Examples:
  gameday load http://127.0.0.1:8080/ --rate 2000/s --for 10s
  gameday load http://127.0.0.1:8080/orders --rate 50/s --body '{\"id\":\"{{uuid}}\"}' --good 2xx,409
  gameday load https://staging.example/ --allow-host staging.example --rate 20/s

Exit codes:
  0 measured   2 the measurement is not valid: the report says why   3 interrupted
  64 wrong usage   69 the target cannot be used, or its host was not allowed";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Load {
    /// Where requests go: http or https; hosts beyond this machine need --allow-host
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// A scenario, by file or name, whose section `load` says what to send: mix, shape, feeds,
    /// journeys
    #[arg(
        long = "load",
        value_name = "SCENARIO",
        conflicts_with_all = [
            "closed", "rate", "ramp_to", "arrivals", "timer", "method", "body", "headers", "good",
            "body_contains", "timeout", "connections", "reuse", "in_flight", "workers", "http2",
        ]
    )]
    pub(crate) scenario: Option<String>,
    /// Requests that become due per time, whatever the target does: `2000/s`
    #[arg(
        long,
        value_name = "RATE",
        value_parser = quantity::<Rate>,
        default_value = "100/s",
        conflicts_with = "closed"
    )]
    pub(crate) rate: Rate,
    /// Go evenly from --rate to this rate over the whole time
    #[arg(long, value_name = "RATE", value_parser = quantity::<Rate>, conflicts_with = "closed")]
    pub(crate) ramp_to: Option<Rate>,
    /// How long requests become due; at most 1h, and 100 million requests
    #[arg(
        long = "for",
        value_name = "TIME",
        value_parser = quantity::<Duration>,
        default_value = "10s"
    )]
    pub(crate) length: Duration,
    /// How requests lie around the rate
    #[arg(long, value_name = "HOW", default_value = "constant")]
    pub(crate) arrivals: ArrivalsWord,
    /// How exactly each request leaves when it is due, and at what price in CPU
    #[arg(long, value_name = "HOW", default_value = "precise")]
    pub(crate) timer: TimerWord,
    /// The seed of arrivals and data
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole::<u64>(0..=u64::MAX))]
    pub(crate) seed: u64,
    /// Keep all connections busy instead of a rate: for benchmarks only, it hides every stall
    #[arg(long)]
    pub(crate) closed: bool,

    /// The method; without it GET, and POST with a body
    #[arg(long, value_name = "NAME", help_heading = "Request")]
    pub(crate) method: Option<String>,
    /// The body, or @FILE; `{{uuid}}` and `{{sequence}}` are filled in
    #[arg(long, value_name = "TEXT", help_heading = "Request")]
    pub(crate) body: Option<String>,
    /// A header; may be given again
    #[arg(long = "header", short = 'H', value_name = "NAME:VALUE", value_parser = header,
        help_heading = "Request")]
    pub(crate) headers: Vec<(String, String)>,
    /// Which statuses are good: `2xx,304,400-404`
    #[arg(long, value_name = "LIST", default_value = "2xx", help_heading = "Request")]
    pub(crate) good: String,
    /// The answer's body must contain this
    #[arg(long, value_name = "TEXT", help_heading = "Request")]
    pub(crate) body_contains: Option<String>,
    /// A request without its whole answer after this time is a timeout
    #[arg(
        long,
        value_name = "TIME",
        value_parser = quantity::<Duration>,
        default_value = "5s",
        help_heading = "Request"
    )]
    pub(crate) timeout: Duration,

    /// At most this many connections
    #[arg(long, value_name = "N", default_value_t = 50, help_heading = "Connections",
        value_parser = whole::<u32>(1..=CONNECTIONS_MAX))]
    pub(crate) connections: u32,
    /// How long a connection is kept: `always`, `never`, or a number of requests
    #[arg(long, value_name = "HOW", value_parser = reuse, default_value = "always",
        conflicts_with = "closed", help_heading = "Connections")]
    pub(crate) reuse: Reuse,
    /// At most this many requests under way or waiting; beyond it they count as overrun
    #[arg(long, value_name = "N", default_value_t = 10_000, help_heading = "Connections",
        value_parser = whole::<u32>(1..=IN_FLIGHT_MAX))]
    pub(crate) in_flight: u32,
    /// Threads that send
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Connections",
        value_parser = whole::<u32>(1..=WORKERS_MAX))]
    pub(crate) workers: u32,
    /// Speak HTTP/2 (on plain connections without negotiation)
    #[arg(long, help_heading = "Connections")]
    pub(crate) http2: bool,
    /// Allow load on this host beyond this machine; may be given again
    #[arg(long = "allow-host", value_name = "HOST", help_heading = "Connections")]
    pub(crate) allow_hosts: Vec<String>,

    /// The latency that matters: send lag beyond a tenth of it makes the measurement invalid
    #[arg(long, value_name = "TIME", value_parser = quantity::<Duration>, help_heading = "Result")]
    pub(crate) threshold: Option<Duration>,
    /// Print the result as JSON
    #[arg(long, help_heading = "Result")]
    pub(crate) json: bool,
    /// Write latencies per 100 ms as an `HdrHistogram` interval log
    #[arg(long, value_name = "FILE", conflicts_with = "closed", help_heading = "Result")]
    pub(crate) hdr_log: Option<PathBuf>,
}

/// How requests lie around the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ArrivalsWord {
    /// Evenly spaced
    Constant,
    /// As independent users arrive
    Poisson,
}

/// How exactly the schedule is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TimerWord {
    /// A millisecond or two late, cheap
    Relaxed,
    /// Tens of microseconds
    Precise,
    /// Polls before each instant: up to a core
    Exact,
}

fn reuse(text: &str) -> Result<Reuse, String> {
    match text {
        "always" => Ok(Reuse::Always {}),
        "never" => Ok(Reuse::UpTo { requests: 1 }),
        _ => match text.parse() {
            Ok(requests) if requests > 0 => Ok(Reuse::UpTo { requests }),
            Ok(_) | Err(_) => Err("write `always`, `never` or a number of requests".to_owned()),
        },
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("write NAME:VALUE".to_owned()),
    }
}

/// The unit's own hint belongs to its error.
fn quantity<T: std::str::FromStr<Err = UnitError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: UnitError| format!("{error}; {}", error.hint()))
}
