//! The shell around core's decisions: the run loop and its executor, the journal and the undo
//! ledger, the run store, the clock, and a simulation of it all.
//!
//! Knows no injector, driver or source by name: they come in through core's ports.

pub mod clock;
mod executor;
mod format;
pub mod journal;
pub mod ledger;
pub mod line;
mod looks;
mod report;
pub mod run;
pub mod samples;
#[cfg(test)]
mod sim;
pub mod storage;
pub mod store;
#[cfg(test)]
mod testing;
pub mod undo;
pub mod watchdog;

pub use executor::Ports;
pub use format::FormatError;
