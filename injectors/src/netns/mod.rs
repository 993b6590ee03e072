//! Faults on packets, in a network namespace that the scenario names and in which the system runs.
//!
//! The kernel is told by `nft` or `tc`, entered with `nsenter`; what it was told stays when
//! everything of ours is dead, so each fault has one table, or one tree of queueing, of its own,
//! which its record names.

mod inside;
mod namespace;
mod nft;
mod packet_delay;
mod packet_fault;
mod packet_loss;
mod packet_witness;
mod partition;
mod place;

use harness_core::fault::Registry;

use crate::{ENTER_NAMESPACES, LOOPBACK, NFTABLES, PACKET_DELAY, PROC};

pub(crate) use namespace::{Door, inode_of};
pub(crate) use packet_delay::{Mechanism, attempt_queue};

/// Registers every kind of fault on packets for a kind of system.
pub(crate) fn register(registry: &mut Registry, system: &str) {
    let needs = || vec![ENTER_NAMESPACES, LOOPBACK, NFTABLES, PROC];
    registry.register(system, packet_fault::entry::<partition::PartitionSpec>(needs()));
    registry.register(system, packet_fault::entry::<packet_loss::PacketLossSpec>(needs()));
    let delay = vec![ENTER_NAMESPACES, LOOPBACK, PACKET_DELAY, PROC];
    registry.register(system, packet_delay::entry(delay));
}
