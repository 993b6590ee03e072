//! The shell around core's decisions: the run loop and its executor, the journal and the undo
//! ledger, the run store, the clock, and a simulation of it all.
//!
//! Knows no injector, driver or source by name: they come in through core's ports.

pub mod clock;
mod format;
pub mod journal;
pub mod ledger;
pub mod line;
pub mod samples;
pub mod storage;
pub mod store;
#[cfg(test)]
mod testing;

pub use format::FormatError;
