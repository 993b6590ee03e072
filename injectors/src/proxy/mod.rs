//! Faults on declared edges by the userspace proxy that always stands on them.

mod client;
mod debt;
mod dependency_outage;
mod latency;
mod look;
pub mod wire;
mod witness;

pub use client::ProxyClient;
pub use debt::ProxyDebt;
pub use dependency_outage::{DependencyOutage, OutageMode, OutageSpec};
pub use latency::{Latency, LatencySpec};
pub use look::{Question, Seen, look};
pub use witness::{LatencyWitness, OutageWitness};
