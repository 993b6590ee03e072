//! The lab as a system under test: its ports, and the faults that act on its processes.
//!
//! The lab is reached over its HTTP interface and its processes' numbers only.

mod client;
mod fd_limit;
mod host;
mod kind;
mod pod_kill;
mod pod_witness;
mod process_fault;
mod process_pause;
mod system;
mod targets;

use std::sync::Arc;

use harness_core::fault::{FaultEntry, Registry};

pub use host::{LabHost, LabStart};
pub use kind::lab_kind;
pub(crate) use kind::refuse_control;
pub use pod_kill::{PodKill, PodKillDebt, PodKillSpec};
pub use pod_witness::PodWitness;
pub use system::LabSystem;
pub use targets::Which;

use crate::{LOOPBACK, PIDFD, PRLIMIT, PROC, exec, proxy};

/// The key of this kind of system in scenarios and in the registry.
pub const LAB: &str = "lab";

/// Registers every kind of fault on the lab.
pub(crate) fn register(registry: &mut Registry) {
    proxy::register(registry, LAB);
    let injector = Arc::new(exec::Exec);
    let witness = Arc::new(exec::ExecWitness);
    registry.register(LAB, FaultEntry { injector, witness, requires: vec![PROC] });
    registry.register(
        LAB,
        FaultEntry {
            injector: Arc::new(PodKill),
            witness: Arc::new(PodWitness),
            requires: vec![LOOPBACK, PIDFD, PROC],
        },
    );
    let pause = process_fault::entry::<process_pause::PauseSpec>(vec![LOOPBACK, PIDFD, PROC]);
    registry.register(LAB, pause);
    let limit = process_fault::entry::<fd_limit::LimitSpec>(vec![LOOPBACK, PRLIMIT, PROC]);
    registry.register(LAB, limit);
}
