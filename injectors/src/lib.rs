//! Faults: one file per kind, their witnesses, and the systems they act on.
//!
//! It decides nothing about a run: the engine calls it through the ports of `harness-core`.

mod capabilities;
pub mod conformance;
pub mod containers;
pub mod descriptors;
pub mod exec;
mod hash;
pub mod http;
pub mod lab;
pub mod process;
pub mod proxy;
mod standing;
mod targets;
pub mod unix_socket;

pub use capabilities::{capabilities, capabilities_of, engine};
pub use targets::Which;

use harness_core::fault::{Registry, Requirement};

/// The userspace proxy stands on loopback sockets.
pub const LOOPBACK: Requirement = Requirement("loopback");
/// The proxy is told over a Unix socket.
pub const UNIX_SOCKETS: Requirement = Requirement("unix-sockets");
/// Delays are exact to tens of microseconds.
pub const TIMERFD: Requirement = Requirement("timerfd");
/// Processes are signalled so that a recycled number is never hit.
pub const PIDFD: Requirement = Requirement("pidfd");
/// Limits of other processes are changed.
pub const PRLIMIT: Requirement = Requirement("prlimit");
/// A container engine answers at its socket.
pub const CONTAINER_ENGINE: Requirement = Requirement("container-engine");
/// Processes are told apart by their start time.
pub const PROC: Requirement = Requirement("proc");

/// Every kind of fault on every kind of system, with its witness and what it needs.
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    lab::register(&mut registry);
    containers::register(&mut registry);
    registry
}
