//! Faults on declared edges by the userspace proxy that always stands on them.

mod bandwidth;
mod brown_out;
mod client;
mod collector_blackout;
mod corrupt;
mod debt;
mod dependency_outage;
mod edge_fault;
mod flapping;
mod half_open;
mod http_error;
mod http_latency;
mod latency;
mod look;
mod ranges;
mod stall;
mod truncate;
pub mod wire;
mod witness;

use harness_core::fault::Registry;

pub use bandwidth::BandwidthSpec;
pub use brown_out::BrownOutSpec;
pub use client::ProxyClient;
pub use collector_blackout::{
    BlackoutMode, CollectorBlackout, CollectorBlackoutDebt, CollectorBlackoutSpec, CollectorWitness,
};
pub use corrupt::CorruptSpec;
pub use debt::{Order, ProxyDebt};
pub use dependency_outage::{OutageMode, OutageSpec};
pub use edge_fault::{EdgeFault, EdgeSpec};
pub use flapping::FlappingSpec;
pub use half_open::HalfOpenSpec;
pub use http_error::{HttpErrorSpec, HttpPath, Method};
pub use http_latency::HttpLatencySpec;
pub use latency::LatencySpec;
pub use look::{Question, Seen, Telling, look};
pub(crate) use look::{look_from, look_on};
pub(crate) use ranges::requests_to_hit;
pub use stall::StallSpec;
pub use truncate::TruncateSpec;
pub use witness::{EdgeWitness, Says, Slot, Symptom};
pub(crate) use witness::{SILENCE, read, sum_up};

use crate::{LOOPBACK, PROC, TIMERFD, UNIX_SOCKETS};

/// Registers every kind of fault of the proxy for a kind of system.
pub(crate) fn register(registry: &mut Registry, system: &str) {
    let plain = || vec![LOOPBACK, PROC, UNIX_SOCKETS];
    let timed = || vec![LOOPBACK, PROC, TIMERFD, UNIX_SOCKETS];
    registry.register(system, edge_fault::entry::<OutageSpec>(plain()));
    registry.register(system, edge_fault::entry::<FlappingSpec>(plain()));
    registry.register(system, edge_fault::entry::<HalfOpenSpec>(plain()));
    registry.register(system, edge_fault::entry::<TruncateSpec>(plain()));
    registry.register(system, edge_fault::entry::<CorruptSpec>(plain()));
    registry.register(system, edge_fault::entry::<HttpErrorSpec>(plain()));
    registry.register(system, edge_fault::entry::<BrownOutSpec>(timed()));
    registry.register(system, edge_fault::entry::<HttpLatencySpec>(timed()));
    registry.register(system, edge_fault::entry::<BandwidthSpec>(timed()));
    registry.register(system, edge_fault::entry::<StallSpec>(timed()));
    registry.register(system, edge_fault::entry::<LatencySpec>(timed()));
}
