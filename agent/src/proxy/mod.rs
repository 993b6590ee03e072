//! The proxy that always stands on declared edges: inert without a fault, a process of its own.
//!
//! Two threads. The data thread owns the sockets; the control thread owns the table of faults,
//! their leases and the Unix socket. They share `watch` channels and counters and no lock, so a
//! fault is put back however busy the data path is. A proxy that is started again begins inert.
//!
//! It does not know runs, trials or kinds of fault, and it decides nothing about them.

mod answer;
mod arrival;
mod busy;
mod clock;
mod config;
mod control;
mod direction;
mod effects;
mod log;
mod pipe;
mod process;
mod relay;
mod route;
mod standing;
mod table;
mod timer;

pub use process::{ProxyArguments, ProxyError, run, run_until};
