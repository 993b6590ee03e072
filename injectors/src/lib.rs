//! Faults: one file per kind, their witnesses, and the systems they act on.
//!
//! It decides nothing about a run: the engine calls it through the ports of `harness-core`.

mod capabilities;
mod cgroup;
pub mod conformance;
pub mod containers;
pub mod descriptors;
pub mod exec;
mod hash;
pub mod http;
pub mod lab;
mod netns;
mod own_name;
mod own_place;
mod permit;
pub mod process;
mod program;
pub mod proxy;
#[cfg(test)]
mod skips;
mod standing;
mod targets;
pub mod unix_socket;
mod volume;

pub use capabilities::{capabilities, capabilities_of, engine};
pub use own_place::own_place;
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
/// Network namespaces are entered, by this process and by programs that it calls.
pub const ENTER_NAMESPACES: Requirement = Requirement("enter-namespaces");
/// Packets are filtered by rules of the kernel.
pub const NFTABLES: Requirement = Requirement("nftables");
/// Packets are made to take longer, by `tc netem` or by a queue that is held.
pub const PACKET_DELAY: Requirement = Requirement("packet-delay");
/// Processes are made to stand still by the kernel's freezer.
pub const CGROUP_FREEZER: Requirement = Requirement("cgroup-freezer");
/// Processes are given a quota of processor time.
pub const CGROUP_CPU: Requirement = Requirement("cgroup-cpu");
/// Processes are given a limit of memory.
pub const CGROUP_MEMORY: Requirement = Requirement("cgroup-memory");
/// Processes are given a view of the file systems of their own, and something is mounted in it.
pub const MOUNT_NAMESPACES: Requirement = Requirement("mount-namespaces");
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

#[cfg(test)]
mod tests {
    use harness_core::fault::Scope;

    use super::*;

    /// To say that a kind ends with its system is a promise: a debt is paid by it.
    #[test]
    fn what_may_outlive_its_system_is_known_by_name() {
        let registry = registry();
        let beyond: Vec<(&str, &str)> = registry
            .iter()
            .filter(|(_, _, entry)| entry.injector.scope() == Scope::Beyond)
            .map(|(kind, system, _)| (kind, system))
            .collect();
        assert_eq!(
            beyond,
            [
                ("container-kill", "containers"),
                ("container-pause", "containers"),
                ("container-stop", "containers"),
                ("exec", "lab"),
                ("network-disconnect", "containers"),
                ("packet-delay", "lab"),
                ("packet-loss", "lab"),
                ("partition", "lab"),
            ]
        );
    }
}
