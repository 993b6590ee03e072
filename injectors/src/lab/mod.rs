//! The lab as a system under test: its ports, and the faults that act on its processes.
//!
//! The lab is reached over its HTTP interface and its processes' numbers only.

mod alert_storm;
mod bad_release;
mod client;
mod config_drift;
mod cost_runaway;
mod cpu_pressure;
mod crash_loop;
mod disk_full;
mod disk_witness;
mod duplicate_alerts;
mod expired_certificate;
mod fd_limit;
mod host;
mod kind;
mod leased;
mod memory_pressure;
mod pod_kill;
mod pod_witness;
mod price_spike;
mod process_fault;
mod process_freeze;
mod process_pause;
mod release_witness;
mod spend;
mod system;
mod telemetry;

use std::sync::Arc;

use alert_storm::{AlertStormSpec, AlertStormWitness};
use bad_release::BadReleaseSpec;
use config_drift::{ConfigDrift, ConfigDriftWitness};
use disk_full::DiskFull;
use disk_witness::DiskWitness;
use duplicate_alerts::{DuplicateAlertsSpec, DuplicateAlertsWitness};
use expired_certificate::{CertificateWitness, ExpiredCertificateSpec};
use harness_core::fault::{DynInjector, FaultEntry, Registry, Requirement, Witness};
use memory_pressure::{MemoryPressure, MemoryWitness};
use price_spike::{PriceSpikeSpec, PriceSpikeWitness};
use release_witness::ReleaseWitness;

pub use cost_runaway::{CostRunaway, CostRunawayDebt, CostRunawaySpec, CostRunawayWitness};
pub use crash_loop::{CrashLoop, CrashLoopDebt, CrashLoopSpec, CrashLoopWitness};
pub use host::{LabHost, LabStart};
pub use kind::lab_kind;
pub(crate) use kind::{is_encrypted, refuse_control};
pub use pod_kill::{PodKill, PodKillDebt, PodKillSpec};
pub use pod_witness::PodWitness;
pub use spend::LabControl;
pub use system::LabSystem;

use crate::{
    CGROUP_CPU, CGROUP_FREEZER, CGROUP_MEMORY, LOOPBACK, MOUNT_NAMESPACES, PIDFD, PRLIMIT, PROC,
    UNIX_SOCKETS, exec, netns, proxy,
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
    let needs = vec![CGROUP_MEMORY, LOOPBACK, PROC];
    registry.register(LAB, entry(Arc::new(MemoryPressure), Arc::new(MemoryWitness), needs));
    registry.register(LAB, entry(Arc::new(CostRunaway), Arc::new(CostRunawayWitness), told()));
    registry.register(LAB, leased::entry::<PriceSpikeSpec>(Arc::new(PriceSpikeWitness)));
    registry.register(LAB, leased::entry::<AlertStormSpec>(Arc::new(AlertStormWitness)));
    registry.register(LAB, entry(Arc::new(ConfigDrift), Arc::new(ConfigDriftWitness), told()));
    let duplicates = Arc::new(DuplicateAlertsWitness);
    registry.register(LAB, leased::entry::<DuplicateAlertsSpec>(duplicates));
    registry.register(LAB, leased::entry::<ExpiredCertificateSpec>(Arc::new(CertificateWitness)));
    registry.register(LAB, leased::entry::<BadReleaseSpec>(Arc::new(ReleaseWitness)));
    let needs = vec![MOUNT_NAMESPACES, PROC];
    registry.register(LAB, entry(Arc::new(DiskFull), Arc::new(DiskWitness), needs));
    telemetry::register(registry);
    let proxied = vec![LOOPBACK, PROC, UNIX_SOCKETS];
    let blackout = Arc::new(proxy::CollectorBlackout);
    registry.register(LAB, entry(blackout, Arc::new(proxy::CollectorWitness), proxied));
}
