//! Faults: one file per kind, their witnesses, and the systems they act on.
//!
//! It decides nothing about a run: the engine calls it through the ports of `harness-core`.

pub mod http;
pub mod process;
pub mod proxy;
