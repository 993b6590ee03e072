//! Processes of their own beside the harness: the proxy on edges and the watchdog.
//!
//! They are hidden subcommands of the one binary; the command line is read elsewhere.

pub mod proxy;
pub mod watchdog;
