//! Sources of signals beside the load: probes, alerts, and what automations did.
//!
//! [`SignalSources`] makes them from a plan. Each runs until it is stopped and cannot fail: what
//! could not be read is a gap. Nothing here decides what an observation means.

mod actions;
mod http;
mod monotonic;
mod outlet;
mod pages;
mod probe;
mod registry;
mod spend;
mod tcp;
mod text;
mod webhook;

pub use registry::SignalSources;
