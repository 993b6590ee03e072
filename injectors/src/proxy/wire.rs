//! What is said over the proxy's control socket: HTTP/1.1 with JSON.
//!
//! ```text
//! GET    /v1/health             who the proxy is
//! GET    /v1/routes             every route with its counters
//! GET    /v1/faults             faults in force, and the last ones that ended
//! PUT    /v1/faults/NAME        put a fault in force; idempotent by name
//! POST   /v1/faults/NAME/renew  extend its lease
//! DELETE /v1/faults/NAME        put it back; idempotent
//! ```
//!
//! A name is used once: after a `DELETE`, also of a name that was never seen, and after the end of
//! a lease, a `PUT` with that name is refused with 409. So a request that was delayed on its way
//! cannot bring back a fault that was put back meanwhile.

use harness_core::ids::EdgeName;
use harness_core::units::{Duration, Ratio};
use serde::{Deserialize, Serialize};

/// The format of the proxy's configuration and of its answers.
pub const FORMAT: &str = "gameday.proxy/1";

/// The longest lease that the proxy grants.
pub const LEASE_MAX: Duration = Duration::from_secs(3600);

/// The longest name of a fault, in bytes.
pub const NAME_BYTES_MAX: usize = 200;

/// What the proxy does on an edge while a fault is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ProxyEffect {
    /// Nothing listens: new connections get ECONNREFUSED, existing ones are reset.
    Refuse,
    /// Existing connections are reset, new ones as soon as they are accepted.
    Reset,
    /// Connections stay and new ones are accepted, but no byte moves in either direction. After
    /// the fault the held bytes flow and the connections go on.
    Blackhole,
    /// Every HTTP/1.1 request is answered with this status, and none reaches the callee. Existing
    /// connections are kept: they are answered from their next request on, and after the fault
    /// they go on to the callee.
    Status(u16),
    /// Every request is delayed on its way; the order of bytes is kept.
    Latency {
        /// Added to the round-trip time.
        delay: Duration,
        /// Uniformly at most this much more or less.
        jitter: Duration,
    },
    /// Requests pass; answers are not taken from the callee. After the fault they flow.
    HalfOpen,
    /// Each direction of each connection carries no more.
    Bandwidth {
        /// On average, from the first byte on.
        bytes_per_second: u64,
    },
    /// Some pieces of a request, and all behind them, wait: as after a lost packet.
    Stall {
        /// Of the pieces, each for itself.
        share: Ratio,
        /// How long they wait.
        pause: Duration,
        /// For the choice of the pieces.
        seed: u64,
    },
    /// A connection is closed after so much of the answers.
    Truncate {
        /// Counted from the beginning of the fault, for each connection.
        after_bytes: u64,
    },
    /// The highest bit of one byte in so many of the answers is flipped.
    Corrupt {
        /// The distance of two such bytes of one connection.
        every_bytes: u64,
    },
    /// Some HTTP/1.1 requests are answered with an error or delayed; the others pass.
    Http(HttpEffect),
}

/// What happens to single requests. The connection is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpEffect {
    /// Only requests of this method; all where there is none.
    #[serde(default)]
    pub method: Option<String>,
    /// Only requests whose path begins so; all where there is none.
    #[serde(default)]
    pub path: Option<String>,
    /// So many of them are answered with the status, and do not reach the callee.
    pub errors: Ratio,
    /// An error status.
    pub status: u16,
    /// So many of the others are delayed.
    pub delayed: Ratio,
    /// Before they are passed on.
    pub delay: Duration,
    /// For the choice of the requests.
    pub seed: u64,
}

/// A fault that comes and goes: in force for a while, then not, again and again. It begins in
/// force. The proxy's own clock counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pulse {
    /// How long it is in force.
    pub on: Duration,
    /// How long it is not.
    pub off: Duration,
}

/// A part of a pulse is at least so long.
pub const PULSE_PART_MIN: Duration = Duration::from_millis(20);

impl std::fmt::Display for ProxyEffect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refuse => f.write_str("refuse"),
            Self::Reset => f.write_str("reset"),
            Self::Blackhole => f.write_str("blackhole"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Latency { delay, jitter } => write!(f, "latency {delay} ± {jitter}"),
            Self::HalfOpen => f.write_str("half-open"),
            Self::Bandwidth { bytes_per_second } => write!(f, "{bytes_per_second} bytes/s"),
            Self::Stall { share, pause, .. } => write!(f, "{share} stall for {pause}"),
            Self::Truncate { after_bytes } => write!(f, "cut after {after_bytes} bytes"),
            Self::Corrupt { every_bytes } => write!(f, "one byte in {every_bytes} corrupt"),
            Self::Http(http) => write!(f, "{http}"),
        }
    }
}

impl std::fmt::Display for HttpEffect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { method, path, errors, status, delayed, delay, .. } = self;
        let method = method.as_deref().unwrap_or("all methods");
        write!(f, "{method} {}: ", path.as_deref().unwrap_or("/"))?;
        write!(f, "{errors} get {status}, {delayed} wait {delay}")
    }
}

/// The body of `PUT /v1/faults/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultRequest {
    /// On all routes of this edge.
    pub edge: EdgeName,
    /// What happens there.
    pub effect: ProxyEffect,
    /// Where it comes and goes.
    #[serde(default)]
    pub pulse: Option<Pulse>,
    /// Not renewed within this time, in milliseconds, the fault ends by itself.
    pub lease_ms: u64,
}

/// The body of `POST /v1/faults/NAME/renew`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RenewRequest {
    /// From now on, in milliseconds.
    pub lease_ms: u64,
}

/// What a fault is, or was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultState {
    /// In force.
    InForce,
    /// Never seen, or put back before.
    Absent,
    /// Its lease ended, and it with it.
    Expired,
}

/// The answer to `DELETE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// What it was before.
    pub was: FaultState,
    /// Why a route of the edge is not back yet, where one is not.
    pub pending: Option<String>,
}

/// One fault in the answer to `GET /v1/faults`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultReport {
    /// Its name.
    pub name: String,
    /// Where.
    pub edge: EdgeName,
    /// What.
    pub effect: ProxyEffect,
    /// Where it comes and goes.
    #[serde(default)]
    pub pulse: Option<Pulse>,
    /// In force, put back (`absent`) or expired.
    pub state: FaultState,
    /// How much of its lease is left, in milliseconds; 0 when it is not in force.
    pub lease_left_ms: u64,
}

/// The answer to `GET /v1/faults`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Faults {
    /// Those in force first, then the last ones that ended.
    pub faults: Vec<FaultReport>,
}

/// The answer to `GET /v1/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// [`FORMAT`].
    pub format: String,
    /// The proxy's process.
    pub pid: u32,
    /// Its start, in clock ticks after boot.
    pub start_ticks: u64,
    /// Its boot.
    pub boot_id: String,
}

/// One route in the answer to `GET /v1/routes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteReport {
    /// The edge that it belongs to.
    pub edge: EdgeName,
    /// What the caller dials.
    pub listen: String,
    /// Where the callee listens.
    pub upstream: String,
    /// Whether a new connection is accepted.
    pub listening: bool,
    /// The effect that stands on it, if any.
    pub effect: Option<ProxyEffect>,
    /// Connections accepted since the start.
    pub connections: u64,
    /// Connections that are open now.
    pub open: u64,
    /// Bytes passed on to the callee.
    pub bytes_to_callee: u64,
    /// Bytes passed on to the caller.
    pub bytes_to_caller: u64,
    /// Bytes that wait in the proxy.
    pub held_bytes: u64,
    /// Bytes of both directions that passed inside the kernel, without being copied.
    #[serde(default)]
    pub spliced_bytes: u64,
    /// Requests that the proxy answered itself.
    pub answered: u64,
}

/// The answer to `GET /v1/routes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Routes {
    /// In the order of the configuration.
    pub routes: Vec<RouteReport>,
}

/// Why a request was refused; the body of every answer that is not 2xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// One fragment.
    pub error: String,
}
