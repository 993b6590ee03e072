//! Faults on declared edges by the userspace proxy that always stands on them.

pub mod wire;
