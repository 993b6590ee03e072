//! The sources against small servers on loopback sockets, as they are used: made from a plan,
//! run, and stopped.

mod actions;
mod alerts;
mod fake;
mod probes;
mod registry;
mod watch;
