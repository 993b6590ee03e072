//! The lab as a system under test: its ports, and the faults that act on its processes.
//!
//! The lab is reached over its HTTP interface and its processes' numbers only.

mod client;
mod host;
mod kind;
mod pod_kill;
mod pod_witness;
mod system;

pub use host::{LabHost, LabStart};
pub use kind::lab_kind;
pub use pod_kill::{PodKill, PodKillDebt, PodKillSpec, Which};
pub use pod_witness::PodWitness;
pub use system::LabSystem;

/// The key of this kind of system in scenarios and in the registry.
pub const LAB: &str = "lab";
