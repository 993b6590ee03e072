//! Containers as a system under test, through the Docker-compatible API of their engine (podman,
//! Docker): the ports, and the faults that act on them.
//!
//! Containers are there already; nothing here creates or removes one.

mod api;
mod fault;
mod kernel;
mod kill;
mod network;
mod pause;
mod stop;
mod system;

use std::sync::Arc;

use harness_core::fault::{FaultEntry, Registry};

pub use system::{ContainerHost, containers_kind, socket_of, well_known_sockets};

use crate::{CONTAINER_ENGINE, PIDFD, PROC, UNIX_SOCKETS};

/// The key of this kind of system in scenarios and in the registry.
pub const CONTAINERS: &str = "containers";

/// The name of the engine's socket among the controls of a live topology.
const ENGINE: &str = "engine";

/// Registers every kind of fault on containers.
pub(crate) fn register(registry: &mut Registry) {
    let asked = || vec![CONTAINER_ENGINE, PROC, UNIX_SOCKETS];
    registry.register(CONTAINERS, fault::entry::<pause::PauseSpec>(asked()));
    registry.register(CONTAINERS, fault::entry::<stop::StopSpec>(asked()));
    registry.register(CONTAINERS, fault::entry::<network::DisconnectSpec>(asked()));
    let kill = FaultEntry {
        injector: Arc::new(kill::ContainerKill),
        witness: Arc::new(kill::KillWitness),
        requires: vec![CONTAINER_ENGINE, PIDFD, PROC, UNIX_SOCKETS],
    };
    registry.register(CONTAINERS, kill);
}
