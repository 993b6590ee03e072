//! The lab as a system under test: its ports, and the faults that act on its processes.
//!
//! The lab is reached over its HTTP interface and its processes' numbers only.

mod alert_storm;
mod client;
mod cost_runaway;
mod cpu_pressure;
mod crash_loop;
mod fd_limit;
mod host;
mod kind;
mod pod_kill;
mod pod_witness;
mod price_spike;
mod process_fault;
mod process_freeze;
mod process_pause;
mod spend;
mod system;

use std::sync::Arc;

use harness_core::fault::{DynInjector, FaultEntry, Registry, Requirement, Witness};

pub use alert_storm::{AlertStorm, AlertStormDebt, AlertStormSpec, AlertStormWitness};
pub use cost_runaway::{CostRunaway, CostRunawayDebt, CostRunawaySpec, CostRunawayWitness};
pub use crash_loop::{CrashLoop, CrashLoopDebt, CrashLoopSpec, CrashLoopWitness};
pub use host::{LabHost, LabStart};
pub use kind::lab_kind;
pub(crate) use kind::refuse_control;
pub use pod_kill::{PodKill, PodKillDebt, PodKillSpec};
pub use pod_witness::PodWitness;
pub use price_spike::{PriceSpike, PriceSpikeDebt, PriceSpikeSpec, PriceSpikeWitness};
pub use spend::LabControl;
pub use system::LabSystem;

use crate::{
    CGROUP_CPU, CGROUP_FREEZER, LOOPBACK, PIDFD, PRLIMIT, PROC, UNIX_SOCKETS, exec, netns, proxy,
};

/// The key of this kind of system in scenarios and in the registry.
pub const LAB: &str = "lab";

/// Registers every kind of fault on the lab.
pub(crate) fn register(registry: &mut Registry) {
    proxy::register(registry, LAB);
    netns::register(registry, LAB);
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
    registry.register(
        LAB,
        FaultEntry {
            injector: Arc::new(CrashLoop),
            witness: Arc::new(CrashLoopWitness),
            requires: vec![LOOPBACK, PIDFD, PROC],
        },
    );
    let pause = process_fault::entry::<process_pause::PauseSpec>(vec![LOOPBACK, PIDFD, PROC]);
    registry.register(LAB, pause);
    let limit = process_fault::entry::<fd_limit::LimitSpec>(vec![LOOPBACK, PRLIMIT, PROC]);
    registry.register(LAB, limit);
    let needs = vec![CGROUP_FREEZER, LOOPBACK, PROC];
    registry.register(LAB, process_fault::entry::<process_freeze::FreezeSpec>(needs));
    let needs = vec![CGROUP_CPU, LOOPBACK, PROC];
    registry.register(LAB, process_fault::entry::<cpu_pressure::PressureSpec>(needs));
    let told = || vec![LOOPBACK, PROC];
    let entry =
        |injector: Arc<dyn DynInjector>, witness: Arc<dyn Witness>, requires: Vec<Requirement>| {
            FaultEntry { injector, witness, requires }
        };
    registry.register(LAB, entry(Arc::new(CostRunaway), Arc::new(CostRunawayWitness), told()));
    registry.register(LAB, entry(Arc::new(PriceSpike), Arc::new(PriceSpikeWitness), told()));
    registry.register(LAB, entry(Arc::new(AlertStorm), Arc::new(AlertStormWitness), told()));
    let proxied = vec![LOOPBACK, PROC, UNIX_SOCKETS];
    let blackout = Arc::new(proxy::CollectorBlackout);
    registry.register(LAB, entry(blackout, Arc::new(proxy::CollectorWitness), proxied));
}
