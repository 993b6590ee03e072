//! The agents as real processes on loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conformance_disk;
mod conformance_packet_delay;
mod conformance_packets;
mod conformance_pods;
mod conformance_proxy;
mod golden;
mod guest;
mod kinds;
mod namespace;
mod proxy_control;
mod proxy_edges;
mod proxy_effects;
mod proxy_streams;
mod time_to_safe;
mod watchdog;
mod world;
